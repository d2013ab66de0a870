"""Draw the README's picture: demonstration images above, their labels from `annotate` below.

    frozenseg-label demo pictures && frozenseg-label annotate pictures --vocab stickers -o labels
    python -m recipes.nano.studying.picture --images pictures --labels labels --out example.png

Names that the decoder's training never saw carry an asterisk.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import distance_transform_edt

from frozenseg_label.panoptic import PanopticMap
from frozenseg_label.runs.run_folder import RunFolder
from frozenseg_label.vocabulary import Vocabulary

TINT = 0.55  # share of the class colour
TEXT = 15  # pixels


def draw_labels(
    image: Image.Image, labels: PanopticMap, vocabulary: Vocabulary, seen: Sequence[str]
) -> Image.Image:
    """Tint every segment in its class colour, outline it and write its name into it."""
    pixels = np.asarray(image, dtype=np.float32)
    colors = np.zeros((int(labels.ids.max()) + 1, 3), np.float32)
    for segment in labels.segments:
        colors[segment.id] = vocabulary.by_id(segment.category_id).color
    painted = np.where(
        labels.ids[..., None] > 0, (1 - TINT) * pixels + TINT * colors[labels.ids], 0.35 * pixels
    )
    edge = np.zeros(labels.ids.shape, bool)
    edge[:, 1:] |= labels.ids[:, 1:] != labels.ids[:, :-1]
    edge[1:] |= labels.ids[1:] != labels.ids[:-1]
    painted[edge] = 255
    result = Image.fromarray(painted.astype(np.uint8))
    draw = ImageDraw.Draw(result)
    font = ImageFont.load_default(TEXT)
    for segment in labels.segments:
        category = vocabulary.by_id(segment.category_id)
        name = category.name + ("" if any(n in seen for n in category.names) else "*")
        inside = np.pad(labels.ids == segment.id, 1)
        row, column = np.unravel_index(distance_transform_edt(inside).argmax(), inside.shape)
        half = draw.textlength(name, font=font) / 2 + 2
        x = min(max(float(column), half), image.width - half)
        draw.text((x, float(row)), name, "white", font, "mm", stroke_width=2, stroke_fill="black")
    return result


def draw_picture(images: Path, labels: Path, out: Path, count: int, first: int) -> None:
    """Write the picture of a few images of a run folder."""
    with RunFolder.read(labels) as run:
        entries = list(run.entries())[first : first + count]
        columns = []
        for entry in entries:
            image = Image.open(images / entry.image).convert("RGB")
            shown = run.read_map(entry.image)
            columns.append(
                (image, draw_labels(image, shown, run.vocabulary, run.manifest.seen_names))
            )
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
