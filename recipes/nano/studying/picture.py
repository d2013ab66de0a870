"""Draw the README's picture: demonstration images above, their labels from `annotate` below.

    python -m recipes.nano.studying.picture --out recipes/nano/example.png

Names that the decoder's training never saw carry an asterisk.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from frozenseg_label.annotation.annotate_folder import annotate
from frozenseg_label.demo.write_demo import STYLES, VOCABULARY, Style, write_demo
from frozenseg_label.formats.overlay import draw_overlay, segment_places
from frozenseg_label.runs.run_folder import RunFolder

GAP = 6  # pixels


def draw_picture(out: Path, numbers: list[int], style: Style) -> None:
    """Label demonstration images and write the picture of them.

    Args:
        numbers: of the images, as `frozenseg-label demo` counts them.
    """
    with tempfile.TemporaryDirectory() as folder:
        images, labels = Path(folder, "images"), Path(folder, "labels")
        for number in numbers:
            (path,) = write_demo(images, count=1, seed=number, style=style)
            path.rename(images / f"{number:04d}.png")
        annotate(images, labels, VOCABULARY)
        columns = [_columns(images, labels, f"{number:04d}.png") for number in numbers]
    height, width = columns[0].shape[:2]
    sheet = Image.new("RGB", (len(columns) * (width + GAP) - GAP, height), "white")
    for place, column in enumerate(columns):
        sheet.paste(Image.fromarray(column), (place * (width + GAP), 0))
    sheet.quantize(255).save(out, optimize=True)


def _columns(images: Path, labels: Path, name: str) -> np.ndarray:
    """Return an image above its labels [2 H + gap, W, 3]."""
    image = np.asarray(Image.open(images / name).convert("RGB"))
    with RunFolder.read(labels) as run:
        shown, vocabulary, seen = run.read_map(name), run.vocabulary, run.manifest.seen_names
    names = {
        category.id: category.name + ("" if set(category.names) & set(seen) else "*")
        for category in vocabulary.categories
    }
    places = segment_places(shown, image.shape[:2])
    drawn = draw_overlay(image, places, shown, vocabulary, names)
    gap = np.full((GAP, image.shape[1], 3), 255, np.uint8)
    return np.concatenate((image, gap, drawn))


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--numbers", type=int, nargs="+", default=[1, 2, 9])
    parser.add_argument("--style", choices=STYLES, default="trained")
    draw_picture(**vars(parser.parse_args()))


if __name__ == "__main__":
    main()
