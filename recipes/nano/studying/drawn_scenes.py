"""Scenes that the studies draw: in which style, and of which words.

The demonstration's two styles travel with the package. EmojiTwo (`validate`) and Streamline
(`test`) do not: `recipes.nano.making.assets` draws them from npm packages. Their stuff has textures
of its own, too.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from frozenseg_label.demo.scenes import Cutouts, Scene, Textures, draw_scene
from frozenseg_label.demo.textures import draw_textures
from frozenseg_label.demo.write_demo import Style as DemoStyle
from frozenseg_label.demo.write_demo import demonstration_cutouts
from recipes.nano.making.world import DEFAULT_ASSETS, load_world
from recipes.nano.studying.new_domain import FIRST_SEED, SIZE, domain_names

WorldStyle = Literal["validate", "test"]
StudyStyle = DemoStyle | WorldStyle
STUDY_STYLES: tuple[StudyStyle, ...] = (*get_args(DemoStyle), *get_args(WorldStyle))
FIRST_SEEDS: dict[StudyStyle, int] = {
    "unseen": FIRST_SEED,
    "trained": FIRST_SEED + 10**6,
    "validate": FIRST_SEED + 2 * 10**6,
    "test": FIRST_SEED + 3 * 10**6,
}


@dataclass(frozen=True)
class Drawings:
    """What scenes are made of: things, by name, and textures of stuff."""

    cutouts: Cutouts
    textures: Textures

    @property
    def names(self) -> set[str]:
        """Return the names of all classes."""
        return {*self.cutouts, *self.textures}


def domain_drawings(style: StudyStyle, assets: Path = DEFAULT_ASSETS) -> Drawings:
    """Return a domain in a style: 36 words as in `new_domain`, with drawings of the style.

    The demonstration's two styles have the same words; the other two, which lack some things, have
    words of their own, chosen in the same way.
    """
    if style == "validate" or style == "test":
        world = load_world(style, assets)
        things, stuff = domain_names(world.cutouts)
        chosen = {name: world.cutouts[name] for name in world.cutouts if name in things}
        return Drawings(chosen, {name: world.textures[name] for name in stuff})
    things, stuff = domain_names()
    drawn = demonstration_cutouts(style)
    textures = draw_textures(np.random.default_rng(3), 2, SIZE + 96, names=stuff)
    return Drawings({name: drawn[name] for name in drawn if name in things}, textures)


def domain_scenes(drawings: Drawings, style: StudyStyle, count: int) -> Iterator[Scene]:
    """Yield the first scenes of a domain; each style has scenes of its own."""
    for seed in range(FIRST_SEEDS[style], FIRST_SEEDS[style] + count):
        yield draw_scene(np.random.default_rng(seed), drawings.cutouts, drawings.textures, SIZE)


def world_scenes(
    style: WorldStyle, first: int, count: int, size: int, assets: Path = DEFAULT_ASSETS
) -> Iterator[Scene]:
    """Yield scenes with all words, of the seeds from `first` on."""
    world = load_world(style, assets)
    for seed in range(first, first + count):
        yield world.scene(seed, size)
