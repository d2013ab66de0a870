"""The probe set that travels beside the embedded weights."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import frozenseg_label
from frozenseg_label.checkpoints.header import read_checkpoint_info
from frozenseg_label.checkpoints.named_weights import find_weights
from frozenseg_label.formats.panoptic_dataset import PanopticDataset, read_coco_panoptic
from frozenseg_label.vocabulary_files import read_vocabulary

PROBE = Path(frozenseg_label.__file__).parent / "weights" / "nano-probe"
MOST_BYTES = 2_500_000


@pytest.fixture(scope="module")
def probe() -> PanopticDataset:
    return read_coco_panoptic(PROBE / "panoptic.json")


def test_every_picture_has_its_truth_and_every_file_belongs_to_one(probe: PanopticDataset) -> None:
    expected = {PROBE / "panoptic.json"}
    for annotation, truth in probe:
        truth.check()
        picture = PROBE / "images" / annotation.file_name
        with Image.open(picture) as image:
            assert (image.format, image.mode) == ("JPEG", "RGB")
            assert image.size == (256, 256) == truth.ids.shape
        assert annotation.state == "reviewed"
        assert {segment.state for segment in truth.segments} == {"accepted"}
        expected |= {picture, PROBE / "panoptic" / annotation.png_name}
    assert expected == {path for path in PROBE.rglob("*") if path.is_file()}


def test_it_is_small_enough_to_travel() -> None:
    files = [path for path in PROBE.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= MOST_BYTES


def test_its_words_are_those_of_the_nano_world(probe: PanopticDataset) -> None:
    assert probe.vocabulary.categories == read_vocabulary("stickers").categories


def test_it_asks_for_what_the_decoder_never_saw(probe: PanopticDataset) -> None:
    seen = set(read_checkpoint_info(find_weights("nano")).seen_names)
    by_name: Counter[str] = Counter()
    for annotation in probe.annotations:
        by_name.update(probe.vocabulary.by_id(s.category_id).name for s in annotation.segments)
    unseen = {name: count for name, count in by_name.items() if name not in seen}
    assert sum(count >= 3 for count in unseen.values()) >= 40
    things = {c.name for c in probe.vocabulary.categories if c.is_thing} & by_name.keys()
    assert len(things & unseen.keys()) > 2 * len(things - unseen.keys())
    assert {c.name for c in probe.vocabulary.categories if not c.is_thing} <= by_name.keys()


def test_no_two_scenes_are_alike(probe: PanopticDataset) -> None:
    pictures = {
        np.asarray(Image.open(PROBE / "images" / annotation.file_name)).tobytes()
        for annotation in probe.annotations
    }
    assert len(pictures) == len(probe) == 96
