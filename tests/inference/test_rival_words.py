"""Words that compete, with the embedded model and a picture of a road and a wooden floor."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import frozenseg_label
from frozenseg_label.checkpoints.header import read_checkpoint_info
from frozenseg_label.checkpoints.named_weights import find_weights
from frozenseg_label.checkpoints.text_embeddings import build_text_classifier
from frozenseg_label.inference.predictor_spec import PredictorSpec
from frozenseg_label.inference.preprocess import prepare_image
from frozenseg_label.panoptic import Segment
from frozenseg_label.vocabulary import Category, Vocabulary

PICTURE = Path(frozenseg_label.__file__).parent / "weights/nano-probe/images/probe-0000.jpg"
SAND, ROAD = (Category(name, id_, is_thing=False) for name, id_ in (("sand", 1), ("road", 2)))

LabelWith = Callable[[Vocabulary], dict[str, Segment]]


@pytest.fixture(scope="module")
def label_with() -> LabelWith:
    """Label the picture; returns the segments by the names of their classes."""
    predictor = PredictorSpec("nano", Vocabulary("plain", (SAND, ROAD))).load()
    size = predictor.model.input_size
    pixels = np.asarray(Image.open(PICTURE))
    image = prepare_image(pixels, size.shortest, size.longest, size.divisor)
    features = predictor.model.extract_features(image.pixels[None], [image.framing.image])
    (proposals,) = predictor.propose(features, [image.framing])
    seen = read_checkpoint_info(find_weights("nano")).seen_names
    clip = predictor.model.clip

    def label(words: Vocabulary) -> dict[str, Segment]:
        names = build_text_classifier(clip, words, seen, clip_fingerprint="")
        named = replace(predictor, names=names, vocabulary=words).name_proposals(proposals)
        return {words.by_id(s.category_id).name: s for s in named.panoptic.segments}

    return label


def test_without_rivals_the_floor_is_called_sand(label_with: LabelWith) -> None:
    found = label_with(Vocabulary("plain", (SAND, ROAD)))
    assert found.keys() == {"sand", "road"}
    assert found["sand"].score is not None
    assert found["sand"].score > 0.9


def test_what_a_background_word_wins_stays_unlabelled(label_with: LabelWith) -> None:
    found = label_with(Vocabulary("rest", (SAND, ROAD), ("wooden floor", "carpet")))
    assert found.keys() == {"road"}
    assert found["road"].second in (SAND.id, None)


def test_a_confusable_word_takes_the_region_from_its_own_class_only(label_with: LabelWith) -> None:
    plain = label_with(Vocabulary("plain", (SAND, ROAD)))
    beach = replace(SAND, not_names=("wooden floor",))
    found = label_with(Vocabulary("beach", (beach, ROAD)))
    assert found.keys() == {"road"}
    assert found["road"].score == plain["road"].score  # only the pixels at the seam may differ
    assert abs(found["road"].area - plain["road"].area) < 20
