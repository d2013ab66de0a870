"""Draws the stuff of the nano world, sheets of grass, water, brick, from noise and lines."""

from collections.abc import Callable, Collection

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.spatial import cKDTree

Sheet = NDArray[np.float32]  # [S, S] or [S, S, 3], values 0..1
Color = tuple[int, int, int]


def draw_textures(
    rng: np.random.Generator,
    sheets_per_class: int,
    size: int = 512,
    names: Collection[str] | None = None,
) -> dict[str, list[NDArray[np.uint8]]]:
    """Draw sheets of every stuff class.

    Args:
        size: side of a sheet in pixels.
        names: which classes; all of them where None.

    Returns:
        Class name -> sheets, uint8 [size, size, 3].
    """
    chosen = PAINTERS if names is None else {name: PAINTERS[name] for name in names}
    return {
        name: [_to_image(paint(rng, size)) for _ in range(sheets_per_class)]
        for name, paint in chosen.items()
    }


def _to_image(sheet: Sheet) -> NDArray[np.uint8]:
    return (np.clip(sheet, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)


def noise(
    rng: np.random.Generator, size: int, cell: float, stretch: tuple[float, float] = (1.0, 1.0)
) -> Sheet:
    """Return smooth noise in 0..1 [size, size] whose blobs are about `cell` pixels wide.

    Args:
        stretch: factors on the blob's height and width.
    """
    rows = max(2, round(size / (cell * stretch[0])))
    columns = max(2, round(size / (cell * stretch[1])))
    coarse = Image.fromarray(rng.random((rows, columns), dtype=np.float32))
    smooth = np.asarray(coarse.resize((size, size), Image.Resampling.BICUBIC), dtype=np.float32)
    return np.clip(smooth, 0.0, 1.0)


def _color(rng: np.random.Generator, base: Color, spread: int = 16) -> NDArray[np.float32]:
    jitter = rng.integers(-spread, spread + 1, 3)
    return np.clip((np.asarray(base) + jitter) / 255.0, 0.0, 1.0).astype(np.float32)


def _mix(
    first: NDArray[np.float32],
    second: NDArray[np.float32],
    share: NDArray[np.float32] | NDArray[np.float64],
) -> Sheet:
    """Blend two colours by a map of shares [S, S]."""
    return np.asarray(first + (second - first) * share[..., None], dtype=np.float32)


def _lighten(colors: Sheet, amount: NDArray[np.float32] | NDArray[np.float64]) -> Sheet:
    """Add an amount [S, S] to colours [S, S, 3]."""
    return np.asarray(colors + amount[..., None], dtype=np.float32)


def _darken(colors: Sheet, share: NDArray[np.float32] | NDArray[np.float64]) -> Sheet:
    """Take a share [S, S] of colours [S, S, 3] away."""
    return np.asarray(colors * (1.0 - share[..., None]), dtype=np.float32)


def _grid(size: int) -> tuple[Sheet, Sheet]:
    rows, columns = np.mgrid[0:size, 0:size].astype(np.float32)
    return rows, columns


def _grass(rng: np.random.Generator, size: int) -> Sheet:
    blades = noise(rng, size, 3, (4.0, 1.0)) * 0.65 + noise(rng, size, 60) * 0.35
    return _mix(_color(rng, (30, 98, 28)), _color(rng, (132, 196, 66)), blades)


def _water(rng: np.random.Generator, size: int) -> Sheet:
    rows, _ = _grid(size)
    period = rng.uniform(10.0, 18.0)
    waves = 0.5 + 0.5 * np.sin(rows * 2 * np.pi / period + 7.0 * noise(rng, size, 40, (0.6, 1.8)))
    crests = np.clip(noise(rng, size, 8, (0.6, 4.0)) * 3.0 - 2.0, 0.0, 1.0)
    sea = _mix(_color(rng, (16, 84, 150)), _color(rng, (58, 160, 214)), waves)
    return _lighten(sea, crests * 0.4)


def _sky(rng: np.random.Generator, size: int) -> Sheet:
    clouds = noise(rng, size, 110, (0.6, 1.3)) * 0.7 + noise(rng, size, 34, (0.6, 1.3)) * 0.3
    cover = np.clip((clouds - rng.uniform(0.45, 0.6)) * 5.0, 0.0, 1.0) * 0.9
    return _mix(_color(rng, (134, 196, 246)), _color(rng, (250, 251, 253), 4), cover)


def _blocks(
    rng: np.random.Generator, size: int, height: float, width: float, joint: float, shift: bool
) -> tuple[Sheet, Sheet]:
    """Return rows of blocks: a value in 0..1 for each block, the mask of joints; [S, S] both."""
    rows, columns = _grid(size)
    row = np.floor(rows / height).astype(np.int64)
    moved = columns + (row % 2) * (width / 2) if shift else columns
    column = np.floor(moved / width).astype(np.int64)
    values = rng.random((int(row.max()) + 1, int(column.max()) + 1), dtype=np.float32)[row, column]
    joints = ((rows % height) < joint) | ((moved % width) < joint)
    return values, joints.astype(np.float32)


def _brick_wall(rng: np.random.Generator, size: int) -> Sheet:
    height = rng.uniform(13.0, 20.0)
    values, joints = _blocks(rng, size, height, height * 2.2, 2.5, shift=True)
    share = values * 0.7 + noise(rng, size, 3) * 0.3
    bricks = _mix(_color(rng, (138, 50, 36)), _color(rng, (198, 94, 66)), share)
    return bricks + (_color(rng, (206, 198, 186)) - bricks) * joints[..., None]


def _stone_wall(rng: np.random.Generator, size: int) -> Sheet:
    nearest, second, owner, values = _cells(rng, size, rng.uniform(30.0, 44.0))
    stones = _mix(_color(rng, (104, 104, 106), 8), _color(rng, (178, 174, 166), 8), values[owner])
    stones += (noise(rng, size, 4)[..., None] - 0.5) * 0.16
    gaps = np.clip(1.0 - (second - nearest) / 5.0, 0.0, 1.0)
    return _darken(stones, 0.75 * gaps)


def _cells(
    rng: np.random.Generator, size: int, spacing: float
) -> tuple[Sheet, Sheet, NDArray[np.int64], NDArray[np.float32]]:
    """Return Worley cells: distances to the nearest two points, the nearest's number, its value."""
    count = int(size / spacing)
    grid = (np.mgrid[0 : count + 1, 0 : count + 1].reshape(2, -1).T + 0.5) * spacing
    points = grid + rng.uniform(-0.4, 0.4, grid.shape) * spacing
    tree = cKDTree(points)
    rows, columns = _grid(size)
    distances, owners = tree.query(np.stack([rows, columns], axis=-1), k=2)
    values = rng.random(len(points), dtype=np.float32)
    near, far = np.moveaxis(np.asarray(distances, dtype=np.float32), -1, 0)
    return near, far, np.asarray(owners)[..., 0], values


def _wooden_floor(rng: np.random.Generator, size: int) -> Sheet:
    values, joints = _blocks(rng, size, rng.uniform(22.0, 32.0), 170.0, 1.8, shift=True)
    rings = 0.5 + 0.5 * np.sin(40.0 * noise(rng, size, 40, (0.5, 8.0)))
    share = values * 0.6 + rings * 0.25 + noise(rng, size, 2, (1.0, 14.0)) * 0.15
    boards = _mix(_color(rng, (134, 86, 46)), _color(rng, (208, 158, 100)), share)
    return _darken(boards, 0.6 * joints)


def _snow(rng: np.random.Generator, size: int) -> Sheet:
    drifts = noise(rng, size, 80) * 0.7 + noise(rng, size, 6) * 0.3
    snow = _mix(_color(rng, (206, 218, 236), 8), _color(rng, (253, 253, 255), 2), drifts)
    glitter = (rng.random((size, size)) > 0.996).astype(np.float32)
    return _lighten(snow, glitter * -0.15)


def _road(rng: np.random.Generator, size: int) -> Sheet:
    gravel = noise(rng, size, 2) * 0.8 + noise(rng, size, 70) * 0.2
    asphalt = _mix(_color(rng, (46, 46, 50), 8), _color(rng, (98, 98, 102), 8), gravel)
    rows, columns = _grid(size)
    stripe = ((columns + rng.uniform(0, 90)) % rng.uniform(90.0, 130.0) < 7.0) & (
        rows % 56.0 < 34.0
    )
    paint = _color(rng, (234, 226, 190))
    return asphalt + (paint - asphalt) * (0.9 * stripe[..., None].astype(np.float32))


def _tile_floor(rng: np.random.Generator, size: int) -> Sheet:
    side = rng.uniform(20.0, 34.0)
    rows, columns = _grid(size)
    checks = ((rows // side + columns // side) % 2).astype(np.float32)
    _, joints = _blocks(rng, size, side, side, 1.8, shift=False)
    dark = _color(rng, ((70, 120, 130), (60, 62, 70), (150, 86, 78))[rng.integers(3)])
    tiles = _mix(_color(rng, (230, 228, 220), 8), dark, checks)
    return _darken(tiles, 0.35 * joints)


def _dirt(rng: np.random.Generator, size: int) -> Sheet:
    clods = noise(rng, size, 9) * 0.5 + noise(rng, size, 3) * 0.3 + noise(rng, size, 40) * 0.2
    soil = _mix(_color(rng, (62, 40, 24)), _color(rng, (130, 92, 58)), clods)
    pebbles = np.clip(noise(rng, size, 7) * 9.0 - 7.8, 0.0, 1.0)
    return _lighten(soil, pebbles * 0.25)


def _sand(rng: np.random.Generator, size: int) -> Sheet:
    rows, columns = _grid(size)
    ripples = 0.5 + 0.5 * np.sin((rows + 0.4 * columns) / 4.5 + 8.0 * noise(rng, size, 70))
    share = ripples * 0.45 + rng.random((size, size), dtype=np.float32) * 0.55
    return _mix(_color(rng, (206, 172, 112)), _color(rng, (242, 218, 166)), share)


def _bushes(rng: np.random.Generator, size: int) -> Sheet:
    nearest, _, owner, values = _cells(rng, size, rng.uniform(13.0, 18.0))
    leaves = np.clip(1.0 - nearest / 11.0, 0.0, 1.0) * (0.5 + 0.5 * values[owner])
    bush = _mix(_color(rng, (12, 44, 24)), _color(rng, (64, 134, 60)), leaves)
    berries = (nearest < 3.0) & (values[owner] > 0.86)
    return bush + (_color(rng, (214, 50, 70)) - bush) * berries[..., None].astype(np.float32)


def _carpet(rng: np.random.Generator, size: int) -> Sheet:
    rows, columns = _grid(size)
    side = rng.uniform(26.0, 38.0)
    diamonds = (np.abs(rows % side - side / 2) + np.abs(columns % side - side / 2)) / side
    pattern = (np.floor(diamonds * 5.0) % 2).astype(np.float32)
    grounds: tuple[Color, ...] = ((128, 24, 48), (84, 30, 92), (148, 46, 28))
    weave = _mix(_color(rng, grounds[rng.integers(3)]), _color(rng, (220, 172, 96)), pattern * 0.85)
    return weave + (rng.random((size, size, 1), dtype=np.float32) - 0.5) * 0.14


def _curtain(rng: np.random.Generator, size: int) -> Sheet:
    _, columns = _grid(size)
    folds = 0.5 + 0.5 * np.sin(
        columns / rng.uniform(3.6, 5.6) + 3.0 * noise(rng, size, 90, (3.0, 0.7))
    )
    cloths: tuple[Color, ...] = ((206, 74, 120), (150, 116, 196), (226, 142, 150))
    cloth = _color(rng, cloths[rng.integers(3)])
    return _mix(cloth * np.float32(0.42), np.clip(cloth * np.float32(1.2), 0.0, 1.0), folds)


def _night_sky(rng: np.random.Generator, size: int) -> Sheet:
    haze = noise(rng, size, 120) * 0.7 + noise(rng, size, 30) * 0.3
    night = _mix(_color(rng, (10, 12, 36), 6), _color(rng, (52, 40, 104)), haze)
    for brightness, share in ((0.9, 0.9975), (0.55, 0.994)):
        stars = (rng.random((size // 2, size // 2)) > share).repeat(2, axis=0).repeat(2, axis=1)
        padded = np.zeros((size, size, 1), dtype=np.float32)
        padded[: stars.shape[0], : stars.shape[1], 0] = stars
        night = night + padded * np.float32(brightness)
    return night


def _roof(rng: np.random.Generator, size: int) -> Sheet:
    rows, columns = _grid(size)
    side = rng.uniform(16.0, 24.0)
    row = np.floor(rows / side)
    across = (columns + (row % 2) * side / 2) % side / side - 0.5
    down = rows % side / side
    scale = np.clip(down + 1.2 * across**2 * 2.0, 0.0, 1.0)
    edge = (down < 0.62 * (1.0 - 4.0 * across**2) * 0.5).astype(np.float32)
    tiles = _mix(_color(rng, (236, 132, 62)), _color(rng, (150, 62, 26)), scale)
    return _darken(tiles, 0.45 * edge)


PAINTERS: dict[str, Callable[[np.random.Generator, int], Sheet]] = {
    "grass": _grass,
    "water": _water,
    "sand": _sand,
    "sky": _sky,
    "brick wall": _brick_wall,
    "bushes": _bushes,
    "wooden floor": _wooden_floor,
    "snow": _snow,
    "carpet": _carpet,
    "road": _road,
    "tile floor": _tile_floor,
    "curtain": _curtain,
    "dirt": _dirt,
    "night sky": _night_sky,
    "stone wall": _stone_wall,
    "roof": _roof,
}
