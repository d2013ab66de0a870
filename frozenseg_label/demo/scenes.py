"""Scenes of the nano world: stickers on a ground of stuff, with the exact panoptic truth.

A scene is painted from back to front: the ground (one to three regions of stuff), clutter that
belongs to no class, then the things with their shadows, at last light over everything. What covers
a pixel last owns it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from frozenseg_label.panoptic import UNLABELLED, PanopticMap, Segment
from frozenseg_label.vocabulary import Vocabulary

Cutouts = Mapping[
    str, Sequence[NDArray[np.uint8]]
]  # thing name -> RGBA [h, w, 4], not premultiplied
Textures = Mapping[str, Sequence[NDArray[np.uint8]]]  # stuff name -> RGB [S, S, 3]

MIN_VISIBLE_SHARE = 0.15  # of a thing's own pixels; what is hidden further becomes unlabelled
MIN_AREA_SHARE = 0.001  # of the picture


@dataclass(frozen=True)
class SceneSegment:
    """What an id of a scene means.

    Attributes:
        name: the category's first name.
    """

    id: int
    name: str
    is_thing: bool


@dataclass(frozen=True)
class Scene:
    """A picture and its truth.

    Attributes:
        image: uint8 [H, W, 3] RGB.
        ids: int32 [H, W]; visible pixels only, 0 = unlabelled.
        segments: one entry for each id that occurs; each thing, and each class of stuff once.
    """

    image: NDArray[np.uint8]
    ids: NDArray[np.int32]
    segments: tuple[SceneSegment, ...]

    def truth(self, vocabulary: Vocabulary) -> PanopticMap:
        """Return the visible segments as accepted ones, with the category ids of a vocabulary."""
        ids = {category.name: category.id for category in vocabulary.categories}
        return PanopticMap.of(
            self.ids,
            (
                Segment(segment.id, ids[segment.name], segment.is_thing, state="accepted")
                for segment in self.segments
            ),
        )


def draw_scene(
    rng: np.random.Generator,
    cutouts: Cutouts,
    textures: Textures,
    size: int = 256,
    things: tuple[int, int] = (2, 8),
    side: tuple[float, float] = (0.14, 0.5),
) -> Scene:
    """Draw one scene; the same generator state gives the same scene.

    Args:
        size: height and width in pixels.
        things: fewest and most things that are placed (some may end up hidden).
        side: smallest and largest longer side of a thing, as a share of the picture's.
    """
    canvas, ids, segments = _draw_ground(rng, textures, size)
    for _ in range(int(rng.integers(0, 3))):
        _draw_clutter(rng, canvas, ids)
    names = sorted(cutouts)
    full_areas: dict[int, int] = {}
    for _ in range(int(rng.integers(things[0], things[1] + 1))):
        name = names[rng.integers(len(names))]
        drawings = cutouts[name]
        longer = size * side[0] * (side[1] / side[0]) ** rng.random()
        sticker = _vary(rng, drawings[int(rng.integers(len(drawings)))], longer)
        segments.append(SceneSegment(len(segments) + 1, name, is_thing=True))
        full_areas[len(segments)] = _paste(rng, canvas, ids, sticker, len(segments))
    image = _light(rng, canvas)
    return Scene(image, *_drop_remnants(ids, segments, full_areas))


def _draw_ground(
    rng: np.random.Generator, textures: Textures, size: int
) -> tuple[NDArray[np.float32], NDArray[np.int32], list[SceneSegment]]:
    """Cover the picture with one to three classes of stuff; float32 0..255, ids, their segments."""
    count = min(int(rng.choice((1, 2, 2, 3))), len(textures))
    names = [str(name) for name in rng.permutation(sorted(textures))[:count]]
    canvas = _crop_texture(rng, textures[names[0]], size)
    ids = np.ones((size, size), dtype=np.int32)
    for number, name in enumerate(names[1:], start=2):
        region = _region(rng, size)
        np.copyto(canvas, _crop_texture(rng, textures[name], size), where=region[..., None])
        ids[region] = number
    return (
        canvas,
        ids,
        [SceneSegment(i, name, is_thing=False) for i, name in enumerate(names, start=1)],
    )


def _crop_texture(
    rng: np.random.Generator, sheets: Sequence[NDArray[np.uint8]], size: int
) -> NDArray[np.float32]:
    """Cut a piece of a sheet [size, size, 3]: scaled a little, mirrored, brighter or darker."""
    sheet = sheets[int(rng.integers(len(sheets)))]
    zoom = rng.uniform(0.75, 1.35) * size / 256
    source = min(round(size / zoom), min(sheet.shape[:2]))
    top, left = (int(rng.integers(0, length - source + 1)) for length in sheet.shape[:2])
    piece = Image.fromarray(sheet[top : top + source, left : left + source])
    pixels = np.asarray(piece.resize((size, size), Image.Resampling.BILINEAR), dtype=np.float32)
    if rng.random() < 0.5:
        pixels = pixels[:, ::-1]
    return pixels * (rng.uniform(0.85, 1.12) * rng.uniform(0.96, 1.04, 3)).astype(np.float32)


def _region(rng: np.random.Generator, size: int) -> NDArray[np.bool_]:
    """Return where another stuff is [size, size]: below or beside a wavy line, or in a patch."""
    rows, columns = np.ogrid[0:size, 0:size]
    along = np.arange(size) / size
    wave = rng.uniform(0.0, 0.05) * np.sin(
        2 * np.pi * (rng.uniform(0.5, 2.0) * along + rng.random())
    )
    line = size * (rng.uniform(0.3, 0.7) + wave + rng.uniform(-0.15, 0.15) * (along - 0.5))
    kind = rng.random()
    if kind < 0.5:
        return rows >= line[None, :]
    if kind < 0.7:
        return columns >= line[:, None]
    center = rng.uniform(0.2, 0.8, 2) * size
    radius = rng.uniform(0.2, 0.38, 2) * size
    distance = ((rows - center[0]) / radius[0]) ** 2 + ((columns - center[1]) / radius[1]) ** 2
    bumps = 0.25 * np.sin(
        3 * np.arctan2(rows - center[0], columns - center[1]) + rng.uniform(0, 6.3)
    )
    return np.asarray(distance < 1.0 + bumps, dtype=np.bool_)


def _draw_clutter(
    rng: np.random.Generator, canvas: NDArray[np.float32], ids: NDArray[np.int32]
) -> None:
    """Paint a small plain shape that belongs to no class; its pixels are unlabelled."""
    size = canvas.shape[0]
    mask = Image.new("1", (size, size))
    pen = ImageDraw.Draw(mask)
    x, y = rng.uniform(0.0, size, 2)
    width, height = rng.uniform(0.02, 0.12, 2) * size
    if rng.random() < 0.5:
        pen.ellipse((x, y, x + width, y + height), fill=1)
    else:
        turn = rng.uniform(-1.0, 1.0, 2) * width
        pen.polygon([(x, y), (x + width, y + turn[0]), (x + turn[1], y + height)], fill=1)
    covered = np.asarray(mask)
    canvas[covered] = rng.uniform(30.0, 230.0, 3)
    ids[covered] = UNLABELLED


def _vary(
    rng: np.random.Generator, drawing: NDArray[np.uint8], longer: float
) -> NDArray[np.float32]:
    """Mirror, turn, scale and tint a drawing; return premultiplied float32 RGBA [h, w, 4], 0..255.

    Args:
        longer: wanted length of the drawing's longer side in pixels, before turning.
    """
    picture = Image.fromarray(drawing)
    shrink = int(max(picture.size) / longer)
    if shrink > 1:
        picture = picture.reduce(shrink)
    scale = longer / max(picture.size)
    degrees = rng.uniform(-180.0, 180.0) if rng.random() < 0.08 else rng.normal(0.0, 9.0)
    across = scale * (-1.0 if rng.random() < 0.5 else 1.0) * rng.uniform(0.9, 1.1)
    turn = np.deg2rad(degrees)
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) @ np.diag(
        [across, scale]
    )
    width, height = picture.size
    extent = np.abs(matrix) @ (width, height)
    target = np.maximum(np.ceil(extent), 2).astype(int)
    inverse = np.linalg.inv(matrix)
    offset = np.array([width, height]) / 2 - inverse @ (target / 2)
    affine = (*inverse[0], offset[0], *inverse[1], offset[1])
    turned = picture.convert("RGBa").transform(
        (int(target[0]), int(target[1])), Image.Transform.AFFINE, affine, Image.Resampling.BILINEAR
    )
    sticker = np.asarray(turned, dtype=np.float32).copy()
    sticker[..., :3] *= (rng.uniform(0.8, 1.15) * rng.uniform(0.94, 1.06, 3)).astype(np.float32)
    return sticker


def _paste(
    rng: np.random.Generator,
    canvas: NDArray[np.float32],
    ids: NDArray[np.int32],
    sticker: NDArray[np.float32],
    segment_id: int,
) -> int:
    """Put a sticker with its shadow at a random place; its pixels of alpha >= 0.5 get the id.

    Returns:
        Pixels of the whole sticker, also those outside the picture.
    """
    size = canvas.shape[0]
    height, width = sticker.shape[:2]
    top = int(rng.integers(-height // 6, max(size - height + height // 6, 1)))
    left = int(rng.integers(-width // 6, max(size - width + width // 6, 1)))
    alpha = sticker[..., 3]
    if rng.random() < 0.7:
        _cast_shadow(rng, canvas, alpha, top, left)
    there, here = _overlap(top, left, height, width, size)
    canvas[there] *= 1.0 - alpha[here][..., None] / 255.0
    canvas[there] += sticker[here][..., :3]
    solid = alpha >= 127.5
    ids[there][solid[here]] = segment_id
    return int(solid.sum())


def _cast_shadow(
    rng: np.random.Generator,
    canvas: NDArray[np.float32],
    alpha: NDArray[np.float32],
    top: int,
    left: int,
) -> None:
    """Darken the ground beside a sticker by its blurred outline."""
    reach = max(2, round(0.06 * max(alpha.shape)))
    outline = Image.fromarray(np.pad(alpha, 2 * reach).astype(np.uint8))
    soft = np.asarray(outline.filter(ImageFilter.BoxBlur(reach)), dtype=np.float32)
    down, right = (int(step) for step in rng.integers(-reach, 2 * reach + 1, 2))
    there, here = _overlap(
        top - 2 * reach + down, left - 2 * reach + right, *outline.size[::-1], canvas.shape[0]
    )
    canvas[there] *= 1.0 - soft[here][..., None] * (rng.uniform(0.2, 0.55) / 255.0)


def _overlap(
    top: int, left: int, height: int, width: int, size: int
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Return where a box and the picture overlap: slices of the picture, then of the box."""
    rows = slice(max(top, 0), max(min(top + height, size), 0))
    columns = slice(max(left, 0), max(min(left + width, size), 0))
    inside = (
        slice(rows.start - top, rows.stop - top),
        slice(columns.start - left, columns.stop - left),
    )
    return (rows, columns), inside


