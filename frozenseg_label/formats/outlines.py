"""Outlines of masks: closed walks around their parts and holes, and polygons made of them.

Pixels that touch at a corner belong to one part, as OpenCV's contours have it. The polygon of a
part goes through the middles of its border pixels, so that OpenCV's `fillPoly` (ultralytics,
supervision) draws exactly the part again, its holes filled.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

RIGHT, DOWN, LEFT, UP = range(4)  # ways along the sides of pixels, the mask at the right hand


@dataclass(frozen=True)
class Outline:
    """A closed walk around one part of a mask, or around one hole.

    Attributes:
        pixels: x and y of the border pixels of the mask, in the order of the walk [N, 2].
        is_hole: it goes around a hole.
    """

    pixels: NDArray[np.int64]
    is_hole: bool


def outlines(mask: NDArray[np.bool_]) -> list[Outline]:
    """Return the outlines of all parts and holes of a mask [H, W]."""
    sides = _sides(mask)
    if not len(sides):
        return []
    width = mask.shape[1] + 1  # of the grid of corners
    pixel_y, pixel_x, start, end, way = sides.T
    following = _following(start, end, way)
    start_y, start_x = np.divmod(start, width)
    found = []
    for walk in _walks(following.tolist()):
        x, y = start_x[walk], start_y[walk]
        twice_area = int((x * np.roll(y, -1) - np.roll(x, -1) * y).sum())
        pixels = np.stack([pixel_x[walk], pixel_y[walk]], axis=1)
        found.append(Outline(pixels, is_hole=twice_area < 0))
    return found


def polygon(outline: Outline) -> NDArray[np.int64]:
    """Return the corners of the polygon through an outline's pixels, x and y [N, 2]."""
    pixels = outline.pixels
    pixels = pixels[(pixels != np.roll(pixels, 1, axis=0)).any(axis=1)]
    if not len(pixels):
        return outline.pixels[:1]  # a single pixel
    steps = np.roll(pixels, -1, axis=0) - pixels  # each to a pixel beside it
    corners: NDArray[np.int64] = pixels[(steps != np.roll(steps, 1, axis=0)).any(axis=1)]
    return corners


def joined(polygons: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Return one polygon of several: lines, there and back, join those nearest to each other."""
    first, *left = sorted(polygons, key=len, reverse=True)
    whole = first
    for part in left:
        distances, nearest = cKDTree(whole).query(part)
        there = int(np.argmin(distances))
        here = int(np.asarray(nearest)[there])
        detour = np.roll(part, -there, axis=0)
        whole = np.concatenate([whole[: here + 1], detour, detour[:1], whole[here:]])
    return whole


def _sides(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the sides between inside and outside [N, 5]: pixel's y, x; start, end corner; way."""
    inside = np.pad(mask, 1)
    middle, width = inside[1:-1, 1:-1], mask.shape[1] + 1
    # Of each side: where its other pixel is, its start and its end as corners of the pixel.
    around = (
        (RIGHT, inside[:-2, 1:-1], 0, 1),
        (DOWN, inside[1:-1, 2:], 1, width + 1),
        (LEFT, inside[2:, 1:-1], width + 1, width),
        (UP, inside[1:-1, :-2], width, 0),
    )
    found = []
    for way, beside, start, end in around:
        y, x = np.nonzero(middle & ~beside)
        corner = y * width + x
        found.append(np.stack([y, x, corner + start, corner + end, np.full_like(y, way)], axis=1))
    return np.concatenate(found)


def _following(
    start: NDArray[np.int64], end: NDArray[np.int64], way: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the index of the side that follows each side in its walk [N]."""
    keys = start * 4 + way
    order = np.argsort(keys)
    keys = keys[order]
    following = np.full(len(start), -1)
    # Where two pixels touch at a corner, two sides start there: the left turn keeps them together.
    for turn in (1, 0, 3):  # right, straight on, left; the last one found counts
        wanted = end * 4 + (way + turn) % 4
        at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        hit = keys[at] == wanted
        following[hit] = order[at[hit]]
    return following


def _walks(following: list[int]) -> list[list[int]]:
    """Return the circles of sides."""
    seen = bytearray(len(following))
    walks = []
    for first in range(len(following)):
        walk, side = [], first
        while not seen[side]:
            seen[side] = 1
            walk.append(side)
            side = following[side]
        if walk:
            walks.append(walk)
    return walks
