"""Draw the stickers: npm packages of open icon sets -> RGBA cutouts, one .npz per drawing style.

    python -m recipes.nano.making.assets --out /tmp/nano/assets

npm fetches the packages once (about 100 MB) into OUT/npm; resvg (`pip install resvg_py`) draws
them. A style's file maps `<concept>/<number>` to uint8 [h, w, 4], not premultiplied, at most 112
pixels a side. Running again draws again. With `--ship`, the demonstration's drawings also go into
frozenseg_label/demo/atlas-*.png, and the words into vocabularies/stickers.yaml: these travel with
the package.
"""

import argparse
import json
import logging
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from frozenseg_label.demo.write_demo import atlas_file, write_atlas
from recipes.nano.making.icon_sets import check_licence, crop, draw_icon, read_icons
from recipes.nano.making.shapes import DOODLES, SHAPE_SETS, draw_doodles, draw_shapes
from recipes.nano.making.world import (
    DEFAULT_ASSETS,
    ROOT,
    STYLE_ROLES,
    Concept,
    load_world,
    read_concepts,
)

logger = logging.getLogger(__name__)

FLUENT_3D = "@lobehub/fluent-emoji-3d"
PACKAGES = (
    *(f"@iconify-json/{name}" for name in (*STYLE_ROLES, *SHAPE_SETS) if name != "fluent-3d"),
    FLUENT_3D,
    DOODLES,
    "emojibase-data",
)
STICKERS_FILE = ROOT / "vocabularies/stickers.yaml"
TRAINED_SOURCE = (
    "Noto Emoji, versions 1 and 2, (c) Google, Apache-2.0; Fluent Emoji, also flat and 3D, "
    "(c) Microsoft Corporation, MIT; FxEmojis, (c) Mozilla, CC-BY-4.0; scaled"
)
UNSEEN_SOURCE = (
    "Twemoji, (c) Twitter, Inc and other contributors, CC-BY-4.0, "
    "https://github.com/jdecked/twemoji; scaled"
)
STICKERS_HEADER = """\
# The nano world: what the embedded model was made for.
#
# Counts: {classes} classes ({things} things, {stuff} stuff), {names} names.
# Source: recipes/nano/making/concepts.txt, by `python -m recipes.nano.making.assets --ship`.
# Licence: a list of words.
# Note: unseen = its masks never trained the decoder; CLIP's training alone met its names.
"""


def make_assets(out: Path) -> dict[str, int]:
    """Write OUT/<style>.npz for every style; return how many drawings each holds."""
    modules = fetch_packages(out / "npm")
    hexcodes = labels_to_hexcodes(modules)
    counts = {}
    concepts = read_concepts(everything=True)
    for style in STYLE_ROLES:
        cutouts = (
            crop_fluent_3d(modules / FLUENT_3D, concepts, hexcodes)
            if style == "fluent-3d"
            else draw_style(modules / "@iconify-json", style, concepts, hexcodes)
        )
        save_drawings(out / f"{style}.npz", cutouts)
        counts[style] = len(cutouts)
    shapes = draw_shapes(modules / "@iconify-json", concepts)
    shapes |= draw_doodles(modules / DOODLES, concepts)
    save_drawings(out / "shapes.npz", shapes)
    return counts | {"shapes": len(shapes)}


def save_drawings(path: Path, drawings: dict[str, NDArray[np.uint8]]) -> None:
    """Write drawings into an .npz file under their names."""
    named: dict[str, Any] = {**drawings}  # numpy's own annotations take all names for its options
    np.savez_compressed(path, **named)


def fetch_packages(folder: Path) -> Path:
    """Let npm install the icon sets, unless they are there already; return node_modules."""
    folder.mkdir(parents=True, exist_ok=True)
    modules = folder / "node_modules"
    if not all((modules / package).is_dir() for package in PACKAGES):
        command = ["npm", "install", "--no-audit", "--no-fund", "--no-save", "--silent", *PACKAGES]
        subprocess.run(command, cwd=folder, check=True)
    return modules


def labels_to_hexcodes(modules: Path) -> dict[str, str]:
    """Map emojibase's English labels to code points, as in `1f412`."""
    entries = json.loads((modules / "emojibase-data/en/data.json").read_text())
    return {entry["label"]: entry["hexcode"].lower().replace("-fe0f", "") for entry in entries}


