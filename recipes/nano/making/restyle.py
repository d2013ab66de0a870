"""Versions of a drawing as other people might draw it: few styles train, all must be understood.

A version bends the outline, changes the colours, flattens or shades them, draws or drops outlines.
Names must stay right, so colours mostly keep their family: a lemon may turn orange, seldom blue.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from scipy import ndimage

Drawing = NDArray[np.uint8]  # RGBA [h, w, 4], not premultiplied

MARGIN = 6  # pixels around a drawing, so that outlines and bends have room
TO_YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])


def restyle(rng: np.random.Generator, drawing: Drawing) -> Drawing:
    """Return one more version of a drawing, of about its size."""
    picture = np.pad(drawing, ((MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0)))
    if rng.random() < 0.7:
        picture = _bend(rng, picture)
    colors, alpha = picture[..., :3].astype(np.float32), picture[..., 3].astype(np.float32) / 255.0
    lines = _lines(colors, alpha)
    kind = rng.random()
    if kind < 0.35:
        colors = _flatten(rng, colors)
    elif kind < 0.5:
        colors = ndimage.gaussian_filter(colors, (2.0, 2.0, 0.0))
    elif kind < 0.6:  # a pale fill under drawn lines
        colors = 255.0 - (255.0 - colors) * np.float32(rng.uniform(0.15, 0.5))
        colors *= 1.0 - 0.9 * lines[..., None]
    if rng.random() < 0.2:
        colors = _paint_anew(rng, colors)
    colors = _recolor(rng, colors)
    if rng.random() < 0.35:
        colors = colors * _shade(rng, alpha.shape)[..., None]
    if rng.random() < 0.25:
        colors *= 1.0 - np.float32(rng.uniform(0.3, 0.9)) * lines[..., None]
    if rng.random() < 0.35:
        colors, alpha = _outline(rng, colors, alpha)
    result = np.dstack([np.clip(colors, 0.0, 255.0), np.clip(alpha, 0.0, 1.0) * 255.0])
    return _trim(result.astype(np.uint8))


def color_shape(rng: np.random.Generator, shape: Drawing, drawings: Sequence[Drawing]) -> Drawing:
    """Return a one-colour icon in two colours of a drawing of the same thing.

    Args:
        shape: its red channel is 255 where the icon has ink, 0 where its outline encloses none.
        drawings: coloured ones of the same thing.
    """
    fill, line = _two_colors(rng, drawings[int(rng.integers(len(drawings)))])
    if rng.random() < 0.5:  # ink as the body, gaps as lines; else lines on a filled body
        fill, line = line, fill
    ink = shape[..., :1].astype(np.float32) / 255.0
    colors = ink * line + (1.0 - ink) * fill
    return np.dstack([colors.astype(np.uint8), shape[..., 3]])


def _two_colors(
    rng: np.random.Generator, drawing: Drawing
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the commonest colour, and another of the drawing or a dark or a light one."""
    opaque = drawing[drawing[..., 3] > 200][:, :3]
    strip = Image.fromarray(opaque[None])
    table = strip.quantize(4, Image.Quantize.MEDIANCUT).convert("RGB").getcolors() or []
    found = [np.array(color, np.float32) for _, color in sorted(table, reverse=True)]
    if len(found) > 1 and rng.random() < 0.5:
        return found[0], found[int(rng.integers(1, len(found)))]
    tone = rng.uniform(10.0, 60.0) if rng.random() < 0.7 else rng.uniform(225.0, 255.0)
    return found[0], np.full(3, tone, np.float32)


