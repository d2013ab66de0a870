"""How time and memory of work on a whole folder grow with the number of images.

    python tests/benchmarks/growth.py FOLDER --jobs evaluate queue --images 500 2000 --classes 181

For each number of images and classes, a run folder with maps of 80 x 100 and 20 segments is made
(it is kept, and used again); then each job runs on it in a process of its own. Prints the seconds
that the process worked, those of the clock, and the peak of its memory; and, from the first to the
last number of images, what each further image costs.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from made_run import make_run


def evaluate_with_itself(run: Path) -> None:
    """Compare the labels with themselves."""
    from frozenseg_label import evaluate

    evaluate(run, run)


def queue(run: Path) -> None:
    """Write the queue of what to look at first."""
    from frozenseg_label.review.review_run import queue_csv

    queue_csv(run, run.parent / "queue.csv")


def read_panoptic_json(run: Path) -> None:
    """Read what the COCO panoptic JSON says of each image, as of another tool."""
    from frozenseg_label.label_sets.open_label_set import open_label_set

    with open_label_set(run / "panoptic.json") as labels:
        for image in labels.images:
            labels.labels_of(image)


def find(run: Path) -> None:
    """Find the photographs."""
    from frozenseg_label.images import find_images

    find_images([run.parent / "photos"])


def nothing(run: Path) -> None:
    """Find them, and do what `annotate` does where all are labelled; it loads no model."""
    from frozenseg_label.images import find_images
    from frozenseg_label.runs.manifest import read_manifest
    from frozenseg_label.runs.run_folder import RunFolder

    records = find_images([run.parent / "photos"])
    with RunFolder.open_or_create(run, read_manifest(run)) as folder:
        if folder.plan(records).todo:
            raise ValueError("all images were labelled")
        folder.finish()


def assemble(run: Path) -> None:
    """The same, once a row was added."""
    from frozenseg_label.images import ImageRecord
    from frozenseg_label.runs.run_folder import RunFolder

    with RunFolder.open_to_correct(run) as folder:
        folder.fail(ImageRecord(Path("absent.jpg"), "absent.jpg", 0, time.time_ns()), "absent")
        folder.finish()


def page(run: Path) -> None:
    """Write the static page of the queue."""
    import shutil

    from frozenseg_label import review_page

    shutil.rmtree(run.parent / "page", ignore_errors=True)
    review_page(run, run.parent / "page")


def list_to_train(run: Path) -> None:
    """List what can be trained on, as of another tool: all of it is truth."""
    from frozenseg_label.training.data.labelled_images import read_labelled_images

    read_labelled_images(run / "panoptic.json", run.parent / "photos")


def plan_relabel(run: Path) -> None:
    """Find out what `relabel` has to do; the masks and words of an image are constant work."""
    from frozenseg_label.runs.run_folder import RunFolder

    with RunFolder.open_to_correct(run) as folder:
        folder.plan_relabel(semantic=False)
        folder.finish()


def load_review(run: Path) -> None:
    """Load it into FiftyOne; FIFTYONE_DATABASE_URI names the server."""
    os.environ["FIFTYONE_DATABASE_VALIDATION"] = "false"
    from frozenseg_label.review.app.fiftyone_dataset import open_dataset
    from frozenseg_label.runs.run_folder import RunFolder

    with RunFolder.open_to_correct(run) as folder:
        open_dataset(folder, progress=False)


def fail_again(run: Path) -> None:
    """Try as many torn JPEGs of 6 million pixels again, which failed before."""
    from PIL import Image

    from frozenseg_label.annotation.annotate_folder import _still_unreadable
    from frozenseg_label.images import find_images
    from frozenseg_label.runs.plan import Plan

    torn = run.parent / "torn"
    if not torn.exists():
        Image.effect_noise((3000, 2000), 50).convert("RGB").save(run.parent / "whole.jpg")
        content = (run.parent / "whole.jpg").read_bytes()
        torn.mkdir()
        (torn / "0.jpg").write_bytes(content[: len(content) * 9 // 10])
        for number in range(1, sum(1 for _ in (run.parent / "photos").iterdir())):
            os.link(torn / "0.jpg", torn / f"{number}.jpg")
    records = tuple(find_images([torn]))
    dict(_still_unreadable(Plan(done=(), todo=records, failed=records), None))


JOBS: dict[str, Callable[[Path], None]] = {
    "evaluate": evaluate_with_itself,
    "queue": queue,
    "coco": read_panoptic_json,
    "find": find,
    "nothing": nothing,
    "assemble": assemble,
    "fail": fail_again,
    "html": page,
    "train": list_to_train,
    "relabel": plan_relabel,
    "fiftyone": load_review,
}


def main() -> None:
    """Make the runs, do the jobs, print the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--jobs", nargs="+", choices=JOBS, default=["evaluate", "queue"])
    parser.add_argument("--images", type=int, nargs="+", default=[500, 2000])
    parser.add_argument("--classes", type=int, nargs="+", default=[181])
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)  # in this process
    given = parser.parse_args()
    if given.one:
        do(given.folder, JOBS[given.jobs[0]])
        return
    for classes in given.classes:
        for job in given.jobs:
            figures = []
            for count in given.images:
                folder = given.folder / f"{count}-{classes}"
                if not folder.exists():
                    make_run(folder, count, cell=20, classes=classes)
                command = [sys.executable, __file__, folder / "out"]
                said = subprocess.check_output([*command, "--one", "--jobs", job])
                figures.append(json.loads(said))
                print(f"{job}, {classes} classes, {count} images: {said.decode().strip()}")  # noqa: T201
            further = given.images[-1] - given.images[0]
            seconds = figures[-1]["worked_s"] - figures[0]["worked_s"]
            mebibytes = figures[-1]["peak_mib"] - figures[0]["peak_mib"]
            print(  # noqa: T201
                f"  each further image: {1000 * seconds / further:.2f} ms, "
                f"{1024 * mebibytes / further:.2f} KiB"
            )


def do(run: Path, job: Callable[[Path], None]) -> None:
    """Do one job in this process, and print its figures as JSON."""
    start, worked = time.perf_counter(), time.process_time()
    job(run)
    print(  # noqa: T201
        json.dumps(
            {
                "worked_s": round(time.process_time() - worked, 2),
                "clock_s": round(time.perf_counter() - start, 2),
                "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
            }
        )
    )


if __name__ == "__main__":
    main()
