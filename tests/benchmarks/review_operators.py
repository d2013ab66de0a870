"""Measure the CPU of what our buttons do, beside FiftyOne's own tagging of the same segments.

    python tests/benchmarks/review_operators.py FOLDER --images 200

FIFTYONE_DATABASE_URI names the server. Seconds that this process works, without the server's; the
quickest of three turns, all of them on all segments (or images) of the run.
"""

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path

from made_run import make_run

from frozenseg_label.runs.run_folder import RunFolder


def main() -> None:
    """Make a run, open it, measure, print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=200)
    given = parser.parse_args()
    os.environ["FIFTYONE_DATABASE_VALIDATION"] = "false"
    os.environ["FIFTYONE_DO_NOT_TRACK"] = "1"
    make_run(given.folder, given.images, cell=120)
    from frozenseg_label.review.app import actions, buttons
    from frozenseg_label.review.app.fiftyone_dataset import open_dataset
    from frozenseg_label.review.app.progress import progress_of

    with RunFolder.read(given.folder / "out") as run:
        dataset = open_dataset(run).dataset
    images = dataset.values("id")
    segments = dataset.values("segments.detections.id", unwind=True)
    labels = dataset.select_labels(ids=segments)
    own_labels = seconds(lambda: labels.tag_labels("seen"))
    own_samples = seconds(lambda: dataset.tag_samples("seen"))
    print(f"FiftyOne's tag_labels, {len(segments)} segments: {own_labels:.2f} s")  # noqa: T201
    print(f"FiftyOne's tag_samples, {len(images)} images: {own_samples:.3f} s")  # noqa: T201
    acts: dict[str, Callable[[], object]] = {
        "accept_segments": lambda: buttons.tag_segments(dataset, segments, "accepted"),
        "undo": lambda: actions.undo_back_to(dataset),
        "accept_above": lambda: buttons.tag_segments(
            dataset, buttons.sure_segments(dataset.view(), 0.0), "accepted"
        ),
        "second_class": lambda: buttons.take_second(dataset, segments),
        "relabel": lambda: buttons.relabel_segments(dataset, segments, "class 3"),
        "note": lambda: buttons.note_segments(dataset, segments, "a note"),
        "accept_image": lambda: buttons.tag_images(dataset, images, "accepted"),
        "progress panel": lambda: progress_of(dataset),
    }
    for name, act in acts.items():
        own = own_samples if name == "accept_image" else own_labels
        ours = seconds(act, turns=1 if name in ("undo", "accept_above") else 3)
        print(f"{name}: {ours:.3f} s, {ours / own:.1f} times FiftyOne's tagging")  # noqa: T201
        if name == "undo":  # so that accept_above finds all segments open
            labels.untag_labels(["accepted", "rejected"])
    dataset.delete()


def seconds(act: Callable[[], object], turns: int = 3) -> float:
    """Return the CPU seconds of the quickest turn."""
    taken = []
    for _ in range(turns):
        start = time.process_time()
        act()
        taken.append(time.process_time() - start)
    return min(taken)


if __name__ == "__main__":
    main()
