"""What people corrected in run folders: the segments that the next run remembers.

A segment comes with the vector of CLIP that its run kept, where that is of the same mask and the
same CLIP; the others are pooled anew from the pictures (`pooled_vectors`).
"""

import hashlib
import json
import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from frozenseg_label.errors import RunError
from frozenseg_label.label_sets.match_classes import match_classes
from frozenseg_label.panoptic import HUMAN, IMPORTED, BBox, Segment
from frozenseg_label.runs.embeddings import short_clip_hash
from frozenseg_label.runs.journal_rows import Entry, Labels
from frozenseg_label.runs.run_reader import RunReader
from frozenseg_label.vocabulary import Vocabulary

MOST_OF_A_CLASS = 100  # segments that are remembered; more say little that is new

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CorrectedSegment:
    """A segment that a person owns.

    Attributes:
        run: folder that it is in.
        image: its image there.
        id, area, bbox: of the segment in the map of the image.
        place: of its class among the K of the vocabulary.
        vector: float16 [D], CLIP's vector that the run kept of this very mask; None: there is none.
    """

    run: Path
    image: str
    id: int
    area: int
    bbox: BBox
    place: int
    vector: NDArray[np.float16] | None

    @property
    def rank(self) -> str:
        """Return what decides which segments of a class are taken where there are too many."""
        return hashlib.sha256(json.dumps([self.image, self.id]).encode()).hexdigest()


@dataclass(frozen=True)
class Corrections:
    """What people corrected, in the classes of one vocabulary.

    Attributes:
        runs: the folders.
        segments: at least one, at most `MOST_OF_A_CLASS` of each class, image by image.
        clip: hash of the CLIP whose vectors are wanted.
        lost: names of classes in the runs that the vocabulary lacks.
    """

    runs: tuple[Path, ...]
    segments: tuple[CorrectedSegment, ...]
    clip: str
    lost: tuple[str, ...] = ()

    def described(self, vocabulary: Vocabulary) -> str:
        """Return how many segments, and a fingerprint of what people said of them.

        Vectors take no part: they follow from the pictures, but not to the last bit.
        """
        facts = sorted(
            [s.image, s.id, s.area, *s.bbox, vocabulary.categories[s.place].name]
            for s in self.segments
        )
        digest = hashlib.sha256(json.dumps([self.clip, facts]).encode()).hexdigest()
        return f"{len(self.segments)} segments, {digest[:12]}"


def read_corrections(runs: Sequence[Path], vocabulary: Vocabulary, clip: str) -> Corrections:
    """Return what people accepted, edited, drew or imported; RunError where that is nothing.

    Args:
        runs: run folders.
        vocabulary: whose classes are meant; classes of the runs are matched by name.
        clip: hash of the CLIP; vectors of another one do not compare, and are not taken.
    """
    chosen: dict[int, list[CorrectedSegment]] = defaultdict(list)
    lost: dict[str, None] = {}
    for run in runs:
        with RunReader.read(run) as folder:
            ids = match_classes(folder.vocabulary, vocabulary).ids
            for entry, labels, owned in _corrected(folder):
                vectors = _kept_vectors(folder, entry, labels, clip)
                for segment in owned:
                    if segment.category_id not in ids:
                        lost[folder.vocabulary.by_id(segment.category_id).name] = None
                        continue
                    place = vocabulary.index_of(ids[segment.category_id])
                    vector = vectors.get(segment.id)
                    area, bbox = segment.area, segment.bbox
                    _take(
                        chosen[place],
                        CorrectedSegment(run, entry.image, segment.id, area, bbox, place, vector),
                    )
    segments = [segment for of_class in chosen.values() for segment in _lowest(of_class)]
    if not segments:
        of_others = f"; its classes {', '.join(lost)} are none of {vocabulary.name}" if lost else ""
        raise RunError(
            f"{', '.join(map(str, runs))}: no corrected segment to remember{of_others}; accept or "
            "correct some with `frozenseg-label review`, or leave --memory out"
        )
    segments.sort(key=lambda segment: (runs.index(segment.run), segment.image, segment.id))
    return Corrections(tuple(runs), tuple(segments), clip, tuple(lost))


def _corrected(folder: RunReader) -> Iterator[tuple[Entry, Labels, list[Segment]]]:
    """Yield the images in which a person owns segments, with these."""
    for entry in folder.entries():
        if entry.labels is not None:
            segments = entry.labels.current.segments(folder.vocabulary)
            owned = [s for s in segments if s.is_owned and not s.is_open and not s.is_crowd]
            if owned:
                yield entry, entry.labels, owned


def _kept_vectors(
    folder: RunReader, entry: Entry, labels: Labels, clip: str
) -> Mapping[int, NDArray[np.float16]]:
    """Return the vectors, by segment id, that the run kept of the very masks that are there now.

    An accepted segment has the mask that the model gave it. Another one has it where the model's
    own map has a segment of its id, area and box.
    """
    kept = folder.read_embeddings(entry)
    if kept is None or kept.clip != short_clip_hash(clip):
        return {}
    before = labels.proposed.segments_info if labels.proposed is not None else ()
    masks = {(info.id, info.area, info.bbox) for info in before}
    return {
        info.id: kept.segments[info.id]
        for info in labels.current.segments_info
        if info.id in kept.segments
        and (
            (info.state == "accepted" and info.source not in (HUMAN, IMPORTED))
            or (info.id, info.area, info.bbox) in masks
        )
    }


def _take(of_class: list[CorrectedSegment], segment: CorrectedSegment) -> None:
    """Add a segment to those of its class; there are never many too many."""
    of_class.append(segment)
    if len(of_class) >= 2 * MOST_OF_A_CLASS:
        of_class[:] = _lowest(of_class)


def _lowest(of_class: Sequence[CorrectedSegment]) -> list[CorrectedSegment]:
    return sorted(of_class, key=lambda segment: segment.rank)[:MOST_OF_A_CLASS]
