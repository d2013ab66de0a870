"""The matching of queries and targets: the cheapest one-to-one assignment (DETR, 2005.12872)."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from frozenseg_label.training.loss.point_sampling import sample_at_points

CLASS_COST = 2.0
MASK_COST = 5.0
DICE_COST = 5.0


@dataclass(frozen=True)
class Match:
    """The matched pairs of one image, in rising order of queries.

    Attributes:
        queries: int64 [N]; N is the number of queries or of targets, whichever is smaller.
        targets: int64 [N].
    """

    queries: Tensor
    targets: Tensor


@torch.no_grad()
def match_targets(class_logits: Tensor, labels: Tensor, costs: Tensor) -> Match:
    """Assign the targets of one image to its queries.

    Args:
        class_logits: [Q, K + 1].
        labels: int64 [N], indices into the K categories.
        costs: [Q, N] of `mask_costs`.
    """
    if labels.numel() == 0:
        nothing = torch.empty(0, dtype=torch.int64, device=class_logits.device)
        return Match(nothing, nothing)
    costs = costs + CLASS_COST * -class_logits.float().softmax(dim=-1)[:, labels]
    # A NaN here makes the loss a NaN, too; there it is refused with the name of the image.
    queries, targets = linear_sum_assignment(costs.nan_to_num().cpu().numpy())
    return Match(*(torch.as_tensor(side, device=costs.device) for side in (queries, targets)))


@torch.no_grad()
def mask_costs(mask_logits: Tensor, masks: Tensor, points: Tensor) -> Tensor:
    """Return the cost of each query's mask for each target, [Q, N].

    Args:
        mask_logits: [Q, h, w].
        masks: float [N, H, W] in 0..1.
        points: [P, 2]; all queries and targets are compared at the same points.
    """
    predicted = sample_at_points(mask_logits[None].float(), points[None])[0]  # [Q, P]
    wanted = sample_at_points(masks[None], points[None])[0]  # [N, P]
    return MASK_COST * pairwise_cross_entropy(predicted, wanted) + DICE_COST * pairwise_dice(
        predicted, wanted
    )


def pairwise_cross_entropy(predicted: Tensor, wanted: Tensor) -> Tensor:
    """Return the mean cross-entropy of all logits [Q, P] with all targets [N, P]: [Q, N]."""
    if_inside = F.softplus(-predicted)  # cost of a point that should be 1
    if_outside = F.softplus(predicted)
    return (if_inside @ wanted.T + if_outside @ (1.0 - wanted).T) / predicted.shape[1]


def pairwise_dice(predicted: Tensor, wanted: Tensor) -> Tensor:
    """Return one minus the dice of all logits [Q, P] with all targets [N, P]: [Q, N]."""
    inside = predicted.sigmoid()
    both = 2.0 * inside @ wanted.T
    return 1.0 - (both + 1.0) / (inside.sum(dim=1)[:, None] + wanted.sum(dim=1)[None] + 1.0)
