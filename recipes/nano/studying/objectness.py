"""Whether a less probable void for classes that no training saw makes better labels.

    OMP_NUM_THREADS=1 python -m recipes.nano.studying.objectness --work WORK --style validate

The decoder learnt from seen classes what is nothing, so it takes unseen things for nothing too
often. The idea of CLIP-conditioned objectness (arXiv 2603.21386) is to trust CLIP there: the surer
it is of a class that the decoder never saw, the less probable is void. How sure: the highest
probability that CLIP, or the memory of corrections, gives an unseen class among all words.

Scenes, kept proposals and memories are those of `studying.memory`. Each opinion is counted in the
same scenes as the labels without any change; the gain's standard error is by bootstrap over the
scenes. "All masks" changes void whatever CLIP says: the control.
"""

import argparse
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from frozenseg_label.evaluation.panoptic_quality import PanopticTally
from frozenseg_label.inference.memory import Memory
from frozenseg_label.inference.predictor import Predictor
from frozenseg_label.inference.predictor_spec import PredictorSpec
from frozenseg_label.model.mask_classification import word_logits
from frozenseg_label.model.proposals import MaskProposals
from frozenseg_label.vocabulary_files import read_vocabulary
from recipes.nano.making.stage_files import read_lines
from recipes.nano.studying.kept_scenes import KeptScene, keep_scenes
from recipes.nano.studying.memory import is_measured, looked_at, remember
from recipes.nano.studying.spread import Counts, counts_of, standard_errors

AS_IT_IS = "as it is"
CLIP = "CLIP"
OPINIONS = (CLIP, "memory 0", "memory 1", "memory 2")
CORRECTED = 5  # segments of each class, for the memory
log = logging.getLogger("objectness")


def lowered(by: float) -> Callable[[Tensor, Tensor], Tensor]:
    """Return a rule: void's logit is less by so much times how sure the opinion is."""
    return lambda void, sure: (void.logit() - by * sure).sigmoid()


def where_sure(by: float, least: float) -> Callable[[Tensor, Tensor], Tensor]:
    """Return a rule: void's logit is less by so much where the opinion is at least so sure."""
    return lambda void, sure: (void.logit() - by * (sure >= least)).sigmoid()


def multiplied(share: float) -> Callable[[Tensor, Tensor], Tensor]:
    """Return a rule: void loses this share of its probability, times how sure the opinion is."""
    return lambda void, sure: void * (1 - share * sure)


# A rule makes void's probability [Q] from what it was and from how sure the opinion is, 0..1.
RULES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    AS_IT_IS: lambda void, sure: void,
    "logit - 1 x sure": lowered(1.0),
    "logit - 3 x sure": lowered(3.0),
    "logit - 2 where sure > 0.5": where_sure(2.0, 0.5),
    "void x (1 - sure)": multiplied(1.0),
    "all masks: logit - 1": where_sure(1.0, 0.0),
}


@dataclass(frozen=True)
class Counted:
    """What was counted with one opinion: of each rule, N scenes and K classes."""

    counts: Mapping[str, Counts]
    groups: Mapping[str, set[int]]

    def figures(self) -> dict[str, dict[str, float]]:
        """Return PQ in per cent of each rule, its gain, and the standard error of the gain."""
        errors = standard_errors(self.counts, self.groups, AS_IT_IS)
        found = {rule: dict[str, float]() for rule in self.counts}
        for group, places in self.groups.items():
            base = _pq(self.counts[AS_IT_IS], places)
            for rule, counts in self.counts.items():
                quality = _pq(counts, places)
                error = errors.get(f"{rule}: PQ {group}, standard error of the gain", 0.0)
                found[rule] |= {group: quality, f"{group} gain": quality - base}
                found[rule][f"{group} error"] = error
        return {rule: {k: round(v, 2) for k, v in row.items()} for rule, row in found.items()}


