"""What we insert is what FiftyOne's own insertion makes of the same images and segments."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from frozenseg_label.review.app.fiftyone_dataset import open_dataset
from frozenseg_label.runs.run_folder import RunFolder

if TYPE_CHECKING:
    import fiftyone as fo

# Of the row, not of what is in it; FiftyOne makes them for each insertion anew.
OF_THE_ROW = {"_id", "_dataset_id", "_rand", "created_at", "last_modified_at"}


def rows(dataset: "fo.Dataset") -> list[dict[str, Any]]:
    """Return what the database has of each image, but for None, which FiftyOne takes as missing."""
    kept = []
    for row in dataset._sample_collection.find():
        segments = [_without_none(segment) for segment in row["segments"]["detections"]]
        for segment in segments:
            del segment["_id"]
        kept.append(_without_none(row) | {"segments": segments})
    return [{key: row[key] for key in row.keys() - OF_THE_ROW} for row in kept]


def _without_none(document: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if value is not None}


def test_the_database_has_the_same_rows_as_after_fiftyones_insertion(out: Path) -> None:
    import fiftyone as fo

    with RunFolder.read(out) as run:
        ours = open_dataset(run).dataset
    theirs = fo.Dataset("frozenseg-theirs")
    theirs.add_samples([sample.copy() for sample in ours], dynamic=True, progress=False)
    assert rows(ours) == rows(theirs)
    assert len(rows(ours)) == 3
    assert ours.media_type == theirs.media_type == "image"


def test_no_field_is_there_that_is_not_declared(out: Path) -> None:
    with RunFolder.read(out) as run:
        dataset = open_dataset(run).dataset
    assert dataset.get_dynamic_field_schema() == {}
    declared = dataset.get_field_schema(flat=True)
    for row in rows(dataset):
        assert {name for name in row if not name.startswith("_")} <= declared.keys()
