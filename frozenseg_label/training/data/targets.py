"""What one image teaches: its masks, and where nothing is known.

Before it becomes masks, an image's truth is one map of ids, so that nothing can come apart while
the image is augmented: ids of segments that are truth, 0 for pixels that are known to show nothing,
and two kinds of ids above those that segments can have, for pixels of which nothing is known.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from frozenseg_label.panoptic import MAX_SEGMENT_ID

IGNORED = MAX_SEGMENT_ID + 1  # id of pixels of which nothing is known
FIRST_REFUSED = IGNORED + 1  # id of the pixels of the first segment that a person refused
MOSTLY = 0.5  # share of a mask


@dataclass(frozen=True)
class Truth:
    """The meaning of the ids in the map of one image.

    Attributes:
        labels: index into the training vocabulary of each id that is a target.
        refused: class (likewise an index) that each id from `FIRST_REFUSED` on is not.
        weights: of the targets whose weight is not 1.
    """

    labels: Mapping[int, int]
    refused: Mapping[int, int] = field(default_factory=dict)
    weights: Mapping[int, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Targets:
    """The masks of one image, over its padded area H x W.

    Attributes:
        labels: int64 [N], indices into the training vocabulary.
        masks: float [N, H, W] in 0..1; bool until `to` brings them to where they are used.
        weights: float [N], how much each target counts; None: each counts 1.
        ignored: bool [H, W], pixels of which nothing is known (proposed segments, and unlabelled
            pixels of an image that nobody has reviewed); None: no pixel is ignored.
        refused_labels: int64 [R], classes of segments that a person refused; None: no segment was.
        refused: bool [R, H, W], their masks: ignored, but background for this one class.
    """

    labels: Tensor
    masks: Tensor
    weights: Tensor | None = None
    ignored: Tensor | None = None
    refused_labels: Tensor | None = None
    refused: Tensor | None = None

    @property
    def target_weights(self) -> Tensor:
        """Return the weights, float [N]."""
        if self.weights is None:
            return torch.ones(len(self.labels), device=self.labels.device)
        return self.weights

    @property
    def known(self) -> Tensor | None:
        """Return where something is known about every class, bool [H, W]; None: everywhere."""
        return None if self.ignored is None else ~self.ignored

    def known_of(self, label: int) -> Tensor | None:
        """Return where something is known about one class, bool [H, W]; None: everywhere."""
        if self.known is None or self.refused is None or self.refused_labels is None:
            return self.known
        return self.known | self.refused[self.refused_labels == label].any(dim=0)

    def to(self, device: torch.device) -> "Targets":
        """Return the same on a device, masks as floats."""

        def there(value: Tensor | None) -> Tensor | None:
            return None if value is None else value.to(device)

        return Targets(
            self.labels.to(device),
            self.masks.to(device).float(),
            there(self.weights),
            there(self.ignored),
            there(self.refused_labels),
            there(self.refused),
        )


def targets_of(ids: NDArray[np.int32], truth: Truth) -> Targets:
    """Return the masks of the ids that are targets, and the regions of which nothing is known.

    Args:
        ids: int32 [H, W]; an id that neither `truth` nor this module names shows nothing.
    """
    found = set(np.unique(ids).tolist())
    known = sorted(found & truth.labels.keys())
    refused = sorted(found & truth.refused.keys())
    ignored = torch.from_numpy(ids >= IGNORED) if max(found, default=0) >= IGNORED else None
    weights = [truth.weights.get(id_, 1.0) for id_ in known]
    return Targets(
        labels=torch.tensor([truth.labels[id_] for id_ in known], dtype=torch.int64),
        masks=_masks(ids, known),
        weights=torch.tensor(weights) if truth.weights else None,
        ignored=ignored,
        refused_labels=torch.tensor([truth.refused[id_] for id_ in refused]) if refused else None,
        refused=_masks(ids, refused) if refused else None,
    )


def _masks(ids: NDArray[np.int32], wanted: Sequence[int]) -> Tensor:
    """Return the masks of the wanted ids, bool [N, H, W]."""
    return torch.from_numpy(ids[None] == np.array(wanted, dtype=np.int32)[:, None, None])


@dataclass(frozen=True)
class Doubt:
    """Queries whose masks lie mostly where little is known.

    Such a query may be right, so that it must not be taught to be background (void).

    Attributes:
        ignored: bool [Q], whether the mask lies mostly inside ignored pixels.
        refused: bool [R, Q], whether it lies mostly inside a segment that a person refused: then
            only this is known, that it is not of that class.
        refused_labels: int64 [R], the classes of these segments.
    """

    ignored: Tensor
    refused: Tensor
    refused_labels: Tensor

    def to(self, device: torch.device) -> "Doubt":
        """Return the same on another device."""
        return Doubt(*(flags.to(device) for flags in vars(self).values()))


@torch.no_grad()
def find_doubt(mask_logits: Tensor, targets: Targets) -> Doubt | None:
    """Say which masks [Q, h, w] of an image lie in doubt; None if all of the image is known."""
    if targets.ignored is None:
        return None
    nothing = targets.labels[:0]
    labels = nothing if targets.refused_labels is None else targets.refused_labels
    refused = [] if targets.refused is None else list(targets.refused)
    regions = torch.stack([targets.ignored, *refused])  # [1 + R, H, W]
    flags = mostly_inside(mask_logits, regions)
    return Doubt(flags[0], flags[1:], labels)


def mostly_inside(mask_logits: Tensor, regions: Tensor) -> Tensor:
    """Say which masks lie mostly inside each region, bool [R, Q]; empty masks do not.

    Args:
        mask_logits: [Q, h, w]; > 0 is inside.
        regions: bool [R, H, W].
    """
    # On the masks' grid: at the full size of a large model this would take most of a step.
    size = (mask_logits.shape[1], mask_logits.shape[2])
    shares = F.adaptive_avg_pool2d(regions.float()[None], size)[0]  # [R, h, w], of each cell
    inside = (mask_logits > 0).flatten(1).float()  # [Q, h w]
    both = shares.flatten(1) @ inside.T  # [R, Q]
    return both > MOSTLY * inside.sum(dim=1)