def draw_style(
    sets: Path, style: str, concepts: tuple[Concept, ...], hexcodes: dict[str, str]
) -> dict[str, NDArray[np.uint8]]:
    """Draw every concept that the style has; a concept may have several drawings."""
    icons = read_icons(sets / style)
    characters = json.loads((sets / style / "chars.json").read_text())
    cutouts = {}
    for concept in concepts:
        for number, label in enumerate(concept.labels):
            name = icon_name(label, hexcodes, characters, icons)
            if name is not None:
                cutouts[f"{concept.name}/{number}"] = draw_icon(icons, name)
    return cutouts


def crop_fluent_3d(
    package: Path, concepts: tuple[Concept, ...], hexcodes: dict[str, str]
) -> dict[str, NDArray[np.uint8]]:
    """Cut out Fluent's rendered drawings, which come as pictures named by their code points."""
    licence = json.loads((package / "package.json").read_text())["license"]
    check_licence(package, licence)
    cutouts = {}
    for concept in concepts:
        for number, label in enumerate(concept.labels):
            code = hexcodes.get(label, "")
            for name in (code, f"{code}-fe0f"):
                if code and (package / f"assets/{name}.webp").exists():
                    picture = Image.open(package / f"assets/{name}.webp").convert("RGBA")
                    cutouts[f"{concept.name}/{number}"] = crop(picture)
    return cutouts


def icon_name(
    label: str, hexcodes: dict[str, str], characters: dict[str, str], icons: dict[str, Any]
) -> str | None:
    """Return the icon of a label, found by code point, then by name; None where there is none."""
    by_name = label.lower().replace("\u2019s", "s").replace(" ", "-")
    for name in (characters.get(hexcodes.get(label, "")), by_name, by_name.replace("-", "")):
        alias = icons.get("aliases", {}).get(name, {}).get("parent")
        for candidate in (name, alias):
            if candidate in icons["icons"]:
                return candidate
    return None


def ship(out: Path) -> None:
    """Write the demonstration's atlas and the vocabulary of the nano world into the package."""
    unseen = load_world("demo", out).cutouts
    write_atlas(unseen, UNSEEN_SOURCE, atlas_file("unseen"))
    write_atlas(one_drawing_a_thing(out), TRAINED_SOURCE, atlas_file("trained"))
    concepts = read_concepts()
    lines = [
        STICKERS_HEADER,
        "name: stickers",
        'description: "The nano world of the embedded model"',
        "classes:",
    ]
    for number, concept in enumerate(concepts, start=1):
        kind = "thing" if concept.is_thing else "stuff"
        synonyms = f", synonyms: [{', '.join(concept.synonyms)}]" if concept.synonyms else ""
        mark = "" if concept.seen else "  # unseen"
        lines.append(f"  - {{id: {number}, name: {concept.name}, kind: {kind}{synonyms}}}{mark}")
    things = sum(concept.is_thing for concept in concepts)
    names = sum(len(concept.names) for concept in concepts)
    lines[0] = lines[0].format(
        classes=len(concepts), things=things, stuff=len(concepts) - things, names=names
    )
    STICKERS_FILE.write_text("\n".join(lines) + "\n")


def one_drawing_a_thing(out: Path) -> dict[str, list[NDArray[np.uint8]]]:
    """Return a drawing of every thing, of one training style after the other: all are too large."""
    styles = [style for style, role in STYLE_ROLES.items() if role == "train"]
    drawings = {style: dict(np.load(out / f"{style}.npz")) for style in styles}
    chosen = {}
    for number, concept in enumerate(concept for concept in read_concepts() if concept.is_thing):
        turn = number % len(styles)
        has_it = (s for s in styles[turn:] + styles[:turn] if f"{concept.name}/0" in drawings[s])
        chosen[concept.name] = [drawings[next(has_it)][f"{concept.name}/0"]]
    return chosen


def main() -> None:
    """Read the command line."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=DEFAULT_ASSETS)
    parser.add_argument("--ship", action="store_true")
    arguments = parser.parse_args()
    for style, count in make_assets(arguments.out).items():
        logger.info("%-20s %4d drawings", style, count)
    if arguments.ship:
        ship(arguments.out)


if __name__ == "__main__":
    main()
