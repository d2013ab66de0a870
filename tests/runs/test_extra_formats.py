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
