"""What trains nano's SAM: masks of points, and three dense tasks that go away afterwards."""

import torch
import torch.nn.functional as F
from sam_batches import CELLS, PointBatch
from torch import Tensor, nn

PAIRS = 2048  # pixel pairs per image
NEAR = 10  # half of the pairs are at most this many cells apart


def mask_losses(logits: Tensor, iou: Tensor, targets: Tensor) -> dict[str, Tensor]:
    """SAM's loss (arXiv 2304.02643, appendix A): 20 focal + dice of the best mask; the IoU head.

    A tenth of the mean over all three keeps masks alive that are never the best.

    Args:
        logits: [N, 3, 64, 64].
        iou: predicted IoU [N, 3].
        targets: coverage in 0..1, [N, 64, 64].
    """
    target = targets[:, None].expand_as(logits)
    focal = _soft_focal(logits, target)  # [N, 3]
    dice = _dice(logits, target)  # [N, 3]
    each = 20.0 * focal + dice
    mask = 0.9 * each.min(dim=1).values.mean() + 0.1 * each.mean()
    actual = mask_iou(logits.detach() > 0, target > 0.5)  # [N, 3]
    return {"mask": mask, "iou": F.mse_loss(iou, actual)}


def _soft_focal(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy weighted by the squared error, mean over the cells, [N, 3]."""
    error = (logits.detach().sigmoid() - target).square()
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
            "affinity": self._affinity(dense[:, 2:], batch.ids),
        }

    def _affinity(self, vectors: Tensor, ids: Tensor) -> Tensor:
        """Cells of one segment have near vectors, others far ones; on random pairs."""
        step = ids.shape[-1] // CELLS
        cells = ids[:, step // 2 :: step, step // 2 :: step].flatten(1)  # [B, 64 * 64]
        first, second = _random_pairs(len(ids))  # [B, PAIRS], indices of cells
        flat = vectors.flatten(2)  # [B, A, 64 * 64]
        gap = _pick(flat, first) - _pick(flat, second)  # [B, A, PAIRS]
        logits = self.margin - gap.square().sum(dim=1)
        one, other = cells.gather(1, first), cells.gather(1, second)
        known = (one > 0) & (other > 0)
        return F.binary_cross_entropy_with_logits(logits[known], (one == other)[known].float())


def _pick(flat: Tensor, index: Tensor) -> Tensor:
    return flat.gather(2, index[:, None].expand(-1, flat.shape[1], -1))


def _random_pairs(batch_size: int) -> tuple[Tensor, Tensor]:
    first = torch.randint(CELLS, (2, batch_size, PAIRS))
    far = torch.randint(CELLS, (2, batch_size, PAIRS // 2))
    step = torch.randint(-NEAR, NEAR + 1, (2, batch_size, PAIRS - PAIRS // 2))
    near = (first[..., PAIRS // 2 :] + step).clamp(0, CELLS - 1)
    second = torch.cat([far, near], dim=-1)
    return first[0] * CELLS + first[1], second[0] * CELLS + second[1]


def _boundaries(ids: Tensor) -> Tensor:
    """Cells in which two segments meet, as 0 or 1, [B, 64, 64]."""
    change = torch.zeros_like(ids, dtype=torch.float32)
    change[:, 1:] += ids[:, 1:] != ids[:, :-1]
    change[:, :, 1:] += ids[:, :, 1:] != ids[:, :, :-1]
    return F.adaptive_max_pool2d(change.clamp(max=1.0)[:, None], CELLS)[:, 0]
