"""Writes demonstration images of the nano world, and their true labels where asked for.

Heavy imports stay inside the functions: the command line reads its defaults here.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from frozenseg_label.demo.scenes import Scene
    from frozenseg_label.formats.coco_panoptic import PanopticAnnotation
    from frozenseg_label.vocabulary import Vocabulary

log = logging.getLogger(__name__)

VOCABULARY = "stickers"
SHEET = 352  # pixels; large enough for every piece that a scene of 384 pixels cuts out
TEXTURE_SEED = 3  # the trainings' sheets come from other seeds (recipes/nano/making/world.py)

# The drawings travel with the package as one picture for each style (NOTICE has their licences).
# The trained ones are drawings that the embedded model was trained on, in other scenes; the unseen
# ones are in a style that is in no training, so that people can see what that costs.
Style = Literal["trained", "unseen"]
STYLES: tuple[str, ...] = get_args(Style)
CELL = 112  # pixels; a drawing's longer side
COLUMNS = 12
_NAMES_KEY = "names"  # text chunk of the PNG: JSON list, one name per cell, row by row


def write_demo(
    folder: str | Path,
    count: int = 12,
    seed: int = 0,
    truth: str | Path | None = None,
    size: int = 384,
    style: Style = "trained",
) -> list[Path]:
    """Write demonstration images `demo-0000.png` ...; the same arguments write the same files.

    Files of these names are replaced; other files in the folder are kept.

    Args:
        folder: created if it does not exist.
        count: number of images.
        seed: of the first image; image i of seed s is image 0 of seed s + i.
        truth: folder for the true labels: `panoptic.json` and `panoptic/`, as `annotate` has them.
        size: height and width in pixels, at least 64.
        style: of the drawings: one of those that the embedded model was trained on, or unseen.

    Returns:
        The images' paths, in the order of their numbers.

    Example:
        >>> paths = frozenseg_label.write_demo("pictures", count=2, size=96, truth="truth")
        >>> [path.name for path in paths]
        ['demo-0000.png', 'demo-0001.png']
    """
    for name, value, least in (("count", count, 1), ("seed", seed, 0), ("size", size, 64)):
        if value < least:
            raise ValueError(f"{name} must be at least {least}, got {value}")
    if style not in STYLES:
        raise ValueError(f"style must be one of {', '.join(STYLES)}, got {style!r}")
    import numpy as np

    from frozenseg_label.demo.scenes import draw_scene
    from frozenseg_label.demo.textures import draw_textures
    from frozenseg_label.files import atomic_write, mark_folder
    from frozenseg_label.formats.coco_panoptic import write_coco_panoptic
    from frozenseg_label.formats.demo_picture import encode_demo_picture
    from frozenseg_label.vocabulary_files import read_vocabulary

    folder, truth = Path(folder), None if truth is None else Path(truth)
    _make_folders(folder, truth)
    vocabulary = read_vocabulary(VOCABULARY)
    things = {category.name for category in vocabulary.categories if category.is_thing}
    stuff = [category.name for category in vocabulary.categories if not category.is_thing]
    cutouts = {name: cut for name, cut in demonstration_cutouts(style).items() if name in things}
    textures = draw_textures(np.random.default_rng(TEXTURE_SEED), 1, SHEET, names=stuff)
    paths, annotations = [], []
    for number in range(count):
        scene = draw_scene(_generator(style, seed + number), cutouts, textures, size)
        paths.append(folder / f"demo-{number:04d}.png")
        atomic_write(paths[-1], encode_demo_picture(scene.image), lasting=False)
        log.debug("%s: %d segments", paths[-1], len(scene.segments))
        if truth is not None:
            annotations.append(_write_truth(truth, paths[-1].name, number + 1, scene, vocabulary))
    if truth is not None:
        write_coco_panoptic(truth / "panoptic.json", vocabulary, annotations)
        mark_folder(truth)
    return paths


def _make_folders(*folders: Path | None) -> None:
    """Make the folders, without what a killed demonstration left in them."""
    from frozenseg_label.files import explained, make_folder, remove_leftovers

    for folder in folders:
        if folder is not None:
            with explained(folder):
                make_folder(folder)
                remove_leftovers(folder)
                remove_leftovers(folder / "panoptic")


def _generator(style: Style, seed: int) -> "np.random.Generator":
    """Return the random numbers of an image; trained styles have seeds that no training has."""
    import numpy as np

    return np.random.default_rng(seed if style == "unseen" else (seed, TEXTURE_SEED))


def atlas_file(style: Style) -> Path:
    """Return the picture that has the drawings of a style."""
    return Path(__file__).with_name(f"atlas-{style}.png")


def demonstration_cutouts(style: Style = "trained") -> "dict[str, list[NDArray[np.uint8]]]":
    """Return the shipped drawings of a style, as `read_atlas` does."""
    return read_atlas(atlas_file(style))


def read_atlas(path: Path) -> "dict[str, list[NDArray[np.uint8]]]":
    """Return the drawings of an atlas: thing name -> RGBA [h, w, 4], cropped to what is visible."""
    import numpy as np
    from PIL import Image

    with Image.open(path) as picture:
        names: list[str] = json.loads(picture.info[_NAMES_KEY])
        cutouts: dict[str, list[NDArray[np.uint8]]] = {}
        for cell, name in enumerate(names):
            top, left = CELL * (cell // COLUMNS), CELL * (cell % COLUMNS)
            drawing = picture.crop((left, top, left + CELL, top + CELL))
            drawing = drawing.crop(drawing.getchannel("A").getbbox())
            cutouts.setdefault(name, []).append(np.asarray(drawing))
    return cutouts


def write_atlas(
    cutouts: "Mapping[str, Sequence[NDArray[np.uint8]]]", source: str, path: Path
) -> None:
    """Write drawings of at most 112 pixels a side as one PNG, for `read_atlas`.

    Args:
        source: where they come from and under which licence; kept in the file.
    """
    from PIL import Image, PngImagePlugin

    drawings = [(name, drawing) for name, drawn in cutouts.items() for drawing in drawn]
    rows = -(-len(drawings) // COLUMNS)
    sheet = Image.new("RGBA", (COLUMNS * CELL, rows * CELL))
    for cell, (_, drawing) in enumerate(drawings):
        sheet.paste(Image.fromarray(drawing), (CELL * (cell % COLUMNS), CELL * (cell // COLUMNS)))
    facts = PngImagePlugin.PngInfo()
    facts.add_text(_NAMES_KEY, json.dumps([name for name, _ in drawings]))
    facts.add_text("Source", source)
    sheet.save(path, pnginfo=facts, optimize=True)


def _write_truth(
    folder: Path, name: str, image_id: int, scene: "Scene", vocabulary: "Vocabulary"
) -> "PanopticAnnotation":
    """Write a scene's ids as a panoptic PNG and return its row; truth counts as reviewed."""
    from frozenseg_label.formats.coco_panoptic import (
        PanopticAnnotation,
        png_name,
        write_panoptic_png,
    )

    path = folder / "panoptic" / png_name(name)
    write_panoptic_png(path, scene.ids)
    height, width = scene.ids.shape
    return PanopticAnnotation(
        image_id, name, path.name, width, height, scene.truth(vocabulary).segments, state="reviewed"
    )