def _light(rng: np.random.Generator, canvas: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Light from one side, a colour cast and a little grain over everything; uint8 [H, W, 3]."""
    size = canvas.shape[0]
    ramp = np.linspace(-1.0, 1.0, size, dtype=np.float32)
    slopes = rng.uniform(-0.16, 0.16, 2).astype(np.float32)
    light = (
        np.float32(rng.uniform(0.85, 1.12)) + slopes[0] * ramp[:, None] + slopes[1] * ramp[None, :]
    )
    lit = canvas * light[..., None]
    lit *= rng.uniform(0.95, 1.05, 3).astype(np.float32)
    lit += rng.standard_normal((size, size, 1), dtype=np.float32) * np.float32(
        rng.uniform(0.0, 5.0)
    )
    return np.asarray(np.clip(lit, 0.0, 255.0), dtype=np.uint8)


def _drop_remnants(
    ids: NDArray[np.int32], segments: Sequence[SceneSegment], full_areas: Mapping[int, int]
) -> tuple[NDArray[np.int32], tuple[SceneSegment, ...]]:
    """Remove the labels of what is hardly visible, and number the others from 1."""
    areas = np.bincount(ids.ravel(), minlength=len(segments) + 1)
    renumber = np.zeros(len(segments) + 1, dtype=np.int32)
    kept: list[SceneSegment] = []
    for segment in segments:
        least = max(MIN_AREA_SHARE * ids.size, MIN_VISIBLE_SHARE * full_areas.get(segment.id, 0))
        if areas[segment.id] >= least:
            kept.append(SceneSegment(len(kept) + 1, segment.name, segment.is_thing))
            renumber[segment.id] = len(kept)
    return renumber[ids], tuple(kept)
