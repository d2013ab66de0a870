"""Hugging Face's `datasets` reads the export: pictures, masks, segments, classes and parts."""

import io
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from frozenseg_label.errors import FormatError
from frozenseg_label.exchange.export_labels import export_labels
from frozenseg_label.formats import hugging_face
from frozenseg_label.images import ImageRecord
from frozenseg_label.label_sets.open_label_set import open_label_set
from frozenseg_label.panoptic import PanopticMap, Segment
from frozenseg_label.runs.manifest import Manifest
from frozenseg_label.runs.run_folder import RunFolder
from tests.runs.conftest import make_image, make_manifest, vocabulary

__all__ = ["make_image", "make_manifest", "vocabulary"]

MakeImage = Callable[..., ImageRecord]
SIDEWAYS = 6  # EXIF: turn it by a quarter to see it upright


def picture(width: int, height: int, form: str, **options: object) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height), (9, 9, 9)).save(file, form, **options)
    return file.getvalue()


def labelled(rows: list[list[int]]) -> PanopticMap:
    """A dog with a high id, and cats with a second class and all the signs of doubt."""
    ids = np.array(rows, dtype=np.int32)
    cat = Segment(
        1,
        1,
        is_thing=True,
        margin=0.1,
        second=2,
        source="model:a",
        disagreement=0.25,
        contested=0.5,
        sam_disagreement=0.75,
    )
    cats = (replace(cat, id=id_, score=0.1 + id_ / 1e4) for id_ in range(1, 301))
    return PanopticMap.of(ids, [Segment(70000, 2, is_thing=True, state="edited"), *cats])


@pytest.fixture
def out(tmp_path: Path, make_manifest: Callable[..., Manifest], make_image: MakeImage) -> Path:
    """Three images: one that lies on its side, one of 300 segments, one without any."""
    sideways = Image.Exif()
    sideways[0x0112] = SIDEWAYS
    photos = [
        make_image("a/side.jpg", picture(3, 5, "JPEG", exif=sideways)),
        make_image("many.png", picture(20, 15, "PNG")),
        make_image("none.png", picture(20, 15, "PNG", compress_level=0)),
    ]
    maps = {
        "a/side.jpg": labelled([[1, 1, 0, 70000, 70000]] * 3),
        "many.png": labelled(np.arange(1, 301).reshape(15, 20).tolist()),
        "none.png": labelled([[0] * 20] * 15),
    }
    with RunFolder.open_or_create(tmp_path / "out", make_manifest()) as run:
        for record in run.plan(photos).todo:
            run.commit(record, maps[record.relative])
        run.finish()
    return tmp_path / "out"


def load(folder: Path, cache: Path, **options: object) -> Any:  # noqa: ANN401 - has no types
    import datasets

    datasets.disable_progress_bars()
    return datasets.load_dataset(str(folder), cache_dir=str(cache), **options)


def test_datasets_reads_every_pixel_and_all_that_is_said_of_a_segment(
    out: Path, tmp_path: Path
) -> None:
    summary = export_labels(out, tmp_path / "hf", "hf")
    assert summary.lost == {}
    rows = load(tmp_path / "hf", tmp_path / "cache", split="train")
    assert [row["name"] for row in rows] == ["a/side.jpg", "many.png", "none.png"]
    label = rows.features["segments"].feature["label"]
    with open_label_set(out) as label_set:
        for row in rows:
            labels = label_set.read_map(row["name"])
            ids = np.array(row["segmentation"])
            assert row["image"].size == row["segmentation"].size == labels.ids.shape[::-1]
            assert len(row["segments"]) == len(labels.segments)
            for said, segment in zip(row["segments"], labels.segments, strict=True):
                assert np.array_equal(ids == said["id"], labels.ids == segment.id)
                name = label_set.vocabulary.by_id(segment.category_id).name
                assert (label.int2str(said["label"]), said["name"]) == (name, name)
                facts = {**vars(segment), "id": said["id"], "bbox": list(segment.bbox)}
                facts["segment_id"], facts["second"] = segment.id, segment.second and "dog"
                assert said == {**facts, "label": said["label"], "name": name}
            assert (ids == 0).sum() == (labels.ids == 0).sum()


def test_parts_are_splits_and_pictures_may_stay_where_they_are(out: Path, tmp_path: Path) -> None:
    export_labels(out, tmp_path / "hf", "hf", split="40/40/20", pictures="none")
    parts = load(tmp_path / "hf", tmp_path / "cache")
    assert set(parts) <= {"train", "validation", "test"}
    rows = [row for part in parts.values() for row in part]
    assert sorted(row["name"] for row in rows) == ["a/side.jpg", "many.png", "none.png"]
    assert {row["image"].size for row in rows} == {(5, 3), (20, 15)}
    stored = b"".join(path.read_bytes() for path in (tmp_path / "hf" / "data").iterdir())
    assert os.fsencode(tmp_path / "photos") in stored
    with pytest.raises(FormatError, match="--pictures copy, or none"):
        export_labels(out, tmp_path / "linked", "hf", pictures="link")


def test_a_second_export_writes_the_files_whose_images_changed(
    out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hugging_face, "SHARD_IMAGES", 1)
    export_labels(out, tmp_path / "hf", "hf")
    files = sorted((tmp_path / "hf" / "data").iterdir())
    before = [file.stat().st_ino for file in files]
    assert [file.name for file in files] == [f"train-0000{n}.parquet" for n in range(3)]
    with RunFolder.open_to_correct(out) as run:
        entry = run.entry("many.png")
        assert entry is not None
        run.correct(run.record(entry), labelled([[70000] * 20] * 15), state="reviewed")
        run.finish()
    assert export_labels(out, tmp_path / "hf", "hf").unchanged == 2
    now = [file.stat().st_ino for file in files]
    assert [a == b for a, b in zip(before, now, strict=True)] == [True, False, True]
    rows = load(tmp_path / "hf", tmp_path / "cache", split="train")
    assert [len(row["segments"]) for row in rows] == [2, 1, 0]
    summary = export_labels(out, tmp_path / "hf", "hf", only="reviewed")
    assert (summary.images, summary.removed) == (1, 2)


def test_a_file_ends_before_its_pictures_are_too_many_or_too_large() -> None:
    from frozenseg_label.formats.export_image import Place

    limit = hugging_face.SHARD_BYTES
    sizes = [limit, 1, limit // 2, limit // 2, 1]
    places = [Place(f"{n}", f"{n}", "", "val") for n in range(len(sizes))]
    cut = list(hugging_face.in_shards("val", places, lambda place: sizes[int(place.name)]))
    assert [[place.name for place in shard] for _, shard in cut] == [["0"], ["1", "2"], ["3", "4"]]
    assert cut[0][0] == "data/validation-00000.parquet"
    many = [Place("0", "0", "")] * (hugging_face.SHARD_IMAGES + 1)
    assert [len(shard) for _, shard in hugging_face.in_shards("", many, lambda _: 1)] == [1000, 1]
