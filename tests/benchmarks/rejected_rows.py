"""What ten rejected segments of one large image cost in the journal, and each later row.

    python tests/benchmarks/rejected_rows.py FOLDER

Writes a new run folder with one image of 3000 x 4000 pixels, rejects ten of its wavy segments, and
adds three rows in which nothing changes but the note.
"""

import sys
from dataclasses import replace
from pathlib import Path

from made_run import made_words, manifest_of
from many_segments import CLASSES, wavy_map

from frozenseg_label.images import ImageRecord
from frozenseg_label.panoptic import PanopticMap
from frozenseg_label.runs.run_folder import RunFolder

ROWS = 4


def main() -> None:
    """Write the rows, and print how long they are."""
    manifest = manifest_of(made_words(CLASSES))
    image = ImageRecord(Path("a.jpg"), "a.jpg", 0, 0)
    panoptic = wavy_map(3000, 4000, 100)
    chosen = {segment.id for segment in panoptic.segments[::10]}
    judged = tuple(
        replace(segment, state="rejected" if segment.id in chosen else "accepted")
        for segment in panoptic.segments
    )
    folder = Path(sys.argv[1])
    with RunFolder.open_or_create(folder, manifest) as run:
        run.correct(image, PanopticMap(panoptic.ids, judged), state="in review")
        for number in range(1, ROWS):
            run.correct(image, run.read_map("a.jpg"), state="reviewed", note=f"note {number}")
    lengths = [len(line) for line in (folder / "journal.jsonl").read_bytes().splitlines()]
    print(f"{len(chosen)} rejected; bytes of the rows: {lengths}")  # noqa: T201
    for file in sorted(folder.glob("*.jsonl")):
        print(f"{file.name}: {file.stat().st_size / 1000:.0f} kB")  # noqa: T201


if __name__ == "__main__":
    main()
