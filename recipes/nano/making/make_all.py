"""Make the embedded weights from nothing: every stage in turn, each of which resumes.

    python -m recipes.nano.making.make_all --work /tmp/nano [--bf16]

About seven hours of one core that has bfloat16, eleven of one that has not; see README.md for what
each stage took and gave.
"""

import argparse
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def make_all(work: Path, bf16: bool) -> None:
    """Run the stages as the commands that a person would type."""
    assets, clip, sam, decoder = (work / name for name in ("assets", "clip", "sam", "decoder"))
    drawn = ["--assets", assets]
    run("assets.py", "--out", assets)
    fast = ["--bf16"] if bf16 else []
    run("clip.py", "--out", clip, *drawn, *fast)
    run("sam.py", "--out", sam, *drawn, *fast)
    run("decoder.py", "--clip", clip, "--sam", sam, "--out", decoder, *drawn)
    run("pack.py", "--clip", clip, "--sam", sam, "--decoder", decoder)
    run("evaluate.py", "--role", "validate", "--out", work / "validate.json", *drawn)


def run(script: str, *arguments: str | Path) -> None:
    """Run a script of this folder; a stage that fails ends everything."""
    subprocess.run([sys.executable, HERE / script, *arguments], check=True)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--work", type=Path, default=Path("/tmp/nano"))
    parser.add_argument("--bf16", action="store_true", help="for CPUs with AVX-512 bfloat16")
    make_all(**vars(parser.parse_args()))


if __name__ == "__main__":
    main()
