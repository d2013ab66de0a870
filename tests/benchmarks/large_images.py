"""Peak memory of `annotate` with one very large picture, each way in a process of its own.

    python tests/benchmarks/large_images.py FOLDER --side 12000

The picture repeats demonstration scenes; it is written as JPEG and as tiled TIFF. Prints a Markdown
table: the processor's seconds and the peak of the resident memory of the whole command.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

import frozenseg_label

SCENE = 256  # pixels


def main() -> None:
    """Write the pictures and label each of them in each way."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--side", type=int, default=12_000)
    parser.add_argument("--forms", nargs="+", default=["jpg", "tif"])
    parser.add_argument("--tiles", nargs="+", default=["none", "4096"])
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    print("| file | tiles | processor, s | peak, GiB |\n|---|---|---|---|", flush=True)  # noqa: T201
    for form in options.forms:
        path = options.folder / f"large-{options.side}.{form}"
        if not path.exists():
            write_picture(path, options.side)
        for tile in options.tiles:
            seconds, peak = labelled(path, [] if tile == "none" else ["--tile", tile])
            print(f"| {form} | {tile} | {seconds:.0f} | {peak:.2f} |", flush=True)  # noqa: T201


def write_picture(path: Path, side: int) -> None:
    """Write a square picture of scenes."""
    with tempfile.TemporaryDirectory() as folder:
        paths = frozenseg_label.write_demo(folder, 16, size=SCENE)
        scenes = np.stack([np.asarray(Image.open(scene)) for scene in paths])  # [16, S, S, 3]
    block = scenes.reshape(4, 4, SCENE, SCENE, 3).swapaxes(1, 2).reshape(4 * SCENE, 4 * SCENE, 3)
    times = -(-side // len(block))
    picture = Image.fromarray(np.tile(block, (times, times, 1))[:side, :side])
    options = {"tile": (256, 256)} if path.suffix == ".tif" else {"quality": 90}
    picture.save(path, compression="tiff_lzw" if path.suffix == ".tif" else None, **options)


def labelled(path: Path, options: list[str]) -> tuple[float, float]:
    """Return the processor's seconds and the peak memory, GiB, of labelling one picture."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", MEASURED, "annotate", f"{path}", "-q"]
        command += ["--vocab", "stickers", "-o", f"{folder}/labels", *options]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds, peak = done.stderr.split()[-2:]
    return float(seconds), int(peak) / 2**20  # Linux counts in KiB


MEASURED = """
import resource, sys
from frozenseg_label.cli import main
code = main(sys.argv[1:])
used = resource.getrusage(resource.RUSAGE_SELF)
print(used.ru_utime + used.ru_stime, used.ru_maxrss, file=sys.stderr)
sys.exit(code)
"""


if __name__ == "__main__":
    main()
