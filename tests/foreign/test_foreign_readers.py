"""Libraries of other people read our exports, pixel by pixel."""

from collections.abc import Callable
from pathlib import Path

import pytest

from frozenseg_label.exchange.export_labels import ExportForm, export_labels
from tests.foreign.conftest import Rows

Read = Callable[[str, Path], Rows]


@pytest.mark.parametrize(
    ("form", "reader"),
    [
        ("coco-instances", "coco-instances"),
        ("coco-panoptic", "coco-panoptic"),
        ("cvat", "cvat"),
        ("voc", "voc"),
        ("label-studio", "label-studio"),
        ("coco-instances", "supervision coco"),
        ("hf", "mask2former"),
    ],
)
def test_every_mask_is_read_as_it_was(
    form: ExportForm, reader: str, labels: Path, expected: Rows, read: Read, tmp_path: Path
) -> None:
    stuff = form == "coco-instances"
    export_labels(labels, tmp_path / "export", form, stuff=stuff, pictures="copy")
    assert read(reader, tmp_path / "export") == expected


def test_supervision_reads_the_polygons_and_holes_are_filled(
    labels: Path, expected: Rows, read: Read, tmp_path: Path
) -> None:
    export_labels(labels, tmp_path / "export", "yolo-seg")
    found = read("supervision yolo", tmp_path / "export")
    things = [row for row in expected if row[1] != "sky"]
    assert [row[:2] for row in found] == [row[:2] for row in things]
    for there, here in zip(found, things, strict=True):
        if here[1] == "cat":  # with a hole of 12 pixels; a line of 7 joins the parts
            assert there[2] == here[2] + 12 + 7
        else:
            assert there == here
