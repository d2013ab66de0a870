"""Readers of other people that are installed beside the package: OpenCV and FiftyOne."""

import importlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from frozenseg_label.exchange.export_labels import export_labels
from frozenseg_label.formats.class_png import class_indices
from frozenseg_label.label_sets.open_label_set import open_label_set


def class_maps(labels: Path) -> dict[str, np.ndarray[Any, Any]]:
    with open_label_set(labels) as label_set:
        return {
            Path(name).stem: class_indices(label_set.read_map(name), label_set.vocabulary)
            for name in label_set.images
        }


def test_opencv_reads_grey_class_pngs_as_classes(labels: Path, tmp_path: Path) -> None:
    export_labels(labels, tmp_path / "grey", "class-png", grey=True)
    for stem, classes in class_maps(labels).items():
        path = tmp_path / "grey" / "class-png" / f"{stem}.png"
        assert np.array_equal(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), classes)


@pytest.mark.usefixtures("mongod")
def test_fiftyone_reads_coco_instances_and_class_pngs(labels: Path, tmp_path: Path) -> None:
    fiftyone = importlib.import_module("fiftyone")
    export_labels(labels, tmp_path / "coco", "coco-instances", stuff=True, pictures="copy")
    dataset = fiftyone.Dataset.from_dir(
        dataset_type=fiftyone.types.COCODetectionDataset,
        data_path=str(tmp_path / "coco" / "images"),
        labels_path=str(tmp_path / "coco" / "instances.json"),
        label_types=["segmentations"],
        progress=False,
    )
    with open_label_set(labels) as label_set:
        for sample in dataset:
            found = label_set.read_map(Path(sample.filepath).name)
            assert len(sample.ground_truth.detections) == len(found.segments)
            for detection, segment in zip(
                sample.ground_truth.detections, found.segments, strict=True
            ):
                x, y, w, h = segment.bbox
                mask = found.ids[y : y + h, x : x + w] == segment.id
                assert np.array_equal(detection.mask, mask)
                assert detection.label == label_set.vocabulary.by_id(segment.category_id).name
    export_labels(labels, tmp_path / "png", "class-png", grey=True, pictures="copy")
    dataset = fiftyone.Dataset.from_dir(
        dataset_type=fiftyone.types.ImageSegmentationDirectory,
        data_path=str(tmp_path / "png" / "images"),
        labels_path=str(tmp_path / "png" / "class-png"),
        progress=False,
    )
    expected = class_maps(labels)
    for sample in dataset:
        mask = sample.ground_truth.get_mask()
        assert np.array_equal(mask, expected[Path(sample.filepath).stem])
