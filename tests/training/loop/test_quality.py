"""Images are labelled as by `annotate`, and compared with the segments that people own."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from frozenseg_label.checkpoints.text_embeddings import build_text_classifier
from frozenseg_label.inference.predictor import Predictor
from frozenseg_label.inference.preprocess import prepare_image
from frozenseg_label.model.frozenseg import FrozenSeg
from frozenseg_label.model.proposals import Features
from frozenseg_label.model.text_classifier import TextClassifier
from frozenseg_label.panoptic import PanopticMap
from frozenseg_label.training.data.labelled_images import check_images, read_labelled_images
from frozenseg_label.training.loop.quality import MeasuredSet, score, true_map
from frozenseg_label.vocabulary_files import parse_classes
from tests.training.small_sets import ANIMALS, map_of, write_run, write_set

SIZES = {"1.png": (64, 64), "2.png": (40, 50)}


def measured_set(folder: Path) -> MeasuredSet:
    images, vocabulary, _ = read_labelled_images(folder, None)
    return MeasuredSet(check_images(images, vocabulary), vocabulary)


@pytest.fixture
def names(tiny_frozenseg: FrozenSeg) -> TextClassifier:
    return build_text_classifier(
        tiny_frozenseg.clip, ANIMALS, (), clip_fingerprint="", templates=("{}",)
    )


@pytest.fixture
def agreed(tiny_frozenseg: FrozenSeg, names: TextClassifier, tmp_path: Path) -> MeasuredSet:
    """Return two pictures; a person accepted all segments of the model."""
    anything = {name: map_of(np.ones(size, np.int32)) for name, size in SIZES.items()}
    pictures = measured_set(write_set(tmp_path / "set", anything)).images
    predictor = Predictor(tiny_frozenseg, names, ANIMALS, "model:x", names.embeddings.device)
    maps = {}
    for image in pictures:
        prepared = prepare_image(image.read_picture(), 64, 96)
        found = predictor.predict([prepared])[0].panoptic
        assert found.segments
        accepted = tuple(replace(segment, state="accepted") for segment in found.segments)
        maps[image.name] = PanopticMap(found.ids, accepted)
    return measured_set(write_set(tmp_path / "set", maps))


def test_a_model_is_perfect_where_people_agreed_with_all_that_it_said(
    tiny_frozenseg: FrozenSeg, names: TextClassifier, agreed: MeasuredSet
) -> None:
    qualities = score(tiny_frozenseg, names, agreed, bf16=False).categories
    assert qualities
    assert {quality.pq for quality in qualities.values()} == {1.0}


def test_what_nobody_stands_behind_counts_for_and_against_nobody(
    tiny_frozenseg: FrozenSeg, names: TextClassifier, agreed: MeasuredSet
) -> None:
    proposed = [
        replace(image, segments=tuple(replace(s, state="proposed") for s in image.segments))
        for image in agreed.images
    ]
    tally = score(tiny_frozenseg, names, replace(agreed, images=proposed), bf16=False)
    assert tally.categories == {}


def test_features_from_a_cache_give_the_same_figures(
    tiny_frozenseg: FrozenSeg, names: TextClassifier, agreed: MeasuredSet
) -> None:
    asked = []

    def features_of(number: int) -> Features:
        asked.append(number)
        prepared = prepare_image(agreed.images[number].read_picture(), 64, 96)
        return tiny_frozenseg.extract_features(prepared.pixels[None], [prepared.framing.image])

    cached = replace(agreed, features=features_of)
    by_cache = score(tiny_frozenseg, names, cached, bf16=False)
    assert by_cache.categories == score(tiny_frozenseg, names, agreed, bf16=False).categories
    assert asked == [0, 1]


def test_an_image_that_cannot_be_read_is_named_and_left_out(
    tiny_frozenseg: FrozenSeg,
    names: TextClassifier,
    agreed: MeasuredSet,
    caplog: pytest.LogCaptureFixture,
) -> None:
    first = score(tiny_frozenseg, names, replace(agreed, images=agreed.images[:1]), bf16=False)
    agreed.images[1].path.write_bytes(b"no picture")
    assert score(tiny_frozenseg, names, agreed, bf16=False).categories == first.categories
    assert f"left out of the measurement: {agreed.images[1].path}" in caplog.text


@pytest.mark.parametrize("training", [False, True])
def test_the_mode_of_the_model_stays_as_it_was(
    tiny_frozenseg: FrozenSeg, names: TextClassifier, agreed: MeasuredSet, training: bool
) -> None:
    tiny_frozenseg.train(training)
    score(tiny_frozenseg, names, agreed, bf16=False)
    assert tiny_frozenseg.training == training


def test_the_truth_is_what_people_stand_behind_in_the_words_of_the_vocabulary(
    tmp_path: Path,
) -> None:
    labels = map_of(
        [[1, 1, 2, 2], [3, 3, 4, 0]],
        {1: 1, 2: 2, 3: 3, 4: 2},
        {1: "accepted", 2: "proposed", 3: "edited", 4: "rejected"},
    )
    run = write_run(tmp_path / "out", {"1.png": labels}, state="in review")
    (image,), _, _ = read_labelled_images(run, None)
    truth = true_map(image, parse_classes("SKY: stuff, x, Cat"))
    truth.check()
    assert truth.ids.tolist() == [[1, 1, 0, 0], [3, 3, 0, 0]]
    assert [(s.id, s.category_id, s.is_thing) for s in truth.segments] == [
        (1, 3, True),
        (3, 1, False),
    ]


def test_regions_of_one_kind_of_stuff_are_one_segment_as_the_model_has_them(
    tmp_path: Path,
) -> None:
    labels = map_of([[1, 1, 2, 2], [3, 3, 4, 4]], {1: 1, 2: 1, 3: 3, 4: 3})  # two cats, two skies
    (image,) = measured_set(write_set(tmp_path / "set", {"1.png": labels})).images
    truth = true_map(image, ANIMALS)
    truth.check()
    assert truth.ids.tolist() == [[1, 1, 2, 2], [3, 3, 3, 3]]
    assert [(s.id, s.area) for s in truth.segments] == [(1, 2), (2, 2), (3, 4)]
