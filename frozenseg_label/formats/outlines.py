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
    if not sides.size:
        return []
    width = mask.shape[1] + 1  # of the grid of corners
    _, _, start, end, way = sides
    start_y, start_x = np.divmod(start, width)
    end_y, end_x = np.divmod(end, width)
    turning = start_x * end_y - end_x * start_y  # sums to twice the area that a walk encloses
    pixels = sides[:2].T  # x, y [N, 2]
    walks = _walks(_following(start, end, way).tolist())
    return [Outline(pixels[walk], is_hole=bool(turning[walk].sum() < 0)) for walk in walks]


def polygon(outline: Outline) -> NDArray[np.int64]:
    """Return the corners of the polygon through an outline's pixels, x and y [N, 2]."""
    steps = _steps(outline.pixels)
    pixels = outline.pixels[(steps != 0).any(axis=1)]
    if not len(pixels):
        return outline.pixels[:1]  # a single pixel
    arriving = _steps(pixels)
    leaving = np.concatenate([arriving[1:], arriving[:1]])
    corners: NDArray[np.int64] = pixels[(arriving != leaving).any(axis=1)]
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


def _steps(points: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the way to each point from the one before, in a circle [N, 2]."""
    steps: NDArray[np.int64] = points - np.concatenate([points[-1:], points[:-1]])
    return steps


def _sides(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the sides between inside and outside [5, N]: pixel's x, y; start, end corner; way."""
    inside = np.zeros((mask.shape[0] + 2, mask.shape[1] + 2), dtype=bool)
    inside[1:-1, 1:-1] = mask
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
        found.append(np.array([x, y, corner + start, corner + end, np.full_like(y, way)]))
    return np.concatenate(found, axis=1)


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
