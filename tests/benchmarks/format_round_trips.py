"""What is left of labels that went out in a format and were read by a library of other people.

    FROZENSEG_FOREIGN_PYTHON=PYTHON python tests/benchmarks/format_round_trips.py FOLDER

PYTHON is one with tests/foreign/requirements.txt. The labels are those of the embedded model for
thirty demonstration images (made in FOLDER, and used again). Prints a row of Markdown a format: of
how many segments a mask of the same image and class came back, how many of them pixel by pixel, and
their IoU.
"""

import argparse
import base64
import io
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from frozenseg_label import annotate, export_labels, fiftyone_writer, write_demo
from frozenseg_label.exchange.export_formats import FORMATS
from frozenseg_label.exchange.export_labels import PictureMode
from frozenseg_label.exchange.export_losses import count_outlines
from frozenseg_label.label_sets.label_set import LabelSet
from frozenseg_label.label_sets.open_label_set import open_label_set

Mask = NDArray[np.bool_]
Row = tuple[str, str, Mask]  # image without suffix, class, mask [H, W]

READ_LABELS = Path(__file__).parents[1] / "foreign" / "read_labels.py"
FOREIGN = {  # format -> who reads it, and what `read_labels.py` calls it
    "coco-instances": ("datumaro", "coco-instances"),
    "coco-panoptic": ("datumaro", "coco-panoptic"),
    "cvat": ("datumaro", "cvat"),
    "label-studio": ("label-studio-sdk", "label-studio"),
    "yolo-seg": ("supervision", "supervision yolo"),
    "voc": ("datumaro", "voc"),
    "hf": ("transformers, datasets", "mask2former"),
}


def main() -> None:
    """Make the labels, send them out in each format, print what came back."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    if not (folder / "labels").exists():
        write_demo(folder / "pictures", count=30, style="unseen")
        annotate(folder / "pictures", folder / "labels", "stickers")
    with open_label_set(folder / "labels") as label_set:
        sent = segments(label_set)
    columns = ["format", "read by", f"{len(sent)} segments", "exact", "with holes", "IoU", "least"]
    lines = [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
    for form in FORMATS:
        out = folder / form
        shutil.rmtree(out, ignore_errors=True)
        pictures: PictureMode = "copy" if form in FOREIGN else "none"
        stuff = FORMATS[form].stuff_asked
        writer = fiftyone_writer() if form == "fiftyone" else None
        export_labels(folder / "labels", out, form, stuff=stuff, pictures=pictures, writer=writer)
        if form in FOREIGN:
            reader, name = FOREIGN[form]
            back = list(read_elsewhere(name, out, folder / "masks.npz"))
        elif form == "labelme":
            reader, back = "by labelme's rule", list(read_labelme(out))
        elif form == "fiftyone":
            reader, back = "FiftyOne", list(read_fiftyone(out))
        elif form == "class-png":
            with open_label_set(out) as label_set:
                reader, back = "Pillow", [row[:3] for row in segments(label_set)]
        else:
            continue
        lines.append(line(form, reader, sent, back))
    print("\n".join(lines))  # noqa: T201


def segments(label_set: LabelSet) -> list[tuple[str, str, Mask, bool]]:
    """Return image, class and mask of each segment, and whether it has a hole."""
    rows = []
    for name in label_set.images:
        found = label_set.read_map(name)
        for segment in found.segments:
            only = type(found)(found.ids, (segment,))
            label = label_set.vocabulary.by_id(segment.category_id).name
            holes = count_outlines(only)["holes"] > 0
            rows.append((Path(name).stem, label, found.ids == segment.id, holes))
    return rows


def read_elsewhere(reader: str, folder: Path, masks: Path) -> Iterator[Row]:
    """Yield what a library of other people reads."""
    command = [os.environ["FROZENSEG_FOREIGN_PYTHON"], READ_LABELS, reader, folder, masks]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    with np.load(masks) as stored:
        for number, (image, label, _, _) in enumerate(json.loads(said.splitlines()[-1])):
            yield image, label, stored[f"arr_{number}"]


def read_labelme(folder: Path) -> Iterator[Row]:
    """Yield the masks of labelme's files: from the first point of a shape to the second."""
    for path in folder.glob("*.json"):
        document: dict[str, Any] = json.loads(path.read_text())
        for shape in document["shapes"]:
            (left, top), (right, bottom) = shape["points"]
            mask = np.zeros((document["imageHeight"], document["imageWidth"]), dtype=bool)
            with Image.open(io.BytesIO(base64.b64decode(shape["mask"]))) as png:
                mask[top : bottom + 1, left : right + 1] = np.asarray(png).astype(bool)
            yield path.stem, shape["label"], mask


def read_fiftyone(folder: Path) -> Iterator[Row]:
    """Yield the masks that FiftyOne reads."""
    import fiftyone as fo

    dataset = fo.Dataset.from_dir(str(folder), fo.types.FiftyOneDataset, progress=False)
    for sample in dataset:
        for detection in sample.segments.detections:
            mask = np.zeros((sample.metadata.height, sample.metadata.width), dtype=bool)
            left, top = detection.bounding_box[0] * mask.shape[1], detection.bounding_box[1]
            x, y = round(left), round(top * mask.shape[0])
            height, width = detection.mask.shape
            mask[y : y + height, x : x + width] = detection.mask
            yield Path(sample.filepath).stem, detection.label, mask
    dataset.delete()


def line(form: str, reader: str, sent: list[tuple[str, str, Mask, bool]], back: list[Row]) -> str:
    """Return a row of the table."""
    best = []
    for image, label, mask, _ in sent:
        others = [other for i, name, other in back if (i, name) == (image, label)]
        best.append(max((iou(mask, other) for other in others), default=0.0))
    ious = np.array(best)
    holes = np.array([row[3] for row in sent])
    return (
        f"| {form} | {reader} | {int((ious > 0).sum())} | {int((ious == 1).sum())} | "
        f"{int((ious[holes] == 1).sum())} of {int(holes.sum())} | "
        f"{ious.mean():.3f} | {ious.min():.3f} |"
    )


def iou(mask: Mask, other: Mask) -> float:
    """Return the overlap of two masks, 0..1."""
    return float((mask & other).sum() / (mask | other).sum())


if __name__ == "__main__":
    main()
