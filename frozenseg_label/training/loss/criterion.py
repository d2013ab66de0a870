"""The losses of a set of masks: class, mask cross-entropy and dice (Mask2Former, 2112.01527).

All sums are divided by the weights of the whole step, over all its passes and processes: the loss
of a step is the same, however its images are dealt out.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from frozenseg_label.training.data.targets import Doubt, Targets, find_doubt
from frozenseg_label.training.loss.matcher import Match, mask_costs, match_targets
from frozenseg_label.training.loss.point_sampling import (
    Draw,
    choose_uncertain_points,
    known_points,
    sample_at_points,
)

SMALLEST_PROBABILITY = 1e-6  # keeps logarithms finite


class LayerPrediction(NamedTuple):
    """The prediction of one decoder layer.

    Attributes:
        class_logits: [B, Q, K + 1], void last.
        mask_logits: [B, Q, h, w].
    """

    class_logits: Tensor
    mask_logits: Tensor


class LossTerms(NamedTuple):
    """The three losses of one layer, each a scalar, not yet weighted."""

    classification: Tensor
    mask: Tensor
    dice: Tensor


class Divisors(NamedTuple):
    """The numbers that the sums of a step are divided by; those of several images add up.

    Attributes:
        queries: sum of the weights of all queries: that of the target, or of void.
        targets: sum of the weights of all targets.
    """

    queries: float
    targets: float


@dataclass(frozen=True)
class Criterion:
    """The loss of the published training; a value without state.

    Attributes:
        num_points: number of points at which a mask is compared with its target.
        void_weight: weight of the queries without a target in the classification.
    """

    num_points: int = 12544
    void_weight: float = 0.1
    classification_weight: float = 2.0
    mask_weight: float = 5.0
    dice_weight: float = 5.0

    def weighted(self, terms: Tensor) -> Tensor:
        """Return the weighted sum of the terms [layers, 3] of all layers, a scalar."""
        weights = (self.classification_weight, self.mask_weight, self.dice_weight)
        return (terms * terms.new_tensor(weights)).sum()

    def divisors(self, weights_of_images: Iterable[Tensor], queries: int) -> Divisors:
        """Return the divisors of some images, only from the weights [N] of their targets.

        Queries in ignored regions count like all others, so nothing has to be predicted first. If
        there are more targets than queries, the matched ones are taken to be of mean weight.
        """
        of_queries = of_targets = 0.0
        for weights in weights_of_images:
            total, matched = float(weights.sum()), min(len(weights), queries)
            of_targets += total
            of_queries += total * matched / max(len(weights), 1)
            of_queries += self.void_weight * (queries - matched)
        return Divisors(of_queries, of_targets)

    def layer_terms(
        self,
        prediction: LayerPrediction,
        targets: Sequence[Targets],
        divisors: Divisors,
        draws: Sequence[Draw],
    ) -> LossTerms:
        """Match the queries of one layer with the targets and return their losses.

        Args:
            prediction: of the layer, for B images.
            targets: one for each image, with masks of one size.
            divisors: of all images of the step; divided by the number of processes if gradients
                are averaged over them.
            draws: one for each image, called once for the matching, then twice for the masks.
        """
        matches = self.match(prediction, targets, draws)
        classification = torch.stack(
            [
                self.classification(classes, target, match, find_doubt(masks, target))
                for classes, masks, target, match in zip(*prediction, targets, matches, strict=True)
            ]
        ).sum()
        mask, dice = self._mask_terms(prediction.mask_logits, targets, matches, draws)
        of_targets = divisors.targets or 1.0  # without targets the sums are 0 as well
        return LossTerms(classification / divisors.queries, mask / of_targets, dice / of_targets)

    def match(
        self, prediction: LayerPrediction, targets: Sequence[Targets], draws: Sequence[Draw]
    ) -> list[Match]:
        """Assign targets to queries, image by image, each at points of its own."""
        return [
            self._match_image(classes, masks, target, draw)
            for classes, masks, target, draw in zip(*prediction, targets, draws, strict=True)
        ]

    def _match_image(self, classes: Tensor, masks: Tensor, target: Targets, draw: Draw) -> Match:
        if target.labels.numel() == 0:  # and perhaps no known pixel to put a point into
            return match_targets(classes, target.labels, masks.new_empty(len(masks), 0))
        points = known_draw(draw, target.known)((1, self.num_points, 2))[0]  # [P, 2]
        return match_targets(classes, target.labels, mask_costs(masks, target.masks, points))

    def classification(
        self, class_logits: Tensor, targets: Targets, match: Match, doubt: Doubt | None
    ) -> Tensor:
        """Return the sum over the queries of one image of their weighted cross-entropies.

        A query without a target should say void. But if it lies in ignored pixels, it learns
        nothing, and if it lies in a refused segment, only that it is not of that class.

        Args:
            class_logits: [Q, K + 1].
        """
        void = class_logits.shape[-1] - 1
        wanted = torch.full(class_logits.shape[:1], void, device=class_logits.device)  # [Q]
        weights = torch.full(class_logits.shape[:1], self.void_weight, device=class_logits.device)
        refusals = class_logits.new_zeros(())
        if doubt is not None:
            weights[doubt.ignored] = 0.0
            free = torch.ones_like(doubt.ignored)
            free[match.queries] = False
            for label, refused in zip(doubt.refused_labels.tolist(), doubt.refused, strict=True):
                yes = class_logits[refused & free].float().softmax(dim=-1)[:, label]
                no = (1.0 - yes).clamp(min=SMALLEST_PROBABILITY).log()
                refusals = refusals - self.void_weight * no.sum()
        wanted[match.queries] = targets.labels[match.targets]
        weights[match.queries] = targets.target_weights[match.targets]
        costs = F.cross_entropy(class_logits.float(), wanted, reduction="none")  # [Q]
        return (weights * costs).sum() + refusals

    def _mask_terms(
        self,
        mask_logits: Tensor,
        targets: Sequence[Targets],
        matches: Sequence[Match],
        draws: Sequence[Draw],
    ) -> tuple[Tensor, Tensor]:
        """Return the sums of cross-entropy and dice of the matched masks, at uncertain points."""
        predicted = torch.cat(
            [m[match.queries] for m, match in zip(mask_logits, matches, strict=True)]
        ).float()
        if predicted.shape[0] == 0:  # a zero that still gives every parameter a gradient
            return predicted.sum(), predicted.sum()
        pairs = list(zip(targets, matches, strict=True))
        wanted = torch.cat([t.masks[match.targets] for t, match in pairs])  # [N, H, W]
        weights = torch.cat([t.target_weights[match.targets] for t, match in pairs])  # [N]

        def draw(shape: tuple[int, ...]) -> Tensor:
            own = [
                _draw_for_targets(image_draw, target, match, shape[1:])
                for image_draw, (target, match) in zip(draws, pairs, strict=True)
            ]
            return torch.cat(own)

        with torch.no_grad():
            points = choose_uncertain_points(predicted, draw, self.num_points)  # [N, P, 2]
            truth = sample_at_points(wanted[:, None], points)[:, 0]  # [N, P]
        logits = sample_at_points(predicted[:, None], points)[:, 0]  # [N, P]
        crosses = F.binary_cross_entropy_with_logits(logits, truth, reduction="none").mean(
            dim=1
        )  # [N]
        inside = logits.sigmoid()
        overlap = 2.0 * (inside * truth).sum(dim=1)
        dices = 1.0 - (overlap + 1.0) / (inside.sum(dim=1) + truth.sum(dim=1) + 1.0)  # [N]
        return (weights * crosses).sum(), (weights * dices).sum()


def known_draw(draw: Draw, known: Tensor | None) -> Draw:
    """Return a draw whose points all lie in known pixels (bool [H, W]; None: everywhere)."""
    if known is None:
        return draw
    return lambda shape: known_points(draw(shape), known)


def _draw_for_targets(draw: Draw, targets: Targets, match: Match, shape: tuple[int, ...]) -> Tensor:
    """Return points [n, *shape] for the n matched targets of one image, known for each of them."""
    points = draw((len(match.targets), *shape))
    if targets.known is None or len(points) == 0:
        return points
    if targets.refused is None:  # the same pixels are known for all targets
        return known_points(points, targets.known)
    known = [targets.known_of(label) for label in targets.labels[match.targets].tolist()]
    return torch.stack(
        [p if k is None else known_points(p, k) for p, k in zip(points, known, strict=True)]
    )
