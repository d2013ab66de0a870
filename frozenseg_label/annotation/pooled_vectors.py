"""Vectors of corrected segments that no run kept: pooled from pictures, kept in the cache."""

import hashlib
import io
import json
import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from frozenseg_label.annotation.corrections import CorrectedSegment, Corrections
from frozenseg_label.checkpoints.named_weights import cache_folder
from frozenseg_label.decoding import decode_image
from frozenseg_label.errors import FrozenSegLabelError, ImageError
from frozenseg_label.files import atomic_write
from frozenseg_label.inference.predictor import Predictor
from frozenseg_label.inference.preprocess import prepare_image
from frozenseg_label.inference.segment_embeddings import pool_segments
from frozenseg_label.runs.run_reader import RunReader

log = logging.getLogger(__name__)


def pooled_vectors(
    corrections: Corrections, load: Callable[[], Predictor]
) -> list[NDArray[np.float16] | None]:
    """Return the vector of each segment; those without one are pooled, None where that fails.

    Args:
        corrections: of one CLIP.
        load: returns a predictor of this CLIP; called only where a picture has to be looked at.
    """
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
                    pooled = _pooled(folder, segments, corrections.clip, load)
                except ImageError as error:
                    log.debug("%s", error)
                    failed += len(places)
                    continue
                for place, vector in zip(places, pooled, strict=True):
                    vectors[place] = vector
    if failed:
        log.warning(
            "%d of %d corrected segments are not remembered: their pictures cannot be read, or "
            "have another size now (-v names them)", failed, len(vectors),
        )  # fmt: skip
    return vectors


def _pooled(
    folder: RunReader,
    segments: Sequence[CorrectedSegment],
    clip: str,
    load: Callable[[], Predictor],
) -> NDArray[np.float16]:
    """Return CLIP's vectors [N, D] of segments of one image, from the cache or from its picture."""
    image = segments[0].image
    entry = folder.entry(image)
    if entry is None:
        raise ImageError(f"{folder.path}: has no labels of {image} any more")
    facts = [clip, entry.size, entry.etag or entry.mtime_ns, image]
    facts += [[segment.id, segment.area, segment.bbox] for segment in segments]
    name = hashlib.sha256(json.dumps(facts).encode()).hexdigest()
    path = cache_folder() / "memory" / f"{name}.npy"
    if (cached := _read_cached(path, len(segments))) is not None:
        return cached
    pixels = decode_image(folder.record(entry))
    ids = folder.read_map(image).ids
    if pixels.shape[:2] != ids.shape:
        raise ImageError(f"{folder.picture(image)}: of another size than its labels")
    model = load().model
    size = model.input_size
    prepared = prepare_image(pixels, size.shortest, size.longest, size.divisor)
    with torch.inference_mode():
        masks = (ids == segment.id for segment in segments)
        vectors = pool_segments(model.clip, prepared, masks)
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
