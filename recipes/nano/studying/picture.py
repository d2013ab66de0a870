"""Draw the README's picture: demonstration images above, their labels from `annotate` below.

    frozenseg-label demo pictures && frozenseg-label annotate pictures --vocab stickers -o labels
    python -m recipes.nano.studying.picture --images pictures --labels labels --out example.png

Names that the decoder's training never saw carry an asterisk.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from frozenseg_label.formats.overlay import draw_overlay, segment_places
from frozenseg_label.runs.run_folder import RunFolder


def draw_picture(images: Path, labels: Path, out: Path, count: int, first: int) -> None:
    """Write the picture of a few images of a run folder."""
    with RunFolder.read(labels) as run:
        entries = list(run.entries())[first : first + count]
        columns = []
        for entry in entries:
            image = Image.open(images / entry.image).convert("RGB")
            shown, seen = run.read_map(entry.image), run.manifest.seen_names
            names = {
                category.id: category.name + ("" if set(category.names) & set(seen) else "*")
                for category in run.vocabulary.categories
            }
            places = segment_places(shown, (image.height, image.width))
            drawn = draw_overlay(np.asarray(image), places, shown, run.vocabulary, names)
            columns.append((image, Image.fromarray(drawn)))
    width, height = columns[0][0].size
    gap = 6
    sheet = Image.new("RGB", (count * (width + gap) - gap, 2 * height + gap), "white")
    for place, pair in enumerate(columns):
        for row, picture in enumerate(pair):
            sheet.paste(picture, (place * (width + gap), row * (height + gap)))
    sheet.quantize(255).save(out, optimize=True)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--labels", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=3)
    parser.add_argument("--first", type=int, default=0)
    draw_picture(**vars(parser.parse_args()))


if __name__ == "__main__":
    main()
