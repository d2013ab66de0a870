"""Scenes with all that a model knows of them before any word, kept on disk.

Naming them again, with a memory say, then needs no encoder. What is done is not done again.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from frozenseg_label import write_demo
from frozenseg_label.demo.scenes import Scene
from frozenseg_label.files import atomic_write
from frozenseg_label.formats.coco_panoptic import png_name, write_coco_panoptic, write_panoptic_png
from frozenseg_label.inference.given_image import pixels_of
from frozenseg_label.inference.image_proposals import ImageProposals
from frozenseg_label.inference.kept_proposals import decode_proposals, encode_proposals
from frozenseg_label.inference.predictor import Predictor
from frozenseg_label.inference.preprocess import PreparedImage, prepare_image
from frozenseg_label.inference.segment_embeddings import pool_segments
from frozenseg_label.label_sets.open_label_set import open_label_set
from frozenseg_label.panoptic import PanopticMap
from frozenseg_label.vocabulary_files import read_vocabulary
from recipes.nano.making.probe import describe
from recipes.nano.making.world import DEFAULT_ASSETS
from recipes.nano.studying.drawn_scenes import StudyStyle, world_scenes

FIRST_SEED = 60_000  # of the scenes of all words; no other study has these
SIZE = 384  # pixels, their height and width

log = logging.getLogger("human_seconds")


@dataclass(frozen=True)
class KeptScene:
    """A scene with its truth.

    Attributes:
        number: of the scene, from 0.
        file: its proposals.
        drawn: float16 [T, D], CLIP's vectors of the true masks.
    """

    number: int
    truth: PanopticMap
    file: Path
    drawn: NDArray[np.float16]

    def proposals(self, predictor: Predictor) -> ImageProposals:
        """Return the proposals of the scene, which a model of the predictor's weights made."""
        return decode_proposals(
            self.file.read_bytes(), self.file.name, predictor.source, predictor.device
        )


def write_scenes(
    folder: Path, count: int, style: StudyStyle, first: int = 0, assets: Path = DEFAULT_ASSETS
) -> None:
    """Draw scenes of all words with their truth into FOLDER, unless they are there.

    Args:
        first: number of the first one, among all scenes of the style.
        assets: folder of the drawings that do not travel with the package.
    """
    if (folder / "truth" / "panoptic.json").is_file():
        return
    first += FIRST_SEED
    if style == "validate" or style == "test":
        write_drawn(folder, world_scenes(style, first, count, SIZE, assets))
    else:
        write_demo(folder / "pictures", count, first, folder / "truth", SIZE, style)


def write_drawn(folder: Path, scenes: Iterable[Scene]) -> None:
    """Write scenes into FOLDER/pictures and their truth into FOLDER/truth, as `write_demo` does."""
    vocabulary, rows = read_vocabulary("stickers"), []
    (folder / "pictures").mkdir(parents=True, exist_ok=True)
    for number, scene in enumerate(scenes):
        name = f"demo-{number:04d}.png"
        Image.fromarray(scene.image).save(folder / "pictures" / name)
        write_panoptic_png(folder / "truth" / "panoptic" / png_name(name), scene.ids)
        rows.append(describe(scene, number + 1, name, vocabulary))
    write_coco_panoptic(folder / "truth" / "panoptic.json", vocabulary, rows)


def keep_scenes(folder: Path, predictor: Predictor, numbers: Sequence[int]) -> list[KeptScene]:
    """Return some scenes of a folder; those that no model has looked at are looked at first.

    Args:
        predictor: with its encoders.
        numbers: of the scenes.
    """
    kept, vectors = folder / predictor.source.replace(":", "-"), folder / "drawn"
    for place in (kept, vectors):
        place.mkdir(exist_ok=True)
    found = []
    with open_label_set(folder / "truth") as truth:
        for number in numbers:
            true = truth.read_map(truth.images[number])
            picture = folder / "pictures" / truth.images[number]
            file, drawn = kept / f"{number:04d}.proposals", vectors / f"{number:04d}.npy"
            if not file.is_file():
                atomic_write(file, _propose(predictor, _prepared(predictor, picture)))
                log.info("looked at scene %d", number)
            if not drawn.is_file():  # all weights have the same CLIP
                masks = (true.ids == segment.id for segment in true.segments)
                clip = predictor.model.clip
                with torch.inference_mode():
                    np.save(drawn, pool_segments(clip, _prepared(predictor, picture), masks))
            found.append(KeptScene(number, true, file, np.load(drawn)))
    return found


def _prepared(predictor: Predictor, picture: Path) -> PreparedImage:
    size = predictor.model.input_size
    return prepare_image(pixels_of(picture), size.shortest, size.longest, size.divisor)


@torch.inference_mode()
def _propose(predictor: Predictor, image: PreparedImage) -> bytes:
    features = predictor.model.extract_features(image.pixels[None], [image.framing.image])
    (proposals,) = predictor.propose(features, [image.framing])
    return encode_proposals(proposals, predictor.source)