def count(predictor: Predictor, scenes: Sequence[KeptScene]) -> Counted:
    """Label scenes with each rule, and count; the opinion is the memory's, or CLIP's if none."""
    categories = predictor.vocabulary.categories
    ids = [category.id for category in categories]
    counts: dict[str, list[Counts]] = {rule: [] for rule in RULES}
    for scene in scenes:
        proposals = scene.proposals(predictor)
        queries, framing = proposals.queries, proposals.framing
        masks = predictor.model.classify(queries, predictor.names)
        if predictor.memory is not None:
            masks = predictor.memory.renamed(masks, queries)
        sure = how_sure(predictor, queries, masks.class_probs[0])  # [Q]
        void = masks.class_probs[0, :, -1].double()
        for name, rule in RULES.items():
            less = rule(void, sure)
            named = masks.class_probs[0, :, :-1] * ((1 - less) / (1 - void))[:, None]
            probs = torch.cat([named, less[:, None]], dim=1).float()[None]
            made = predictor.merge_masks(replace(masks, class_probs=probs), framing).panoptic
            tally = PanopticTally()
            tally.add(made, scene.truth)
            counts[name].append(counts_of(tally, ids))
    true = {segment.category_id for scene in scenes for segment in scene.truth.segments}
    places = {place for place, id_ in enumerate(ids) if id_ in true}
    seen = {place for place in places if predictor.names.seen[place]}
    groups = {"all": places, "seen": seen, "unseen": places - seen}
    return Counted({name: np.stack(rows) for name, rows in counts.items()}, groups)


def how_sure(predictor: Predictor, queries: MaskProposals, class_probs: Tensor) -> Tensor:
    """Return the highest probability of an unseen class for each mask, [Q] in 0..1.

    Args:
        class_probs: [Q, K + 1], with the votes of the memory if there is one.
    """
    names = predictor.names
    if predictor.memory is None:
        scale = predictor.model.clip.logit_scale
        logits = word_logits(queries.clip_embeddings, names.embeddings, scale)[0]  # [Q, S]
        best = torch.stack([of.amax(dim=-1) for of in logits.split(names.synonyms, dim=-1)], -1)
        named = best.softmax(dim=-1)  # [Q, K]
    else:
        named = class_probs[:, :-1] / class_probs[:, :-1].sum(dim=-1, keepdim=True)
    sure = named[:, ~names.seen].amax(dim=-1)
    return torch.where(queries.valid[0], sure, 0.0).double()


def memory_of(predictor: Predictor, scenes: Sequence[KeptScene], seed: int) -> Memory:
    """Return the memory of some segments of each class in the scenes that may be corrected."""
    first = [looked_at(predictor, scene) for scene in scenes if not is_measured(scene, seed)]
    classes = {segment.category_id for scene in first for segment in scene.truth.segments}
    return remember(predictor, first, CORRECTED, classes, seed)


def main() -> None:
    """Read the command line, count, print a table for each opinion."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="that of studying.memory")
    parser.add_argument("--style", default="validate", help="that studying.memory measured")
    parser.add_argument("--scenes", type=int, default=300)
    parser.add_argument("--opinions", nargs="*", default=OPINIONS, help="the number is a seed")
    given = parser.parse_args()
    folder = given.work / f"{given.style}-{given.scenes}"
    predictor = PredictorSpec("nano", read_vocabulary("stickers")).load()
    results = folder / "objectness.jsonl"
    done = {row["opinion"] for row in read_lines(results)}
    with torch.inference_mode():
        kept = keep_scenes(folder, predictor, range(given.scenes))
        for opinion in given.opinions:
            if opinion in done:
                continue
            who, counted = predictor, kept
            if opinion != CLIP:
                seed = int(opinion.split()[1])
                who = replace(predictor, memory=memory_of(predictor, kept, seed))
                counted = [scene for scene in kept if is_measured(scene, seed)]
            row = {"opinion": opinion, "scenes": len(counted)}
            row["figures"] = count(who, counted).figures()
            with results.open("a") as lines:
                lines.write(json.dumps(row) + "\n")
    for row in read_lines(results):
        log.info("%s, %d scenes", row["opinion"], row["scenes"])
        for rule, figures in row["figures"].items():
            cells = (f"{figures[g]:.1f}, {_gain(figures, g)}" for g in ("all", "seen", "unseen"))
            log.info("| %s | %s |", rule, " | ".join(cells))


def _gain(figures: Mapping[str, float], group: str) -> str:
    return f"{figures[f'{group} gain']:+.2f} ± {figures[f'{group} error']:.2f}"


def _pq(counts: Counts, places: set[int]) -> float:
    """Return PQ in per cent, the mean over some classes."""
    iou, pairs, spurious, missed = counts.sum(axis=0)[sorted(places)].T
    return float(100 * np.mean(iou / (pairs + (spurious + missed) / 2)))


if __name__ == "__main__":
    main()
