"""What is written beside COCO panoptic always says what the panoptic map says."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from frozenseg_label.images import ImageRecord
from frozenseg_label.panoptic import PanopticMap
from frozenseg_label.runs.manifest import Manifest
from frozenseg_label.runs.run_folder import RunFolder

MakeManifest = Callable[..., Manifest]
MakeImage = Callable[..., ImageRecord]
MakeMap = Callable[..., PanopticMap]

BOTH = ("class-png", "per-class-png")


def files(out: Path) -> set[str]:
    folders = ("class-png", "per-class-png", "semantic")
    return {
        path.relative_to(out).as_posix()
        for folder in folders
        for path in (out / folder).rglob("*")
        if path.is_file()
    }


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def cat_and_sky(make_map: MakeMap) -> PanopticMap:
    return make_map([[4, 4, 9]], {4: (1, "proposed"), 9: (3, "proposed")})


EXPECTED = {
    "class-png/d/a.png",
    "per-class-png/cat/d/a.png",
    "per-class-png/sky/d/a.png",
}


def test_extra_formats_are_written_beside_the_panoptic_map(
    out: Path, make_manifest: MakeManifest, make_image: MakeImage, cat_and_sky: PanopticMap
) -> None:
    with RunFolder.open_or_create(out, make_manifest(), formats=BOTH) as run:
        run.commit(make_image("d/a.jpg"), cat_and_sky)
        run.finish()
    assert files(out) == EXPECTED
    with Image.open(out / "class-png" / "d" / "a.png") as image:
        assert np.asarray(image).tolist() == [[1, 1, 3]]
    assert json.loads((out / "classes.json").read_text())[3]["name"] == "sky"


def test_a_format_asked_for_later_is_made_from_the_labels_there_are(
    out: Path, make_manifest: MakeManifest, make_image: MakeImage, cat_and_sky: PanopticMap
) -> None:
    record = make_image("d/a.jpg")
    with RunFolder.open_or_create(out, make_manifest()) as run:
        run.commit(record, cat_and_sky)
        run.finish()
    assert files(out) == set()
    with RunFolder.open_or_create(out, make_manifest(), formats=BOTH) as run:
        assert run.plan([record]).todo == ()
        run.finish()
    assert files(out) == EXPECTED


def test_files_of_earlier_labels_vanish(
    out: Path, make_manifest: MakeManifest, make_image: MakeImage, make_map: MakeMap,
    cat_and_sky: PanopticMap,
) -> None:  # fmt: skip
    record = make_image("d/a.jpg")
    with RunFolder.open_or_create(out, make_manifest(), formats=BOTH) as run:
        run.commit(record, cat_and_sky, semantic=np.array([[0, 0, 2]]))
        run.commit(record, make_map([[1, 1, 1]], {1: (2, "proposed")}))
        assert files(out) == {"class-png/d/a.png", "per-class-png/dog/d/a.png"}
    with RunFolder.open_or_create(out, make_manifest()) as run:  # these formats are not asked for
        run.commit(record, cat_and_sky)
        assert files(out) == set()


def test_semantic_maps_are_class_pngs_of_their_own(
    out: Path, make_manifest: MakeManifest, make_image: MakeImage, cat_and_sky: PanopticMap
) -> None:
    record = make_image("d/a.jpg")
    with RunFolder.open_or_create(out, make_manifest()) as run:
        run.commit(record, cat_and_sky)
    with RunFolder.open_or_create(out, make_manifest(), semantic=True) as run:
        assert run.plan([record]).reasons == {"incomplete": 1}
        run.commit(record, cat_and_sky, semantic=np.array([[0, 1, 2]]))
        assert run.plan([record]).todo == ()
        run.finish()
    with Image.open(out / "semantic" / "d" / "a.png") as image:
        assert np.asarray(image).tolist() == [[1, 2, 3]]
    assert (out / "classes.json").is_file()


@pytest.fixture
def make_picture(tmp_path: Path, make_image: MakeImage) -> MakeImage:
    """A grey picture of as many pixels as the small maps here."""

    def make(relative: str) -> ImageRecord:
        path = tmp_path / "picture.png"
        Image.new("RGB", (3, 1), (90, 90, 90)).save(path)
        return make_image(relative, path.read_bytes())

    return make


def test_an_overlay_is_drawn_for_labelled_images_and_follows_corrections(
    out: Path, make_manifest: MakeManifest, make_picture: MakeImage, make_map: MakeMap,
    cat_and_sky: PanopticMap,
) -> None:  # fmt: skip
    record, failing = make_picture("d/a.png"), make_picture("d/b.png")
    manifest = make_manifest()
    manifest = manifest.model_copy(update={"arguments": {"formats": ["overlay"]}})
    with RunFolder.open_or_create(out, manifest, formats=["overlay"]) as run:
        run.plan([record, failing])
        run.commit(record, cat_and_sky)
        run.fail(failing, "unreadable")
        run.finish()
    before = (out / "overlay/d/a.jpg").read_bytes()
    assert [path.name for path in (out / "overlay").rglob("*.*")] == ["a.jpg"]
    with RunFolder.open_to_correct(out) as run:
        run.correct(record, make_map([[1, 1, 1]], {1: (2, "edited")}), state="reviewed")
    assert (out / "overlay/d/a.jpg").read_bytes() != before


def test_overlays_asked_for_later_are_drawn_and_missing_pictures_are_told_once(
    out: Path, make_manifest: MakeManifest, make_picture: MakeImage, cat_and_sky: PanopticMap,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    records = [make_picture(f"{name}.png") for name in "abc"]
    with RunFolder.open_or_create(out, make_manifest()) as run:
        run.plan(records)
        for record in records:
            run.commit(record, cat_and_sky)
        run.finish()
    for record in records[1:]:
        record.path.unlink()
    with RunFolder.open_or_create(out, make_manifest(), formats=["overlay"]) as run:
        run.finish()
    assert [path.name for path in (out / "overlay").iterdir()] == ["a.jpg"]
    (warning,) = caplog.messages
    assert "2 overlays were not drawn" in warning
    assert "b.png" in warning


def test_an_overlay_of_earlier_labels_vanishes_where_the_picture_is_gone(
    out: Path, make_manifest: MakeManifest, make_picture: MakeImage, make_map: MakeMap,
    cat_and_sky: PanopticMap,
) -> None:  # fmt: skip
    record = make_picture("a.png")
    with RunFolder.open_or_create(out, make_manifest(), formats=["overlay"]) as run:
        run.commit(record, cat_and_sky)
        assert (out / "overlay/a.jpg").is_file()
        record.path.unlink()
        run.commit(record, make_map([[1, 1, 1]], {1: (2, "proposed")}))
        assert not (out / "overlay/a.jpg").exists()