def _bend(rng: np.random.Generator, picture: Drawing) -> Drawing:
    """Move every pixel by a smooth random field, up to about a tenth of the side."""
    height, width = picture.shape[:2]
    reach = rng.uniform(0.01, 0.05) * max(height, width)
    field = [
        np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))
        for coarse in rng.normal(0.0, reach, (2, 4, 4)).astype(np.float32)
    ]
    squeeze = rng.uniform(0.88, 1.0, 2)  # only inwards: nothing leaves the picture
    rows, columns = np.mgrid[0:height, 0:width]
    at = np.stack(
        [
            (rows - height / 2) / squeeze[0] + height / 2 + field[0],
            (columns - width / 2) / squeeze[1] + width / 2 + field[1],
        ]
    )
    premultiplied = picture.astype(np.float32)
    premultiplied[..., :3] *= premultiplied[..., 3:] / 255.0
    moved = np.stack(
        [ndimage.map_coordinates(premultiplied[..., i], at, order=1) for i in range(4)], axis=-1
    )
    moved[..., :3] *= 255.0 / np.maximum(moved[..., 3:], 1.0)
    return np.clip(moved, 0.0, 255.0).astype(np.uint8)


def _lines(colors: NDArray[np.float32], alpha: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return how much colours change at each place inside the drawing, 0..1 [h, w]."""
    gray = ndimage.gaussian_filter(colors.mean(axis=-1), 1.0)
    steep = np.hypot(ndimage.sobel(gray, 0), ndimage.sobel(gray, 1))
    inside = ndimage.minimum_filter(alpha, 3) > 0.9
    return np.asarray(np.clip(steep / 120.0, 0.0, 1.0) * inside, dtype=np.float32)


def _flatten(rng: np.random.Generator, colors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Reduce a drawing to few colours, as flat styles have."""
    picture = Image.fromarray(colors.astype(np.uint8)).filter(ImageFilter.MedianFilter(5))
    few = picture.quantize(int(rng.integers(3, 8)), Image.Quantize.MEDIANCUT)
    return np.asarray(few.convert("RGB"), dtype=np.float32)


def _paint_anew(rng: np.random.Generator, colors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Give about half of a drawing's few colours to other hues: a television is any colour."""
    few = Image.fromarray(colors.astype(np.uint8)).quantize(6, Image.Quantize.MEDIANCUT)
    parts, changed = np.asarray(few), colors.copy()
    for part in range(6):
        if rng.random() < 0.5:
            changed[parts == part] = colors[parts == part][:, rng.permutation(3)]
    return changed


def _recolor(rng: np.random.Generator, colors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turn the hue a little, change saturation, contrast and brightness; seldom drop the colour."""
    turn = rng.normal(0.0, 0.22)
    saturation = rng.uniform(0.55, 1.5) if rng.random() < 0.93 else rng.uniform(0.0, 0.3)
    chroma = saturation * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    inner = np.eye(3)
    inner[1:, 1:] = chroma
    matrix = (np.linalg.inv(TO_YIQ) @ inner @ TO_YIQ).astype(np.float32)
    curve = rng.uniform(0.7, 1.4)
    changed = np.clip(colors @ matrix.T, 0.0, 255.0) / 255.0
    return np.asarray(255.0 * changed**curve, dtype=np.float32)


def _shade(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return light from one side, [h, w] about 1."""
    rows, columns = np.mgrid[-1.0 : 1.0 : shape[0] * 1j, -1.0 : 1.0 : shape[1] * 1j]
    slopes = rng.uniform(-0.35, 0.35, 2)
    return np.asarray(1.0 + slopes[0] * rows + slopes[1] * columns, dtype=np.float32)


def _outline(
    rng: np.random.Generator, colors: NDArray[np.float32], alpha: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Draw a dark line around the drawing, sometimes a white one as stickers have."""
    width = int(rng.integers(1, 4))
    wide = ndimage.maximum_filter(alpha, 2 * width + 1)
    tone = 255.0 if rng.random() < 0.25 else rng.uniform(0.0, 70.0)
    share = alpha[..., None]
    return colors * share + np.float32(tone) * (1.0 - share), wide


def _trim(drawing: Drawing) -> Drawing:
    """Cut off the empty margin around a drawing."""
    rows, columns = np.nonzero(drawing[..., 3] > 8)
    if not len(rows):
        return drawing
    return drawing[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
