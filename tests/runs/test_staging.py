"""Workers write files, on any machine; only the program that has the run folder commits them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from frozenseg_label.errors import RunError
from frozenseg_label.images import ImageRecord
from frozenseg_label.panoptic import PanopticMap
from frozenseg_label.runs.embeddings import ImageEmbeddings
from frozenseg_label.runs.manifest import Manifest
from frozenseg_label.runs.run_folder import RunFolder
from frozenseg_label.runs.staging import LabelStager, StagedLabels, StagingFolder, UnstagedImage

MakeManifest = Callable[..., Manifest]
MakeImage = Callable[..., ImageRecord]
MakeMap = Callable[..., PanopticMap]


def seen(number: int) -> ImageEmbeddings:
    vector = np.eye(4, dtype=np.float16)[number]
    return ImageEmbeddings.of("ab", vector, {1: vector})


def stage(run: RunFolder, record: ImageRecord, labels: PanopticMap, number: int) -> StagedLabels:
    """Stage the labels of one image as a worker of its own would."""
    order = run.order(record)
    stager = LabelStager.of_worker(run.path, run.manifest.fingerprint)
    worker = StagingFolder(stager, [order])
    worker.accept(
        worker.stage(worker.order(record), labels, embeddings=seen(number), kept=b"proposals")
    )
    stager.embeddings.close()
    [staged] = worker.outcomes
    assert isinstance(staged, StagedLabels)
    return staged


def files(folder: Path) -> dict[str, bytes]:
    found = (path for kind in ("panoptic", "kept") for path in (folder / kind).rglob("*"))
    return {f"{path.relative_to(folder)}": path.read_bytes() for path in found}


def test_what_workers_stage_becomes_what_one_program_writes(
    tmp_path: Path, make_manifest: MakeManifest, make_image: MakeImage, make_map: MakeMap
) -> None:
    records = [make_image(name) for name in ("a.jpg", "a.png", "b.jpg")]
    labels = make_map([[1, 1, 2]], {1: (1, "proposed"), 2: (2, "proposed")})
    with RunFolder.open_or_create(tmp_path / "plain", make_manifest()) as run:
        for number, record in enumerate(records):
            run.commit(record, labels, embeddings=seen(number), kept=b"proposals")
    with RunFolder.open_or_create(tmp_path / "shared", make_manifest()) as run:
        staged = [stage(run, record, labels, number) for number, record in enumerate(records)]
        assert list(run.entries()) == []
        for one in reversed(staged):
            run.accept(one)
        assert run.finish().labelled == 3
        vectors = {entry.image: run.read_embeddings(entry) for entry in run.entries()}
        for number, record in enumerate(records):
            found = vectors[record.relative]
            assert found is not None
            assert found.segments[1].tolist() == seen(number).image.tolist()
    assert files(tmp_path / "shared") == files(tmp_path / "plain")
    assert "panoptic/a.png.png" in files(tmp_path / "plain")
    assert len(list((tmp_path / "shared" / "embeddings").iterdir())) == 3


def test_corrections_of_a_person_stay_beside_what_a_worker_stages(
    tmp_path: Path, make_manifest: MakeManifest, make_image: MakeImage, make_map: MakeMap
) -> None:
    image = make_image("a.jpg")
    with RunFolder.open_or_create(tmp_path / "out", make_manifest()) as run:
        run.commit(image, make_map([[1, 1, 2, 2]], {1: (1, "proposed"), 2: (2, "proposed")}))
        mine = make_map([[1, 1, 2, 2]], {1: (2, "edited"), 2: (2, "proposed")})
        run.correct(image, mine, state="in review")
        run.accept(stage(run, image, make_map([[7, 7, 7, 7]], {7: (1, "proposed")}), 0))
        written = run.read_map("a.jpg")
    [human] = [segment for segment in written.segments if segment.is_owned]
    assert (written.ids == human.id).tolist() == [[True, True, False, False]]


def test_what_was_staged_and_not_accepted_is_removed_at_the_next_opening(
    tmp_path: Path, make_manifest: MakeManifest, make_image: MakeImage, make_map: MakeMap
) -> None:
    out, labels = tmp_path / "out", make_map([[1]], {1: (1, "proposed")})
    with RunFolder.open_or_create(out, make_manifest()) as run:
        accepted, lost = (stage(run, make_image(name), labels, 0) for name in ("a.jpg", "b.jpg"))
        run.accept(accepted)
        stage(run, make_image("a.jpg"), labels, 0)  # a worker that was thought to be dead
        assert len(files(out)) == 6
    with RunFolder.open_or_create(out, make_manifest()) as run:
        assert sorted(files(out)) == ["kept/a.safetensors", "panoptic/a.png"]
        assert lost.image not in {entry.image for entry in run.entries()}


def test_a_worker_reports_the_images_that_it_could_not_label(
    tmp_path: Path, make_manifest: MakeManifest, make_image: MakeImage
) -> None:
    image = make_image("a.jpg")
    with RunFolder.open_or_create(tmp_path / "out", make_manifest()) as run:
        stager = LabelStager.of_worker(run.path, run.manifest.fingerprint)
        worker = StagingFolder(stager, [run.order(image)])
        worker.fail(image, "torn")
    assert worker.outcomes == [UnstagedImage(image, "torn")]


def test_a_worker_refuses_a_folder_that_is_not_the_programs(
    tmp_path: Path, make_manifest: MakeManifest
) -> None:
    with pytest.raises(RunError, match="there is no such folder"):
        LabelStager.of_worker(tmp_path / "elsewhere", "fingerprint")
    with RunFolder.open_or_create(tmp_path / "out", make_manifest()):
        pass
    with pytest.raises(RunError, match="other weights, words or options"):
        LabelStager.of_worker(tmp_path / "out", "fingerprint")
