"""A dataset folder of FiftyOne: FiftyOne reads it, mask by mask as it was."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from frozenseg_label.cli import main
from frozenseg_label.errors import ReviewError
from frozenseg_label.exchange.export_labels import export_labels
from frozenseg_label.review.review_run import fiftyone_writer
from frozenseg_label.runs.run_folder import RunFolder
from tests.review.small_run import labels


@pytest.fixture
def imported(out: Path) -> Iterator[Path]:
    yield out
    import fiftyone as fo

    fo.delete_datasets("from-folder*")


def read(folder: Path, name: str):  # noqa: ANN201 - FiftyOne has no types
    import fiftyone as fo

    kind = fo.types.FiftyOneDataset
    return fo.Dataset.from_dir(str(folder), kind, name=f"from-folder-{name}", progress=False)


def test_fiftyone_reads_every_mask_and_all_that_is_said_of_it(
    imported: Path, tmp_path: Path
) -> None:
    import fiftyone as fo

    there = fo.list_datasets()
    summary = export_labels(
        imported, tmp_path / "fo", "fiftyone", split="40/30/30", writer=fiftyone_writer()
    )
    assert (summary.images, summary.segments, summary.lost) == (3, 9, {})
    assert fo.list_datasets() == there
    (tmp_path / "fo").rename(tmp_path / "moved")
    dataset = read(tmp_path / "moved", "moved")
    expected = labels()
    with RunFolder.read(imported) as run:
        names = {c.id: c.name for c in run.vocabulary.categories}
        for sample in dataset:
            assert Path(sample.filepath) == tmp_path / "moved" / "data" / sample.image
            assert Path(sample.filepath).is_file()
            assert sample.state == "unseen"
            drawn = np.zeros_like(expected.ids)
            for detection in sample.segments.detections:
                (segment,) = [s for s in expected.segments if s.id == detection.segment_id]
                x, y, w, h = segment.bbox
                box = np.array(detection.bounding_box) * [60, 40, 60, 40]
                assert box.tolist() == pytest.approx([x, y, w, h])
                drawn[y : y + h, x : x + w][detection.mask] = segment.id
                assert (detection.label, detection.second) == (names[segment.category_id], "dog")
                assert (detection.confidence, detection.margin) == (0.123456789, 0.1)
                assert (detection.area, detection.iscrowd) == (segment.area, False)
                assert (detection.source, detection.state) == ("model:abc", "proposed")
            assert np.array_equal(drawn, run.read_map(sample.image).ids)
    assert sorted(tag for sample in dataset for tag in sample.tags) == sorted(
        part for part, count in summary.parts.items() for _ in range(count)
    )


def test_classes_and_colours_are_those_of_the_review(imported: Path, tmp_path: Path) -> None:
    command = ["export", str(imported), "--to", "fiftyone", "-o", str(tmp_path / "fo")]
    assert main([*command, "--pictures", "none"]) == 0
    dataset = read(tmp_path / "fo", "none")
    assert {sample.filepath for sample in dataset} == {
        str(tmp_path / "photos" / f"{name}.png") for name in "abc"
    }
    assert dataset.label_schemas["segments"]["classes"] == ["cat", "dog", "sky", "grass"]
    (field,) = dataset.app_config.color_scheme.fields
    assert field["valueColors"][0] == {"value": "cat", "color": "#ff0000"}
    assert dataset.default_classes == ["cat", "dog", "sky", "grass"]
    assert main([*command, "--pictures", "link"]) == 0
    assert (tmp_path / "fo" / "data" / "a.png").samefile(tmp_path / "photos" / "a.png")
    left = {path.name for path in (tmp_path / "fo").iterdir()}
    ours = {name for name in left if name.startswith(".frozenseg-")}
    assert left - ours == {"samples.json", "metadata.json", "data"}


def test_without_a_database_nothing_is_written(
    out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FIFTYONE_DATABASE_URI", "mongodb://127.0.0.1:9")
    with pytest.raises(ReviewError, match="a dataset of FiftyOne needs MongoDB"):
        fiftyone_writer()
    command = ["export", str(out), "--to", "fiftyone", "-o", str(tmp_path / "fo")]
    assert main(command) == 1
    assert "does not answer" in capsys.readouterr().err
    assert not (tmp_path / "fo").exists()
