"""Make the embedded weights from nothing: every stage in turn, each of which resumes.

    python -m recipes.nano.making.make_all --work /tmp/nano [--bf16]

About seven hours of one core with bfloat16, eleven of one without; `checkpoints/LOG.md` says how
long each stage took.
"""

import argparse
import subprocess
import sys
from pathlib import Path

Words = tuple[str | Path, ...]  # of a command


def make_all(work: Path, bf16: bool) -> None:
    """Run each stage as the command that a person would type."""
    assets, clip, sam, decoder = (work / name for name in ("assets", "clip", "sam", "decoder"))
    drawn: Words = ("--assets", assets)
    fast: Words = ("--bf16",) if bf16 else ()
    run("making.assets", "--out", assets)
    run("making.train_clip", "--out", clip, *drawn, *fast)
    run("making.train_sam", "--out", sam, *drawn, *fast)
    run("making.train_decoder", "--clip", clip, "--sam", sam, "--out", decoder, *drawn)
    run("making.pack", "--clip", clip, "--sam", sam, "--decoder", decoder)
    run("making.words")
    run("studying.evaluate_nano", "--role", "validate", "--out", work / "validate.json", *drawn)


def run(module: str, *arguments: str | Path) -> None:
    """Run a module of these recipes; a stage that fails ends everything."""
    subprocess.run([sys.executable, "-m", f"recipes.nano.{module}", *arguments], check=True)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--work", type=Path, default=Path("/tmp/nano"))
    parser.add_argument("--bf16", action="store_true", help="for CPUs with AVX-512 bfloat16")
    make_all(**vars(parser.parse_args()))


if __name__ == "__main__":
    main()
