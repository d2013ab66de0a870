"""Correct an export with a library of other people: python edit_labels.py FORMAT FOLDER OUT.

Runs in their environment, so it imports nothing of ours. In the image 1, the small cat becomes a
dog, and the lower end of the other dog is taken away; all else is written as it was read.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

SMALL_CAT = 48  # pixels
DOG_AT = 3, 22  # one of its pixels: y, x
LAST_ROW = 19


def corrected(image: str, label: str, mask: Any) -> tuple[str, Any]:  # noqa: ANN401 - numpy's
    """Return class and mask [H, W] of an object as a person corrects it."""
    mask = np.array(mask).astype(bool)
    if Path(image).stem == "1":
        if label == "cat" and mask.sum() == SMALL_CAT:
            return "dog", mask
        if label == "dog" and mask[DOG_AT]:
            mask[LAST_ROW] = False
    return label, mask


def edit_with_datumaro(form: str, source: Path, out: Path, **options: object) -> None:
    """Read, correct and write masks with datumaro."""
    import datumaro

    kinds = datumaro.AnnotationType
    dataset = datumaro.Dataset.import_from(str(source), form)
    labels = dataset.categories()[kinds.label]
    items = []
    for item in dataset:
        masks = []
        for old in item.annotations:
            if old.type != kinds.mask:
                continue  # boxes of COCO
            label, mask = corrected(item.id, labels[old.label].name, old.image)
            new = datumaro.Mask(image=mask, label=labels.find(label)[0], id=old.id, group=old.group)
            masks.append(new)
        items.append(item.wrap(annotations=masks))
    edited = datumaro.Dataset.from_iterable(
        items, categories=dataset.categories(), media_type=dataset.media_type()
    )
    edited.export(str(out), form, save_media=False, **options)


def edit_coco(form: str, folder: Path, name: str, out: Path, **options: object) -> None:
    """Correct COCO's files, which datumaro wants in folders named as COCO has them."""
    root = out.parent / f"{out.name} read from"
    (root / "images").mkdir(parents=True)
    (root / "annotations").symlink_to(folder.resolve())
    edit_with_datumaro(form, root / "annotations" / name, out, **options)


def edit_label_studio(folder: Path, out: Path) -> None:
    """Correct tasks with the functions that Label Studio's converters use; submit all of them."""
    from label_studio_sdk.converter.brush import decode_rle, mask2rle

    tasks = json.loads((folder / "tasks.json").read_text())
    for task in tasks:
        results = task.pop("predictions")[0]["result"]
        for result in results:
            value = result["value"]
            size = result["original_height"], result["original_width"], 4
            mask = np.reshape(decode_rle(value["rle"]), size)[..., 3]
            label, mask = corrected(task["data"]["image"], value["brushlabels"][0], mask)
            value["brushlabels"] = [label]
            value["rle"] = mask2rle(mask.astype(np.uint8) * 255)
        task["annotations"] = [{"result": results, "was_cancelled": False}]
    out.mkdir()
    (out / "tasks.json").write_text(json.dumps(tasks))


EDITORS = {
    "coco-instances": lambda folder, out: edit_coco(
        "coco_instances", folder, "instances.json", out, segmentation_mode="mask"
    ),
    "coco-panoptic": lambda folder, out: edit_coco("coco_panoptic", folder, "panoptic.json", out),
    "cvat": lambda folder, out: edit_with_datumaro("cvat", folder / "annotations.xml", out),
    "voc": lambda folder, out: edit_with_datumaro(
        "voc_segmentation", folder, out, label_map="source"
    ),
    "label-studio": edit_label_studio,
}


if __name__ == "__main__":
    EDITORS[sys.argv[1]](Path(sys.argv[2]), Path(sys.argv[3]))
