"""YOLO segmentation, as ultralytics reads it: a text file an image, a row with a polygon a segment.

Holes are filled. The parts of a segment are joined by lines, there and back, as ultralytics' own
converter from COCO joins them: a row is an object. Class numbers are places in the vocabulary,
from 0.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import yaml
from numpy.typing import NDArray

from frozenseg_label.formats.export_image import ExportImage, Place
from frozenseg_label.formats.outlines import joined, outlines, polygon
from frozenseg_label.panoptic import Segment
from frozenseg_label.vocabulary import Vocabulary

FEWEST_POINTS = 3  # readers take a row of fewer for a box

# Polygons go through pixels, not along their rims. Readers multiply by the size and then cut off
# (ultralytics) or round: from a quarter inside the pixel, both come to the pixel itself.
INSIDE = 0.25


def yolo_files(image: ExportImage, vocabulary: Vocabulary) -> Iterator[tuple[str, bytes]]:
    """Yield the text file of an image: its path in the export, and its bytes."""
    size = np.array([image.width, image.height])
    rows = []
    for segment in image.panoptic_map.segments:
        points = (segment_polygon(image, segment) + INSIDE) / size  # [N, 2]
        numbers = " ".join(f"{number:.6f}" for number in points.ravel().tolist())
        rows.append(f"{vocabulary.index_of(segment.category_id)} {numbers}\n")
    yield f"labels/{image.place.path}.txt", "".join(rows).encode()


def segment_polygon(image: ExportImage, segment: Segment) -> NDArray[np.int64]:
    """Return the one polygon of a segment, through pixels, x and y [N, 2], N >= 3."""
    outer = [outline for outline in outlines(image.boxed_mask(segment)) if not outline.is_hole]
    points = joined([polygon(outline) for outline in outer]) + segment.bbox[:2]
    missing = max(0, FEWEST_POINTS - len(points))
    return np.concatenate([points, np.repeat(points[-1:], missing, axis=0)])


def yolo_lists(
    parts: Mapping[str, Sequence[Place]], vocabulary: Vocabulary
) -> Iterator[tuple[str, bytes]]:
    """Yield the lists of pictures and `data.yaml`: paths in the export, and bytes."""
    lists = {part or "train": f"{part or 'train'}.txt" for part in parts}
    for part, places in parts.items():
        lines = [f"./images/{place.path}{place.suffix}\n" for place in places]
        yield lists[part or "train"], "".join(lines).encode(errors="surrogateescape")
    remark = "" if "val" in lists else "# The images are not split: val is train.\n"
    names = {index: category.name for index, category in enumerate(vocabulary.categories)}
    data = {"val": lists["train"], **lists, "names": names}
    text = yaml.safe_dump(data, allow_unicode=True, sort_keys=False)
    yield "data.yaml", (remark + text).encode()
