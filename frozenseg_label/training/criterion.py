"""What a set of masks costs: class, mask cross-entropy and dice (Mask2Former, 2112.01527)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from frozenseg_label.training.matcher import Match, match_targets
from frozenseg_label.training.point_sampling import (
    Draw,
    choose_uncertain_points,
    sample_at_points,
)


@dataclass(frozen=True)
class Targets:
    """What one image shows.

    Attributes:
        labels: int64 [N], indices into the training vocabulary.
        masks: float [N, H, W] in 0..1, over the padded image.
    """

    labels: Tensor
    masks: Tensor


class LayerPrediction(NamedTuple):
    """What one decoder layer says.

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


@dataclass(frozen=True)
class Criterion:
    """The loss of the published training; a value without state.

    Attributes:
        num_points: points at which a mask is compared with its target.
        void_weight: weight of the queries without a target in the classification.
    """

    num_points: int = 12544
    void_weight: float = 0.1
    classification_weight: float = 2.0
    mask_weight: float = 5.0
    dice_weight: float = 5.0

    def total(self, layers: Sequence[LossTerms]) -> Tensor:
        """Return the weighted sum over terms and layers, a scalar."""
        weights = (self.classification_weight, self.mask_weight, self.dice_weight)
        return torch.stack(
            [w * t for terms in layers for w, t in zip(weights, terms, strict=True)]
        ).sum()

    def layer_terms(
        self,
        prediction: LayerPrediction,
        targets: Sequence[Targets],
        num_targets: float,
        draw: Draw,
    ) -> LossTerms:
        """Match one layer's queries with the targets and say what they cost.

        Args:
            prediction: what the layer says about B images.
            targets: one for each image, with masks of one size.
            num_targets: what the mask terms are divided by: all targets of the step, over all
                processes, divided by the number of processes when their gradients are averaged.
            draw: called once an image for the matching, then twice for the mask losses.
        """
        matches = self.match(prediction, targets, draw)
        mask, dice = self._mask_terms(prediction.mask_logits, targets, matches, num_targets, draw)
        return LossTerms(
            self._classification(prediction.class_logits, targets, matches), mask, dice
        )

    def match(
        self, prediction: LayerPrediction, targets: Sequence[Targets], draw: Draw
    ) -> list[Match]:
        """Assign targets to queries, image by image, each with points of its own."""
        return [
            match_targets(
                classes, masks, target.labels, target.masks, draw((1, self.num_points, 2))[0]
            )
            for classes, masks, target in zip(*prediction, targets, strict=True)
        ]

    def _classification(
        self, class_logits: Tensor, targets: Sequence[Targets], matches: Sequence[Match]
    ) -> Tensor:
        """Weighted mean over all queries of the cross-entropy; without a target, void is right."""
        void = class_logits.shape[-1] - 1
        wanted = torch.full(class_logits.shape[:2], void, device=class_logits.device)  # [B, Q]
        for row, target, match in zip(wanted, targets, matches, strict=True):
            row[match.queries] = target.labels[match.targets]
        weights = torch.ones(void + 1, device=class_logits.device)
        weights[void] = self.void_weight
        return F.cross_entropy(class_logits.float().flatten(0, 1), wanted.flatten(), weights)

    def _mask_terms(
        self,
        mask_logits: Tensor,
        targets: Sequence[Targets],
        matches: Sequence[Match],
        num_targets: float,
        draw: Draw,
    ) -> tuple[Tensor, Tensor]:
        """Cross-entropy and dice of the matched masks, at points of which most are in doubt."""
        predicted = torch.cat(
            [m[match.queries] for m, match in zip(mask_logits, matches, strict=True)]
        ).float()
        if predicted.shape[0] == 0:  # nothing to find: a zero that still reaches every parameter
            return predicted.sum(), predicted.sum()
        wanted = torch.cat(
            [t.masks[match.targets] for t, match in zip(targets, matches, strict=True)]
        )
        with torch.no_grad():
            points = choose_uncertain_points(predicted, draw, self.num_points)  # [N, P, 2]
            truth = sample_at_points(wanted[:, None], points)[:, 0]  # [N, P]
        logits = sample_at_points(predicted[:, None], points)[:, 0]  # [N, P]
        divisor = max(num_targets, 1.0)
        crosses = F.binary_cross_entropy_with_logits(logits, truth, reduction="none").mean(
            dim=1
        )  # [N]
        inside = logits.sigmoid()
        overlap = 2.0 * (inside * truth).sum(dim=1)
        dices = 1.0 - (overlap + 1.0) / (inside.sum(dim=1) + truth.sum(dim=1) + 1.0)  # [N]
        return crosses.sum() / divisor, dices.sum() / divisor
