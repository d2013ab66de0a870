"""Read an export with a library of other people: python read_labels.py READER FOLDER [MASKS].

Runs in their environment, so it imports nothing of ours. Prints a JSON list: of each mask its image
(without suffix), its class, its area, and a hash of its pixels. MASKS is a file for the masks
themselves (numpy's .npz), in the order of the list.
"""

import hashlib
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

Row = tuple[str, str, Any]  # image, class, mask [H, W]


def read_with_datumaro(folder: Path, form: str, source: str = "") -> Iterator[Row]:
    """Yield the masks that datumaro sees."""
    import datumaro

    dataset = datumaro.Dataset.import_from(str(folder / source), form)
    labels = dataset.categories()[datumaro.AnnotationType.label]
    for item in dataset:
        for annotation in item.annotations:
            if annotation.type == datumaro.AnnotationType.mask:
                yield item.id, labels[annotation.label].name, annotation.image


def read_coco_with_datumaro(folder: Path, form: str, source: str) -> Iterator[Row]:
    """Yield the masks that datumaro sees where the files are in folders named as COCO has them."""
    with tempfile.TemporaryDirectory() as root:
        Path(root, "annotations").symlink_to(folder.resolve())
        Path(root, "images").symlink_to((folder / "images").resolve())
        yield from read_with_datumaro(Path(root), form, f"annotations/{source}")


def read_with_supervision(folder: Path, form: str) -> Iterator[Row]:
    """Yield the masks that supervision sees."""
    import supervision

    images = str(folder / "images")
    if form == "yolo-seg":
        labels, names = str(folder / "labels"), str(folder / "data.yaml")
        dataset = supervision.DetectionDataset.from_yolo(images, labels, names, force_masks=True)
    else:
        path = str(folder / "instances.json")
        dataset = supervision.DetectionDataset.from_coco(images, path, force_masks=True)
    for path, _, found in dataset:
        for mask, number in zip(found.mask, found.class_id, strict=True):
            yield Path(path).stem, dataset.classes[number], mask


def read_with_label_studio(folder: Path) -> Iterator[Row]:
    """Yield the masks that Label Studio's SDK decodes."""
    from label_studio_sdk.converter.brush import decode_rle

    for task in json.loads((folder / "tasks.json").read_text()):
        said = task.get("annotations") or task["predictions"]
        for result in said[0]["result"]:
            shape = result["original_height"], result["original_width"], 4
            pixels = np.reshape(decode_rle(result["value"]["rle"]), shape)
            (label,) = result["value"]["brushlabels"]
            yield Path(task["data"]["image"].partition("?d=")[2]).stem, label, pixels[..., 3]


def read_with_mask2former(folder: Path) -> Iterator[Row]:
    """Yield the masks that transformers makes for the training of Mask2Former."""
    import datasets

    # Not `transformers.Mask2FormerImageProcessor`: that one needs torch, which would be gigabytes.
    from transformers.models.mask2former.image_processing_pil_mask2former import (
        Mask2FormerImageProcessorPil,
    )

    processor = Mask2FormerImageProcessorPil(do_resize=False, ignore_index=0)
    with tempfile.TemporaryDirectory() as cache:
        rows = datasets.load_dataset(str(folder), split="train", cache_dir=cache)
        names = rows.features["segments"].feature["label"].names
        for row in rows:
            ids = np.array(row["segmentation"]).astype("int32")
            batch = processor(
                images=[row["image"]],
                segmentation_maps=[ids],
                instance_id_to_semantic_id={one["id"]: one["label"] for one in row["segments"]},
                return_tensors="np",
            )
            masks, labels = batch["mask_labels"][0], batch["class_labels"][0]
            for mask, label in zip(masks, labels, strict=True):
                yield Path(row["name"]).stem, names[label], mask


READERS = {
    "coco-instances": lambda folder: read_coco_with_datumaro(
        folder, "coco_instances", "instances.json"
    ),
    "coco-panoptic": lambda folder: read_coco_with_datumaro(
        folder, "coco_panoptic", "panoptic.json"
    ),
    "cvat": lambda folder: read_with_datumaro(folder, "cvat", "annotations.xml"),
    "voc": lambda folder: read_with_datumaro(folder, "voc_segmentation"),
    "label-studio": read_with_label_studio,
    "mask2former": read_with_mask2former,
    "supervision coco": lambda folder: read_with_supervision(folder, "coco"),
    "supervision yolo": lambda folder: read_with_supervision(folder, "yolo-seg"),
}


def main() -> None:
    """Print what a reader sees."""
    reader, folder, *more = sys.argv[1:]
    rows = []
    masks = {}
    for image, label, mask in READERS[reader](Path(folder)):
        inside = np.asarray(mask).astype(bool)
        digest = hashlib.sha256(np.packbits(inside).tobytes()).hexdigest()
        rows.append((image, label, int(inside.sum()), digest))
        if more:
            masks[rows[-1]] = inside
    rows.sort()
    for file in more:
        np.savez_compressed(file, *(masks[row] for row in rows))
    print(json.dumps(rows))  # noqa: T201 - its only output


if __name__ == "__main__":
    main()
