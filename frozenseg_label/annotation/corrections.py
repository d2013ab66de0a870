"""What people corrected in run folders, as the memory of the next run (`annotate --memory`).

A segment that a person owns comes with CLIP's vector of it: the one that its run kept where that is
of the same mask and the same CLIP, else pooled anew from the picture. Pooled vectors are kept in
the cache. Heavy imports stay inside the functions, as in `annotate_folder`.
"""

import hashlib
import io
import json
import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from frozenseg_label.errors import FrozenSegLabelError, ImageError, RunError
from frozenseg_label.files import atomic_write
from frozenseg_label.inference.predictor_spec import PredictorSpec
from frozenseg_label.label_sets.match_classes import match_classes
from frozenseg_label.panoptic import HUMAN, IMPORTED, BBox, Segment
from frozenseg_label.runs.embeddings import short_clip_hash
from frozenseg_label.runs.journal_rows import Entry, Labels
from frozenseg_label.runs.run_reader import RunReader
from frozenseg_label.vocabulary import Vocabulary

if TYPE_CHECKING:
    from pydantic import JsonValue

    from frozenseg_label.inference.memory import Memory
    from frozenseg_label.inference.predictor import Predictor

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


def remembering(spec: PredictorSpec, runs: Sequence[str | Path]) -> PredictorSpec:
    """Return the choices with the predictor loaded, and in it what people corrected in runs.

    Args:
        spec: what to load.
        runs: run folders, at least one.
    """
    predictor = spec.load()
    folders = list(dict.fromkeys(Path(run) for run in runs))
    corrections = read_corrections(folders, spec.vocabulary, predictor.clip)
    memory = remember(corrections, predictor)
    log.info("remembering %s: %s", memory.name, memory.recall)
    return replace(spec, loaded=replace(predictor, memory=memory))


def memory_arguments(spec: PredictorSpec, runs: Sequence[str | Path]) -> "dict[str, JsonValue]":
    """Return what the manifest of a run tells people of its memory; nothing where there is none."""
    if spec.loaded is None or spec.loaded.memory is None:
        return {}
    memory = spec.loaded.memory
    return {
        "memory": {
            "runs": [str(run) for run in runs],
            "segments": len(memory.classes),
            **asdict(memory.recall),
        }
    }


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


def remember(corrections: Corrections, predictor: "Predictor") -> "Memory":
    """Return the memory of corrections, which speaks as suits them; see `Memory.tuned`.

    RunError where no segment has a vector and no picture is left to make one of.

    Args:
        predictor: of the same CLIP and vocabulary.
    """
    import torch

    from frozenseg_label.inference.memory import Memory
    from frozenseg_label.model.mask_classification import classify_by_clip

    vectors = _with_pooled(corrections, predictor)
    known = [place for place, vector in enumerate(vectors) if vector is not None]
    if not known:
        raise RunError(
            f"{', '.join(map(str, corrections.runs))}: neither vectors of corrected segments nor "
            "their pictures are there; put the pictures back, or leave --memory out"
        )
    device = predictor.device
    segments = [corrections.segments[place] for place in known]
    numbers = {name: number for number, name in enumerate({s.image: None for s in segments})}
    stacked = np.stack([vector for vector in vectors if vector is not None])
    memory = Memory(
        torch.from_numpy(stacked).to(device).float(),
        torch.tensor([segment.place for segment in segments], device=device),
        corrections.described(predictor.vocabulary),
    )
    model = predictor.model
    by_words = classify_by_clip(
        memory.vectors[None], predictor.names, model.void_embedding, model.clip.logit_scale
    )[0, :, :-1]
    images = torch.tensor([numbers[segment.image] for segment in segments], device=device)
    return memory.tuned(images, by_words)


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


def _with_pooled(
    corrections: Corrections, predictor: "Predictor"
) -> list[NDArray[np.float16] | None]:
    """Return the vector of each segment; those without one are pooled, None where that fails."""
    vectors = [segment.vector for segment in corrections.segments]
    wanted: dict[tuple[Path, str], list[int]] = defaultdict(list)
    for place, segment in enumerate(corrections.segments):
        if segment.vector is None:
            wanted[segment.run, segment.image].append(place)
    failed = 0
    for run, of_run in groupby(wanted, key=itemgetter(0)):
        with RunReader.read(run) as folder:
            for key in of_run:
                places = wanted[key]
                segments = [corrections.segments[place] for place in places]
                try:
                    pooled = _pooled(folder, segments, predictor)
                except ImageError as error:
                    log.debug("%s", error)
                    failed += len(places)
                    continue
                for place, vector in zip(places, pooled, strict=True):
                    vectors[place] = vector
    if failed:
        log.warning(
            "%d of %d corrected segments are not remembered: their pictures cannot be read, or "
            "have changed (-v names them)", failed, len(vectors),
        )  # fmt: skip
    return vectors


def _pooled(
    folder: RunReader, segments: Sequence[CorrectedSegment], predictor: "Predictor"
) -> NDArray[np.float16]:
    """Return CLIP's vectors [N, D] of segments of one image, from the cache or from its picture."""
    import torch

    from frozenseg_label.checkpoints.named_weights import cache_folder
    from frozenseg_label.images import decode_image
    from frozenseg_label.inference.preprocess import prepare_image
    from frozenseg_label.inference.segment_embeddings import pool_segments

    image = segments[0].image
    entry = folder.entry(image)
    if entry is None:
        raise ImageError(f"{folder.path}: has no labels of {image} any more")
    facts = [predictor.clip, entry.size, entry.mtime_ns, image]
    facts += [[segment.id, segment.area, segment.bbox] for segment in segments]
    name = hashlib.sha256(json.dumps(facts).encode()).hexdigest()
    path = cache_folder() / "memory" / f"{name}.npy"
    if (cached := _read_cached(path, len(segments))) is not None:
        return cached
    pixels = decode_image(folder.record(entry))
    ids = folder.read_map(image).ids
    if pixels.shape[:2] != ids.shape:
        raise ImageError(f"{folder.picture(image)}: of another size than its labels")
    size = predictor.model.input_size
    prepared = prepare_image(pixels, size.shortest, size.longest, size.divisor)
    with torch.inference_mode():
        masks = (ids == segment.id for segment in segments)
        vectors = pool_segments(predictor.model.clip, prepared, masks)
    _write_cached(path, vectors)
    return vectors


def _read_cached(path: Path, count: int) -> NDArray[np.float16] | None:
    """Return the vectors [count, D] in a file of the cache; None where it is absent or damaged."""
    try:
        vectors: NDArray[np.float16] = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return vectors if vectors.dtype == np.float16 and vectors.shape[:1] == (count,) else None


def _write_cached(path: Path, vectors: NDArray[np.float16]) -> None:
    """Keep vectors; where that fails it only costs time later."""
    content = io.BytesIO()
    np.save(content, vectors, allow_pickle=False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, content.getvalue(), lasting=False)
    except (OSError, FrozenSegLabelError) as error:
        log.warning("%s; until then it is pooled anew in every run", error)
