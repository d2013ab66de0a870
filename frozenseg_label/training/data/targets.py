"""What one image teaches: its masks, and where nothing is known."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

MOSTLY = 0.5  # share of a mask


@dataclass(frozen=True)
class Targets:
    """What one image shows, over its padded area H x W.

    Attributes:
        labels: int64 [N], indices into the training vocabulary.
        masks: float [N, H, W] in 0..1; bool until `to` brings them to where they are used.
        weights: float [N], how much each target counts; None: 1 each.
        ignored: bool [H, W], pixels of which nothing is known (proposed segments, and what is
            unlabelled in an image that nobody has reviewed); None: none.
        refused_labels: int64 [R], classes of segments that a person refused; None: none.
        refused: bool [R, H, W], their masks: ignored, but for this class they are background.
    """

    labels: Tensor
    masks: Tensor
    weights: Tensor | None = None
    ignored: Tensor | None = None
    refused_labels: Tensor | None = None
    refused: Tensor | None = None

    @property
    def target_weights(self) -> Tensor:
        """The weights, float [N]."""
        if self.weights is None:
            return torch.ones(len(self.labels), device=self.labels.device)
        return self.weights

    @property
    def known(self) -> Tensor | None:
        """Where the image says something about every class, bool [H, W]; None: everywhere."""
        return None if self.ignored is None else ~self.ignored

    def known_of(self, label: int) -> Tensor | None:
        """Where the image says something about one class, bool [H, W]; None: everywhere."""
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


@dataclass(frozen=True)
class Doubt:
    """Queries whose masks lie mostly where little is known: they are no background for sure.

    Attributes:
        ignored: bool [Q], mostly inside ignored pixels.
        refused: bool [R, Q], mostly inside what a person refused: not of that class, no more.
        refused_labels: int64 [R].
    """

    ignored: Tensor
    refused: Tensor
    refused_labels: Tensor

    def to(self, device: torch.device) -> "Doubt":
        """Return the same on another device."""
        return Doubt(*(flags.to(device) for flags in vars(self).values()))


@torch.no_grad()
def find_doubt(mask_logits: Tensor, targets: Targets) -> Doubt | None:
    """Say which masks [Q, h, w] of an image lie in doubt; None where all of it is known."""
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
