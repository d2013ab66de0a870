"""What trains nano's SAM: masks of points, and three dense tasks that go away afterwards."""

import torch
import torch.nn.functional as F
from sam_batches import CELLS, PointBatch
from torch import Tensor, nn


def mask_losses(logits: Tensor, iou: Tensor, targets: Tensor) -> dict[str, Tensor]:
    """SAM's loss (arXiv 2304.02643, appendix A): focal and dice of the best mask; the IoU head.

    A quarter of the mean over all three keeps masks alive that are never the best: here a point
    is hardly ever ambiguous.

    Args:
        logits: [N, 3, 64, 64].
        iou: predicted IoU [N, 3].
        targets: coverage in 0..1, [N, 64, 64].
    """
    target = targets[:, None].expand_as(logits)
    focal = _soft_focal(logits, target)  # [N, 3]
    dice = _dice(logits, target)  # [N, 3]
    each = 5.0 * focal + dice
    mask = 0.75 * each.min(dim=1).values.mean() + 0.25 * each.mean()
    actual = mask_iou(logits.detach() > 0, target > 0.5)  # [N, 3]
    return {"mask": mask, "iou": F.mse_loss(iou, actual)}


def _soft_focal(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy weighted by the error, mean over the cells, [N, 3].

    The error itself, not its square as in SAM: squared, small models' masks stay soft, and soft
    masks fail the stability test of the everything masks.
    """
    error = (logits.detach().sigmoid() - target).abs()
    loss = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return (error * loss).mean(dim=(-2, -1))


def _dice(logits: Tensor, target: Tensor) -> Tensor:
    probability = logits.sigmoid()
    overlap = (probability * target).sum(dim=(-2, -1))
    total = probability.sum(dim=(-2, -1)) + target.sum(dim=(-2, -1))
    return 1.0 - (2.0 * overlap + 1.0) / (total + 1.0)


def mask_iou(first: Tensor, second: Tensor) -> Tensor:
    """IoU of bool masks [..., h, w] -> [...]; two empty ones: 0."""
    both = (first & second).sum(dim=(-2, -1)).float()
    either = (first | second).sum(dim=(-2, -1)).float()
    return both / either.clamp(min=1.0)


class DenseTasks(nn.Module):
    """1x1 heads on the embedding: thing or stuff, boundary, are two cells of one segment.

    Without them small encoders stay for long on the plateau where every mask is empty. Each cell of
    the embedding predicts its own 4 x 4 block of the 64 x 64 grid.
    """

    def __init__(self, channels: int, affinity: int = 12) -> None:
        super().__init__()
        self.head = nn.Conv2d(channels, 16 * (2 + affinity), kernel_size=1)
        nn.init.normal_(self.head.weight, std=0.01)
        self.margin = nn.Parameter(torch.tensor(1.0))

    def forward(self, embedding: Tensor, batch: PointBatch) -> dict[str, Tensor]:
        """Return the three losses of an embedding [B, C, s, s]."""
        dense = F.pixel_shuffle(self.head(embedding), 4)  # [B, 2 + A, 64, 64]
        things = F.adaptive_avg_pool2d(batch.things[:, None].float(), CELLS)[:, 0]
        thing = F.binary_cross_entropy_with_logits(dense[:, 0], things)
        boundary = F.binary_cross_entropy_with_logits(dense[:, 1], _boundaries(batch.ids))
        return {
            "thing": thing,
            "boundary": boundary,
            "affinity": self._affinity(dense[:, 2:], batch),
        }

    def _affinity(self, vectors: Tensor, batch: PointBatch) -> Tensor:
        """Cells of the segment under a point have vectors near the point's, all others far ones."""
        index = _cells_of(batch.points)[:, None].expand(-1, vectors.shape[1], -1)  # [B, A, P]
        flat = vectors.flatten(2)  # [B, A, 64 * 64]
        chosen = flat.gather(2, index)  # [B, A, P]
        cross = torch.einsum("bap,bax->bpx", chosen, flat)
        squares = flat.square().sum(dim=1)[:, None] + chosen.square().sum(dim=1)[..., None]
        logits = self.margin - (squares - 2.0 * cross)  # [B, P, 64 * 64]
        target = batch.targets.flatten(2)
        loss = F.binary_cross_entropy_with_logits(logits, target)
        return loss + _dice(logits[..., None], target[..., None]).mean()


def _cells_of(points: Tensor) -> Tensor:
    """Index of the cell under each point, [B, P, 2] -> [B, P]."""
    columns, rows = (points * CELLS).long().clamp(0, CELLS - 1).unbind(dim=-1)
    return rows * CELLS + columns


def _boundaries(ids: Tensor) -> Tensor:
    """Cells in which two segments meet, as 0 or 1, [B, 64, 64]."""
    change = torch.zeros_like(ids, dtype=torch.float32)
    change[:, 1:] += ids[:, 1:] != ids[:, :-1]
    change[:, :, 1:] += ids[:, :, 1:] != ids[:, :, :-1]
    return F.adaptive_max_pool2d(change.clamp(max=1.0)[:, None], CELLS)[:, 0]
