"""Time an export of many images, and how its memory grows with their number.

    python tests/benchmarks/export_labels.py FOLDER --images 2000 20000

For each number, a run folder of maps of 160 x 128 with 20 segments is written (it is kept, and used
again); then each format is exported in a process of its own. Prints the seconds, those that the
process itself worked, the peak of its memory, and with --twice the same of a second export.
"""

import argparse
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

from made_run import make_run

from frozenseg_label.exchange.export_labels import export_labels


def main() -> None:
    """Make the runs, export them, print the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, nargs="+", default=[2000, 20000])
    parser.add_argument("--forms", nargs="+", default=["coco-instances", "yolo-seg"])
    parser.add_argument("--twice", action="store_true")
    parser.add_argument("--export", help=argparse.SUPPRESS)  # in a process of its own
    given = parser.parse_args()
    if given.export:
        export(given.folder, given.export, 2 if given.twice else 1)
        return
    for count in given.images:
        folder = given.folder / f"{count}"
        if not folder.exists():
            make_run(folder, count, cell=32)
        for form in given.forms:
            command = [sys.executable, __file__, folder, "--export", form]
            command += ["--twice"] if given.twice else []
            said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            print(f"{count} images, {form}: {said.strip()}", flush=True)  # noqa: T201


def export(folder: Path, form: str, turns: int) -> None:
    """Export a run, and print the figures."""
    shutil.rmtree(folder / form, ignore_errors=True)
    for _ in range(turns):
        start, worked = time.perf_counter(), time.process_time()
        export_labels(folder / "out", folder / form, form, pictures="none")  # type: ignore[arg-type]
        wall, own = time.perf_counter() - start, time.process_time() - worked
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"{wall:.1f} s ({own:.1f} s), peak {peak:.0f} MiB", end="; ")  # noqa: T201


if __name__ == "__main__":
    main()
