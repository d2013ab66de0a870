"""A predictor that remembers what people corrected (`annotate --memory`)."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path

import numpy as np
import torch
from pydantic import JsonValue

from frozenseg_label.annotation.corrections import Corrections, read_corrections
from frozenseg_label.annotation.pooled_vectors import pooled_vectors
from frozenseg_label.errors import RunError
from frozenseg_label.inference.memory import Memory
from frozenseg_label.inference.predictor import Predictor
from frozenseg_label.inference.predictor_spec import PredictorSpec
from frozenseg_label.model.mask_classification import classify_by_clip

log = logging.getLogger(__name__)


def remembering(
    spec: PredictorSpec, runs: Sequence[str | Path], *, encoders: bool = True
) -> PredictorSpec:
    """Return the choices with the predictor loaded, and in it what people corrected in runs.

    Args:
        spec: what to load.
        runs: run folders, at least one.
        encoders: as of `PredictorSpec.load`; they come all the same where a vector is missing.
    """
    predictor = spec.load(encoders=encoders)
    folders = list(dict.fromkeys(Path(run) for run in runs))
    corrections = read_corrections(folders, spec.vocabulary, predictor.clip)
    whole = None if encoders else cache(spec.load)
    memory = remember(corrections, predictor, whole)
    log.info("naming also by %d segments that people corrected", len(memory.classes))
    log.debug("memory %s: %s", memory.name, memory.recall)
    return replace(spec, loaded=replace(predictor, memory=memory))


def memory_arguments(spec: PredictorSpec, runs: Sequence[str | Path]) -> JsonValue:
    """Return what the manifest of a run tells people of its memory; None where there is none."""
    if spec.loaded is None or spec.loaded.memory is None:
        return None
    memory = spec.loaded.memory
    return {
        "runs": [f"{run}" for run in runs],
        "segments": len(memory.classes),
        **asdict(memory.recall),
    }


def remember(
    corrections: Corrections, predictor: Predictor, whole: Callable[[], Predictor] | None = None
) -> Memory:
    """Return the memory of corrections, which speaks as suits them; see `Memory.tuned`.

    RunError where no segment has a vector and no picture is left to make one of.

    Args:
        predictor: of the same CLIP and vocabulary.
        whole: returns it with its encoders; None where it has them.
    """
    vectors = pooled_vectors(corrections, whole or (lambda: predictor))
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
    scale = model.clip.logit_scale
    with torch.no_grad():
        probs = classify_by_clip(memory.vectors[None], predictor.names, model.void_embedding, scale)
    images = torch.tensor([numbers[segment.image] for segment in segments], device=device)
    return memory.tuned(images, probs[0, :, :-1])
