"""What a memory of corrections is worth: PQ on other scenes against the corrected segments.

    OMP_NUM_THREADS=1 python -m recipes.nano.studying.memory --work WORK --style trained

Scenes of `domain_scenes`. How a memory speaks was chosen on the style `unseen`; only the others
tell what it is worth elsewhere. Some of the scenes are corrected, the others are measured; a hash
with the seed splits them. Of each class N segments are corrected, as a person would: the right
class for a proposed segment that has the mask, else a drawn mask. The masks that the model proposes
are the same in all arms, only their names differ. The last arm gives every mask that has an IoU of
one half with a true segment the class of it: what names can gain at most.
"""

import argparse
import hashlib
import json
import logging
import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from frozenseg_label.evaluation.panoptic_quality import PanopticTally
from frozenseg_label.evaluation.segment_overlap import overlap_of
from frozenseg_label.inference.image_proposals import ImageProposals
from frozenseg_label.inference.mask_ensemble import mask_iou
from frozenseg_label.inference.memory import Memory
from frozenseg_label.inference.predictor import Prediction, Predictor
from frozenseg_label.inference.predictor_spec import PredictorSpec
from frozenseg_label.model.mask_classification import classify_by_clip
from frozenseg_label.panoptic import PanopticMap
from frozenseg_label.vocabulary import Vocabulary
from frozenseg_label.vocabulary_files import read_vocabulary
from recipes.nano.making.world import DEFAULT_ASSETS
from recipes.nano.studying.drawn_scenes import STUDY_STYLES, domain_drawings, domain_scenes
from recipes.nano.studying.kept_scenes import KeptScene, keep_scenes, write_drawn

CORRECTED_SHARE = 0.6  # of the scenes
FIGURES = ("PQ seen", "PQ unseen", "class seen", "class unseen")

log = logging.getLogger("memory")


@dataclass(frozen=True)
class Looked:
    """A scene, what the model makes of it before any word, and its labels without memory.

    Attributes:
        drawn: float16 [D] by the id of a true segment, CLIP's vector of its mask.
    """

    number: int
    truth: PanopticMap
    proposals: ImageProposals
    drawn: Mapping[int, NDArray[np.float16]]
    labels: Prediction


