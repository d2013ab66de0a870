"""Small runs: a vocabulary, maps of a few pixels, image files, and their manifest."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from frozenseg_label.images import ImageRecord
from frozenseg_label.panoptic import PanopticMap, Segment, State, measure
from frozenseg_label.runs.manifest import Manifest
from frozenseg_label.vocabulary import Category, Vocabulary

CAT = Category("cat", 1, color=(255, 0, 0))
DOG = Category("dog", 2, color=(0, 255, 0))
SKY = Category("sky", 3, is_thing=False, color=(0, 0, 255))
VOCABULARY = Vocabulary("animals", (CAT, DOG, SKY))

MakeManifest = Callable[..., Manifest]
MakeImage = Callable[..., ImageRecord]
MakeMap = Callable[..., PanopticMap]


@pytest.fixture
def vocabulary() -> Vocabulary:
    return VOCABULARY


@pytest.fixture
def make_manifest() -> MakeManifest:
    """A manifest; name what is to differ."""

    def make(
        weights: str = "nano",
        vocabulary: Vocabulary = VOCABULARY,
        **options: object,
    ) -> Manifest:
        return Manifest.of(
            tool_version="0.1",
            arguments={"images": ["photos"]},
            weights=weights,
            weights_fingerprint=f"fingerprint of {weights}",
            vocabulary=vocabulary,
            seen_names=["dog", "cat"],
            options={"min_score": 0.0} | options,
        )

    return make


@pytest.fixture
def make_image(tmp_path: Path) -> MakeImage:
    """Write a file below `photos` (its content is of no importance here); returns its record."""

    def make(relative: str, content: bytes = b"pixels", root: str = "photos") -> ImageRecord:
        path = tmp_path / root / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        status = path.stat()
        return ImageRecord(path, relative, status.st_size, status.st_mtime_ns)

    return make


@pytest.fixture
def make_map() -> MakeMap:
    """A map from rows of segment ids, and (category id, state) of each id."""

    def make(
        rows: list[list[int]],
        segments: dict[int, tuple[int, State]],
        vocabulary: Vocabulary = VOCABULARY,
    ) -> PanopticMap:
        ids = np.array(rows, dtype=np.int32)
        made = []
        for id_, (area, bbox) in measure(ids).items():
            category_id, state = segments[id_]
            is_thing = vocabulary.by_id(category_id).is_thing
            source = "human" if state == "edited" else "model:abc"
            score = None if state == "edited" else 0.5
            segment = Segment(id_, category_id, is_thing, area, bbox, score, source=source)
            made.append(Segment(**{**vars(segment), "state": state}))
        return PanopticMap(ids, tuple(made))

    return make
