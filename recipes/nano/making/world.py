"""The nano world for the recipes: which words, which drawings, and which style plays which role."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from frozenseg_label.demo.scenes import Cutouts, Scene, Textures, draw_scene
from frozenseg_label.demo.textures import draw_textures
from recipes.nano.making.restyle import Drawing, color_shape, restyle

Role = Literal["train", "validate", "test", "demo"]

# Six styles train, one validates, one tests; the demonstration's own style is seen by no training.
STYLE_ROLES: dict[str, Role] = {
    "noto": "train",
    "noto-v1": "train",
    "fluent-emoji": "train",
    "fluent-emoji-flat": "train",
    "fxemoji": "train",
    "fluent-3d": "train",
    "emojione": "validate",
    "streamline-emojis": "test",
    "twemoji": "demo",
}
TEXTURE_SEEDS: dict[Role, int] = {"train": 0, "validate": 1, "test": 2, "demo": 3}
ROOT = Path(__file__).parents[3]  # of the repository
CONCEPTS_FILE = Path(__file__).with_name("concepts.txt")
DEFAULT_ASSETS = Path("/tmp/nano/assets")


@dataclass(frozen=True)
class Concept:
    """One class of the nano world.

    Attributes:
        labels: emojibase labels of its drawings; empty for stuff, which is drawn as a texture.
        seen: its masks and names train the decoder; the names of all classes train CLIP.
        group: one letter, see concepts.txt.
    """

    name: str
    synonyms: tuple[str, ...]
    labels: tuple[str, ...]
    is_thing: bool
    seen: bool
    group: str

    @property
    def names(self) -> tuple[str, ...]:
        """Return the name and its synonyms."""
        return (self.name, *self.synonyms)


@dataclass(frozen=True)
class World:
    """All drawings that scenes are made of, and the classes that they show."""

    concepts: tuple[Concept, ...]
    cutouts: Cutouts
    textures: Textures

    def scene(self, seed: int, size: int = 256) -> Scene:
        """Draw the scene of a seed."""
        return draw_scene(np.random.default_rng(seed), self.cutouts, self.textures, size)


def read_concepts(everything: bool = False) -> tuple[Concept, ...]:
    """Return the concepts of concepts.txt, in its order.

    Args:
        everything: include those marked `later`, which no training uses yet.
    """
    concepts = []
    for line in CONCEPTS_FILE.read_text().splitlines():
        if line.startswith("#"):
            continue
        head, labels, names = (part.strip() for part in line.split("|"))
        group, mark = head.split()
        name, *synonyms = (word.strip() for word in names.split(","))
        is_thing = group != "T"
        drawn = tuple(labels.split("+")) if is_thing else ()
        if everything or mark != "later":
            concepts.append(Concept(name, tuple(synonyms), drawn, is_thing, mark == "seen", group))
    return tuple(concepts)


def seen_names(concepts: Collection[Concept]) -> tuple[str, ...]:
    """Return all names, with synonyms, of the classes that the decoder is trained on."""
    return tuple(name for concept in concepts if concept.seen for name in concept.names)


def load_world(
    role: Role,
    assets: Path = DEFAULT_ASSETS,
    only_seen: bool = False,
    variants: int = 0,
) -> World:
    """Load the drawings of a role's styles and draw its textures.

    Args:
        assets: folder with <style>.npz, made by `recipes.nano.making.assets`.
        only_seen: leave out the classes whose masks the decoder must not see.
        variants: restyled versions of every drawing, beside the drawing itself; where there are
            any, the one-colour shapes come too, coloured.
    """
    concepts = tuple(c for c in read_concepts() if c.seen or not only_seen)
    cutouts: dict[str, list[np.ndarray]] = {
        concept.name: [] for concept in concepts if concept.is_thing
    }
    for style, plays in STYLE_ROLES.items():
        if plays != role:
            continue
        with np.load(assets / f"{style}.npz") as drawings:
            for key in drawings.files:
                name = key.rsplit("/", 1)[0]
                if name in cutouts:
                    cutouts[name].append(drawings[key])
    if variants:
        cutouts = _vary_styles(cutouts, assets / "shapes.npz", variants)
    stuff = [concept.name for concept in concepts if not concept.is_thing]
    sheets = 12 if role == "train" else 4
    textures = draw_textures(np.random.default_rng(TEXTURE_SEEDS[role]), sheets, names=stuff)
    return World(concepts, {name: drawn for name, drawn in cutouts.items() if drawn}, textures)


def _vary_styles(
    cutouts: dict[str, list[Drawing]], shapes_file: Path, variants: int
) -> dict[str, list[Drawing]]:
    """Add restyled versions of every drawing, and half as many of the thing's shapes."""
    rng = np.random.default_rng(0)
    shapes: dict[str, list[Drawing]] = {}
    with np.load(shapes_file) as drawings:
        for key in drawings.files:
            shapes.setdefault(key.split("/")[0], []).append(drawings[key])
    varied = {}
    for name, drawn in cutouts.items():
        versions = [restyle(rng, drawing) for drawing in drawn for _ in range(variants)]
        found = shapes.get(name, [])
        for number in range(min(len(drawn) * variants * 3 // 2, len(found) * variants)):
            colored = color_shape(rng, found[number % len(found)], drawn)
            versions.append(restyle(rng, colored))
        plain = max(1, variants // 3)  # the drawings themselves stay a good share
        varied[name] = [*drawn * plain, *versions]
    return varied
