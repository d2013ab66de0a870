"""A small run to kill or starve; the tests start it as a program of its own.

python labelling.py FOLDER run COUNT        label COUNT images, a line on stdout after each
python labelling.py FOLDER moments          the scenario of `scenario`, killed at every moment
python labelling.py FOLDER starve BYTES     the same with a limit on the size of files
"""

import os
import resource
import shutil
import signal
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from types import FrameType

import numpy as np

from frozenseg_label.errors import RunError
from frozenseg_label.formats.panoptic_dataset import read_coco_panoptic
from frozenseg_label.images import ImageRecord
from frozenseg_label.panoptic import PanopticMap, Segment, State, measure
from frozenseg_label.runs.embeddings import ImageEmbeddings
from frozenseg_label.runs.manifest import Manifest
from frozenseg_label.runs.run_folder import RunFolder
from frozenseg_label.vocabulary import Category, Vocabulary

VOCABULARY = Vocabulary("two", (Category("cat", 1), Category("sky", 2, is_thing=False)))
FORMATS = ("class-png", "per-class-png")
TOUCHES_DISK = {"write", "open", "replace", "unlink", "mkdir", "truncate"}


def manifest(weights: str = "first") -> Manifest:
    return Manifest.of(
        tool_version="0.1",
        arguments={},
        weights=weights,
        weights_fingerprint=weights,
        vocabulary=VOCABULARY,
        seen_names=["cat"],
        options={},
    )


def record(name: str) -> ImageRecord:
    return ImageRecord(Path("photos") / name, name, 10, 20)


def labels(seed: int, state: State = "proposed", side: int = 16) -> PanopticMap:
    """A map of cats and skies; equal for equal seeds."""
    cells = np.random.default_rng(seed).integers(0, 6, (4, 4))
    ids = np.kron(cells, np.ones((side // 4, side // 4))).astype(np.int32)
    segments = [
        Segment(id_, 1 + id_ % 2, id_ % 2 == 0, area, bbox, 0.5, state=state)
        for id_, (area, bbox) in measure(ids).items()
    ]
    return PanopticMap(ids, tuple(segments))


def embeddings(panoptic: PanopticMap) -> ImageEmbeddings:
    vector = np.ones(4, np.float16)
    return ImageEmbeddings.of("ab", vector, {segment.id: vector for segment in panoptic.segments})


RECORDS = [record(name) for name in ("a.jpg", "d/b.jpg", "d/c.jpg", "bad.jpg")]


def corrected(folder: Path) -> None:
    """A folder with one image that a person has corrected."""
    with RunFolder.open_or_create(folder, manifest(), formats=FORMATS) as run:
        run.plan(RECORDS)
        run.commit(RECORDS[0], labels(0))
        run.correct(RECORDS[0], labels(0, "accepted"), state="in review")
        run.finish()


def scenario(folder: Path) -> None:
    """Update the folder: a fused image, new ones, a failure, a correction, the finish."""
    with RunFolder.open_or_create(folder, manifest("second"), update=True, formats=FORMATS) as run:
        for image in run.plan(RECORDS).todo:
            if image.relative == "bad.jpg":
                run.fail(image, "half-written")
            else:
                panoptic = labels(len(image.relative))
                run.commit(image, panoptic, embeddings=embeddings(panoptic), kept=b"proposals")
        if run.read_map("d/b.jpg").segments[0].state == "proposed":
            run.correct(RECORDS[1], labels(7, "accepted"), state="in review")
        run.finish()


def check(folder: Path) -> None:
    """What holds of a folder whenever its program was killed."""
    human = labels(0, "accepted")
    with RunFolder.open_or_create(folder, manifest("second"), update=True, formats=FORMATS) as run:
        leftovers = list(folder.rglob(".frozenseg-*"))
        assert not leftovers, leftovers
        for entry in run.entries():
            if entry.labels is not None:
                run.read_map(entry.image).check()
            if entry.embeddings is not None:
                assert run.read_embeddings(entry) is not None
            if entry.kept is not None:
                assert run.read_kept(entry) == b"proposals"
        kept = run.read_map("a.jpg")
        assert set(human.segments) <= set(kept.segments)
        assert np.array_equal(kept.ids[human.ids > 0], human.ids[human.ids > 0])
    scenario(folder)  # taken up by the same command
    dataset = read_coco_panoptic(folder / "panoptic.json", trust_states=True)
    assert sorted(row.file_name for row in dataset.annotations) == ["a.jpg", "d/b.jpg", "d/c.jpg"]
    for annotation, panoptic_map in dataset:
        panoptic_map.check()
        assert (folder / "class-png" / annotation.png_name).exists()
    with RunFolder.read(folder) as run:
        assert [image.relative for image in run.plan(RECORDS).todo] == ["bad.jpg"]


def kill_at(moment: int) -> Callable[[FrameType, str, object], None]:
    """A profiler that kills the process just before its call number `moment` to the disk."""
    calls = 0

    def watch(frame: FrameType, event: str, call: object) -> None:
        nonlocal calls
        of = type(getattr(call, "__self__", None)).__name__
        if event == "c_call" and getattr(call, "__name__", "") in TOUCHES_DISK:
            calls += of in ("module", "FileIO", "BufferedWriter")
            if calls == moment:
                os.kill(os.getpid(), signal.SIGKILL)

    return watch


def kill_at_all_moments(folder: Path, step: int) -> int:
    """Run the scenario again and again, killed a little later each time; returns how often."""
    os.fsync = lambda descriptor: None  # a kill does not ask whether data is on the disk
    corrected(folder / "start")
    for moment in count(1, step):
        out = folder / f"out{moment}"
        shutil.copytree(folder / "start", out)
        child = os.fork()
        if child == 0:
            sys.setprofile(kill_at(moment))
            scenario(out)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            assert os.WEXITSTATUS(status) == 0
            return moment - step
        assert os.WTERMSIG(status) == signal.SIGKILL
        check(out)
    raise AssertionError("the scenario never ends")


def main(folder: Path, job: str, number: str = "0") -> None:
    if job == "moments":
        print(kill_at_all_moments(folder, int(number)))  # noqa: T201
        return
    if job == "starve":
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(number), int(number)))
    try:
        with RunFolder.open_or_create(folder, manifest("second")) as run:
            images = [record(f"{at}.jpg") for at in range(int(number) if job == "run" else 1000)]
            for at, image in enumerate(run.plan(images).todo):
                run.commit(image, labels(at, side=64))
                print(image.relative, flush=True)  # noqa: T201
            run.finish()
    except RunError as error:
        print(f"error: {error}", flush=True)  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
