"""A run of small images: some of them reviewed by somebody who knows what is right."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from frozenseg_label.images import ImageRecord
from frozenseg_label.panoptic import PanopticMap, Segment
from frozenseg_label.runs.manifest import Manifest
from frozenseg_label.runs.run_folder import RunFolder
from frozenseg_label.vocabulary import Category, Vocabulary

VOCABULARY = Vocabulary(
    "animals", (Category("cat", 1), Category("dog", 2), Category("sky", 3, is_thing=False))
)
CAT, DOG, SKY = 1, 2, 3
SEGMENTS = 20  # in each image
REVIEWED = 16  # images; as many are not


def proposal(number: int) -> PanopticMap:
    """Return what the model makes of an image: columns of two pixels, cats and dogs by turns.

    Even ids have a high score, odd ones a low one.
    """
    ids = np.repeat(np.arange(1, SEGMENTS + 1, dtype=np.int32), 2)[None].repeat(4, axis=0)
    scores = np.random.default_rng(number).uniform(0.0, 0.2, SEGMENTS + 1)
    return PanopticMap.of(
        ids,
        (
            Segment(
                id_,
                (CAT, DOG)[id_ // 2 % 2],
                is_thing=True,
                score=float(0.79 + scores[id_] if id_ % 2 == 0 else 0.2 + scores[id_]),
                margin=0.5,
                source="model:abc",
            )
            for id_ in range(1, SEGMENTS + 1)
        ),
    )


def truth(number: int) -> PanopticMap:
    """Return the labels as a person leaves them: surely proposed ones stay, most others go."""
    made = proposal(number)
    gone = [s.id for s in made.segments if s.id % 2 and (s.id + number) % 4]
    return replace(
        made,
        segments=tuple(
            replace(s, state="rejected" if s.id in gone else "accepted") for s in made.segments
        ),
    )


def manifest(weights: str = "nano", vocabulary: Vocabulary = VOCABULARY) -> Manifest:
    return Manifest.of(
        tool_version="0",
        arguments={},
        weights=weights,
        weights_fingerprint=weights,
        vocabulary=vocabulary,
        seen_names=[],
        options={},
    )


def pictures(folder: Path) -> list[ImageRecord]:
    """Write files in place of pictures; return their records."""
    found = []
    for number in range(2 * REVIEWED):
        path = folder / f"{number:02d}.jpg"
        path.write_bytes(b"pixels")
        found.append(ImageRecord(path, path.name, 6, path.stat().st_mtime_ns))
    return found


def judged_run(folder: Path, records: Sequence[ImageRecord]) -> Path:
    """Write a run folder whose first images are reviewed."""
    with RunFolder.open_or_create(folder, manifest()) as opened:
        opened.plan(records)
        for number, record in enumerate(records):
            opened.commit(record, proposal(number))
            if number < REVIEWED:
                opened.correct(record, truth(number), state="reviewed")
        opened.finish()
    return folder