def main() -> None:
    """Read the command line, measure, print a table."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="what is drawn and seen is kept")
    parser.add_argument("--style", choices=STUDY_STYLES, default="trained")
    parser.add_argument("--scenes", type=int, default=240)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--corrected", type=int, nargs="*", default=[1, 5, 20])
    parser.add_argument("--words", choices=("domain", "stickers"), default="domain")
    parser.add_argument("--assets", type=Path, default=DEFAULT_ASSETS)
    given = parser.parse_args()
    drawings = domain_drawings(given.style, given.assets)
    folder = given.work / f"{given.style}-{given.scenes}"
    if not (folder / "truth" / "panoptic.json").is_file():
        write_drawn(folder, domain_scenes(drawings, given.style, given.scenes))
    words = read_vocabulary("stickers")
    if given.words == "domain":
        of_domain = tuple(c for c in words.categories if c.name in drawings.names)
        words = Vocabulary("domain", of_domain)
    predictor = PredictorSpec("nano", words).load()
    with torch.inference_mode():
        kept = keep_scenes(folder, predictor, range(given.scenes))
        scenes = [looked_at(predictor, scene) for scene in kept]
        log.info("%d scenes; %d words", len(scenes), len(predictor.vocabulary))
        rows = []
        for seed in given.seeds:
            for arm, figures in measure(predictor, scenes, seed, given.corrected).items():
                about = {"seed": seed, "style": given.style, "words": given.words, "arm": arm}
                rows.append({**about, **figures})
                log.info("%s", json.dumps(rows[-1]))
    for arm in dict.fromkeys(row["arm"] for row in rows):
        of_arm = [row for row in rows if row["arm"] == arm]
        log.info("| %s | %s |", arm, " | ".join(_spread(of_arm, name) for name in FIGURES))


def looked_at(predictor: Predictor, scene: KeptScene) -> Looked:
    """Return a scene with its labels."""
    proposals = scene.proposals(predictor)
    ids = [segment.id for segment in scene.truth.segments]
    drawn = dict(zip(ids, scene.drawn, strict=True))
    labels = predictor.name_proposals(proposals)
    return Looked(scene.number, scene.truth, proposals, drawn, labels)


def measure(
    predictor: Predictor, scenes: Sequence[Looked], seed: int, corrected: Sequence[int]
) -> dict[str, dict[str, float]]:
    """Return the figures of each arm on the scenes that the seed leaves for measuring."""
    first = [scene for scene in scenes if not is_measured(scene, seed)]
    others = [scene for scene in scenes if is_measured(scene, seed)]
    arms = {"no memory": score(predictor, others, [scene.labels.panoptic for scene in others])}
    every = {segment.category_id for scene in first for segment in scene.truth.segments}
    ids = [category.id for category in predictor.vocabulary.categories]
    unseen = {id_ for id_, seen in zip(ids, predictor.names.seen, strict=True) if not seen}
    kinds = [(count, "class", every) for count in corrected] + [(5, "unseen class", unseen)]
    for count, kind, classes in kinds:
        started = time.perf_counter()
        memory = remember(predictor, first, count, classes, seed)
        tuned = time.perf_counter() - started
        remembering = replace(predictor, memory=memory)
        started = time.perf_counter()
        made = [remembering.name_proposals(scene.proposals).panoptic for scene in others]
        seconds = time.perf_counter() - started
        arms[f"{count} of each {kind}"] = {
            **score(predictor, others, made),
            "segments": len(memory.classes),
            "neighbours": memory.recall.neighbours,
            "temperature": memory.recall.temperature,
            "weight": memory.recall.weight,
            "seconds to choose them": round(tuned, 2),
            "seconds an image": round(seconds / len(others), 3),
        }
    if seed == 0:  # slow, and about the same for all
        arms["true names"] = score(predictor, others, named_by_truth(predictor, others))
    return arms


def remember(
    predictor: Predictor, scenes: Sequence[Looked], count: int, classes: Collection[int], seed: int
) -> Memory:
    """Return the memory of at most `count` corrected segments of each of some classes (ids)."""
    taken: Counter[int] = Counter()
    vectors, places, images = [], [], []
    for place in np.random.default_rng(seed).permutation(len(scenes)):
        scene = scenes[place]
        overlap = overlap_of(scene.labels.panoptic, scene.truth)
        for row, segment in enumerate(scene.truth.segments):
            if segment.category_id not in classes or taken[segment.category_id] == count:
                continue
            taken[segment.category_id] += 1
            same = np.flatnonzero(overlap.iou[:, row] > 0.5)
            vector = scene.drawn[segment.id]
            if len(same):
                proposed = overlap.predicted[same[0]].id
                vector = scene.labels.segment_embeddings.get(proposed, vector)
            vectors.append(torch.from_numpy(vector).float())
            places.append(predictor.vocabulary.index_of(segment.category_id))
            images.append(scene.number)
    memory = Memory(torch.stack(vectors), torch.tensor(places))
    return memory.tuned(torch.tensor(images), words_of(predictor, memory.vectors))


def words_of(predictor: Predictor, vectors: Tensor) -> Tensor:
    """Return the class probabilities [M, K] of vectors by the words only."""
    model = predictor.model
    scale = model.clip.logit_scale
    probs = classify_by_clip(vectors[None], predictor.names, model.void_embedding, scale)
    return probs[0, :, :-1]


def named_by_truth(predictor: Predictor, scenes: Sequence[Looked]) -> list[PanopticMap]:
    """Return the maps that the masks would give with the true names; void is as it was."""
    maps = []
    for scene in scenes:
        queries, framing = scene.proposals.queries, scene.proposals.framing
        masks = predictor.model.classify(queries, predictor.names)
        ids = [segment.id for segment in scene.truth.segments]
        true = np.stack([scene.truth.ids == id_ for id_ in ids])[None]
        at_masks = F.interpolate(torch.from_numpy(true).float(), queries.mask_logits.shape[-2:])
        iou = mask_iou(queries.mask_logits[0], at_masks[0] - 0.5).max(dim=1)  # [Q]
        probs = masks.class_probs.clone()
        for query in (iou.values >= 0.5).nonzero()[:, 0].tolist():
            segment = scene.truth.segments[int(iou.indices[query])]
            named = probs[0, query, :-1]
            whole = float(named.sum())
            named[:] = 0.0
            named[predictor.vocabulary.index_of(segment.category_id)] = whole
        named_masks = replace(masks, class_probs=probs)
        maps.append(predictor.merge_masks(named_masks, framing).panoptic)
    return maps


def score(
    predictor: Predictor, scenes: Sequence[Looked], maps: Sequence[PanopticMap]
) -> dict[str, float]:
    """Return PQ, and the share of the found segments that have the right class, in per cent.

    Means over the classes that occur in the truth, and over segments. Found are those that share
    an IoU above one half with a true one of any class.
    """
    tally, right = PanopticTally(), {True: list[bool](), False: list[bool]()}
    seen_at = predictor.names.seen.tolist()
    seen = {
        c.id: is_seen for c, is_seen in zip(predictor.vocabulary.categories, seen_at, strict=True)
    }
    for scene, made in zip(scenes, maps, strict=True):
        overlap = overlap_of(made, scene.truth)
        tally.add_overlap(overlap)
        for row, column in zip(*np.nonzero(overlap.iou > 0.5), strict=True):
            meant = overlap.truth[column].category_id
            right[seen[meant]].append(overlap.predicted[row].category_id == meant)
    true = {segment.category_id for scene in scenes for segment in scene.truth.segments}
    figures = {}
    for kind, is_seen in (("seen", True), ("unseen", False)):
        figures[f"PQ {kind}"] = 100 * tally.mean({id_ for id_ in true if seen[id_] == is_seen}).pq
        figures[f"class {kind}"] = 100 * float(np.mean(right[is_seen]))
    return figures


def is_measured(scene: Looked | KeptScene, seed: int) -> bool:
    """Return whether a scene is measured on; the others are corrected."""
    digest = hashlib.sha256(f"{seed} {scene.number}".encode()).digest()
    return digest[0] >= 256 * CORRECTED_SHARE


def _spread(rows: Sequence[Mapping[str, float]], name: str) -> str:
    """Return mean and standard deviation over the seeds."""
    values = [row[name] for row in rows]
    return f"{np.mean(values):.1f} ± {np.std(values, ddof=1) if len(values) > 1 else 0:.1f}"


if __name__ == "__main__":
    main()
