"""What the embedded model is worth on its probe set, with wide margins: 60 % of what was measured.

recipes/nano/README.md has the figures on larger sets, the validation's and the test's styles.
"""

from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import frozenseg_label
from frozenseg_label.evaluation.panoptic_quality import PanopticTally
from frozenseg_label.formats.panoptic_dataset import read_coco_panoptic
from frozenseg_label.inference.predictor_spec import PredictorSpec
from frozenseg_label.inference.preprocess import prepare_image
from frozenseg_label.vocabulary_files import read_vocabulary

PROBE = Path(frozenseg_label.__file__).parent / "weights" / "nano-probe"
SCENES = 48  # the first ones
MEASURED = {"seen": 64.8, "unseen": 47.4}  # PQ of these scenes, in points, 2026-11-29
MEASURED_KINDS = 55  # unseen ones of which some segment was right
MARGIN = 0.6


@dataclass(frozen=True)
class Figures:
    """Counts of the same masks, named by both branches and by the decoder's alone.

    Attributes:
        groups: ids of the classes that occur, "seen" and "unseen".
    """

    both: PanopticTally
    decoder: PanopticTally
    groups: dict[str, set[int]]


@pytest.fixture(scope="module")
def figures() -> Figures:
    probe = read_coco_panoptic(PROBE / "panoptic.json")
    predictor = PredictorSpec("nano", read_vocabulary("stickers")).load()
    model, size = predictor.model, predictor.model.input_size
    both, decoder = PanopticTally(), PanopticTally()
    ways = ((both, model.ensemble), (decoder, replace(model.ensemble, alpha=0.0, beta=0.0)))
    groups: dict[str, set[int]] = {"seen": set(), "unseen": set()}
    for annotation, truth in islice(probe, SCENES):
        pixels = np.asarray(Image.open(PROBE / "images" / annotation.file_name))
        image = prepare_image(pixels, size.shortest, size.longest, size.divisor)
        with torch.inference_mode():
            features = model.extract_features(image.pixels[None], [image.framing.image])
        for tally, model.ensemble in ways:
            (prediction,) = predictor.predict_from_features(features, [image.framing])
            tally.add(prediction.panoptic, truth)
        for segment in truth.segments:
            is_seen = predictor.names.seen[predictor.vocabulary.index_of(segment.category_id)]
            groups["seen" if is_seen else "unseen"].add(segment.category_id)
    return Figures(both, decoder, groups)


@pytest.mark.parametrize("group", ["seen", "unseen"])
def test_the_embedded_model_labels_its_world(figures: Figures, group: str) -> None:
    quality = 100 * figures.both.mean(figures.groups[group]).pq
    assert quality > MARGIN * MEASURED[group]


def test_clip_helps_with_names_that_the_decoder_never_saw(figures: Figures) -> None:
    unseen = figures.groups["unseen"]
    assert figures.both.mean(unseen).pq > figures.decoder.mean(unseen).pq


def test_many_kinds_are_found_that_no_recipe_marks_as_seen(figures: Figures) -> None:
    kinds = figures.both.categories
    found = [i for i in figures.groups["unseen"] if i in kinds and kinds[i].pq > 0]
    assert len(found) > MARGIN * MEASURED_KINDS
