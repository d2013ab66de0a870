"""How good labels in tiles are: mosaics of demonstration scenes, and large scenes.

    python tests/benchmarks/mosaics.py --mosaics 4 --side 4

A mosaic is a square of scenes of 256 x 256 that `nano` labels well one by one; the edges of tiles
run through the scenes. A large scene is drawn four times as large, so that things are larger than a
tile. Prints Markdown tables: PQ of the classes of the truth, and which share of the things that lie
across the edge of a tile are one segment (IoU above one half with one of any class).
"""

import argparse
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

import frozenseg_label
from frozenseg_label.evaluation.panoptic_quality import PanopticTally
from frozenseg_label.formats.overlay import overlay_file
from frozenseg_label.formats.panoptic_dataset import read_coco_panoptic
from frozenseg_label.inference.predictor import Predictor
from frozenseg_label.inference.tiling import Tiling
from frozenseg_label.panoptic import PanopticMap, Segment

SCENE = 256  # pixels
Picture = tuple[NDArray[np.uint8], PanopticMap]


def main() -> None:
    """Label the pictures in each way and print what comes out."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--mosaics", type=int, default=3)
    parser.add_argument("--side", type=int, default=4, help="scenes along a side")
    parser.add_argument("--scenes", type=int, default=4, help="large ones")
    parser.add_argument("--draw", type=Path, help="folder for overlays to look at")
    options = parser.parse_args()
    torch.set_num_threads(1)
    whole = frozenseg_label.load_predictor("stickers")
    tiled = replace(whole, tiling=Tiling(SCENE))
    number = options.side**2
    scenes = list(demonstration(options.mosaics * number, SCENE))
    groups = [scenes[i : i + number] for i in range(0, len(scenes), number)]
    mosaics = [pasted([picture for picture, _ in g], [t for _, t in g]) for g in groups]
    one_by_one = [
        pasted([picture for picture, _ in g], [whole.label(picture) for picture, _ in g])[1]
        for g in groups
    ]
    ways: dict[str, Callable[[NDArray[np.uint8]], PanopticMap]] = {
        "in tiles": tiled.label,
        "as a whole": whole.label,
    }
    print("| mosaics | PQ | things across an edge that are whole |\n|---|---|---|")  # noqa: T201
    report("scenes one by one", mosaics, one_by_one, tiled)
    for name, label in ways.items():
        labels = [label(picture) for picture, _ in mosaics]
        report(name, mosaics, labels, tiled, options.draw)
    large = list(demonstration(options.scenes, 4 * SCENE))
    print("\n| large scenes | PQ | things across an edge that are whole |\n|---|---|---|")  # noqa: T201
    for name, label in ways.items():
        labels = [label(picture) for picture, _ in large]
        report(f"{name} (large)", large, labels, tiled, options.draw)


def demonstration(count: int, size: int) -> Iterator[Picture]:
    """Yield scenes and their truth."""
    with tempfile.TemporaryDirectory() as folder:
        pictures, truth = Path(folder, "pictures"), Path(folder, "truth")
        frozenseg_label.write_demo(pictures, count, seed=100, truth=truth, size=size)
        for annotation, labels in read_coco_panoptic(truth / "panoptic.json"):
            yield np.asarray(Image.open(pictures / annotation.file_name)), labels


def pasted(pictures: Sequence[NDArray[np.uint8]], labels: Sequence[PanopticMap]) -> Picture:
    """Return a square of pictures, and of their labels; stuff of one class is one segment."""
    side, size = round(len(pictures) ** 0.5), len(pictures[0])
    picture = np.zeros((side * size, side * size, 3), np.uint8)
    ids = np.zeros(picture.shape[:2], np.int32)
    segments: dict[int | tuple[int, int], Segment] = {}
    for place, (pixels, of_scene) in enumerate(zip(pictures, labels, strict=True)):
        top, left = (size * at for at in divmod(place, side))
        window = slice(top, top + size), slice(left, left + size)
        picture[window] = pixels
        for segment in of_scene.segments:
            key = (place, segment.id) if segment.is_thing else segment.category_id
            joined = segments.setdefault(key, replace(segment, id=len(segments) + 1))
            ids[window][of_scene.ids == segment.id] = joined.id
    return picture, PanopticMap.of(ids, segments.values())


def report(
    name: str,
    pictures: Sequence[Picture],
    labels: Sequence[PanopticMap],
    tiled: Predictor,
    folder: Path | None = None,
) -> None:
    """Print a row, and draw the labels where there is a folder."""
    tally, across, whole = PanopticTally(), 0, 0
    for number, ((picture, truth), found) in enumerate(zip(pictures, labels, strict=True)):
        tally.add(found, truth)
        for mask in things_across(truth, tiled):
            pixels, counts = np.unique(found.ids[mask], return_counts=True)
            best = 0.0
            for id_, both in zip(pixels.tolist(), counts.tolist(), strict=True):
                either = (found.ids == id_).sum() + mask.sum() - both
                best = max(best, both / either if id_ else 0.0)
            across, whole = across + 1, whole + (best > 0.5)
        if folder is not None:
            drawn = overlay_file(picture, found, tiled.vocabulary)
            (folder / f"{name.replace(' ', '-')}-{number}.jpg").write_bytes(drawn)
    named = {segment.category_id for _, truth in pictures for segment in truth.segments}
    quality = 100 * tally.mean(named).pq
    print(f"| {name} | {quality:.1f} | {whole} of {across} |", flush=True)  # noqa: T201


def things_across(truth: PanopticMap, tiled: Predictor) -> Iterator[NDArray[np.bool_]]:
    """Yield the masks of things that lie on both sides of an edge of a tile."""
    height, width = truth.ids.shape
    size = tiled.model.input_size
    tiling = tiled.tiling or Tiling(SCENE)
    windows = list(tiling.windows((height, width), size))
    rows = {window.rows.start + window.bands[0] // 2 for window in windows} - {0}
    columns = {window.columns.start + window.bands[1] // 2 for window in windows} - {0}
    for segment in truth.segments:
        x, y, wide, high = segment.bbox
        over = any(y < row < y + high for row in rows)
        if segment.is_thing and (over or any(x < column < x + wide for column in columns)):
            yield truth.ids == segment.id


if __name__ == "__main__":
    main()
