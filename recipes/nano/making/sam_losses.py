"""The losses of nano's SAM: masks of points, and four dense tasks that are dropped afterwards."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recipes.nano.making.sam_batches import CELLS, PointBatch


def mask_losses(logits: Tensor, iou: Tensor, targets: Tensor) -> dict[str, Tensor]:
    """Return SAM's losses (arXiv 2304.02643, appendix A): of the best mask, and of the IoU head.

    The mask's loss is focal and dice. A quarter of it is the mean over all three masks, so that
    those that are never the best still learn: here a point is hardly ever ambiguous.

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
    """Return the cross-entropy weighted by the error, mean over the cells, [N, 3].

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
    """Return the IoU [...] of bool masks [..., h, w]; that of two empty ones is 0."""
    both = (first & second).sum(dim=(-2, -1)).float()
    either = (first | second).sum(dim=(-2, -1)).float()
    return both / either.clamp(min=1.0)


class DenseTasks(nn.Module):
    """1x1 heads on the embedding: thing or stuff, boundary, box of the thing, cells of one segment.

    Without them small encoders stay for long on the plateau where every mask is empty. Each cell of
    the embedding predicts its own 4 x 4 block of the 64 x 64 grid.
    """

    def __init__(self, channels: int, affinity: int = 12) -> None:
        super().__init__()
        self.head = nn.Conv2d(channels, 16 * (2 + 4 + affinity), kernel_size=1)
        nn.init.normal_(self.head.weight, std=0.01)
        self.margin = nn.Parameter(torch.tensor(1.0))

    def forward(self, embedding: Tensor, batch: PointBatch) -> dict[str, Tensor]:
        """Return the four losses of an embedding [B, C, s, s]."""
        dense = F.pixel_shuffle(self.head(embedding), 4)  # [B, 2 + 4 + A, 64, 64]
        things = F.adaptive_avg_pool2d(batch.things[:, None].float(), CELLS)[:, 0]
        thing = F.binary_cross_entropy_with_logits(dense[:, 0], things)
        boundary = F.binary_cross_entropy_with_logits(dense[:, 1], _boundaries(batch.ids))
        return {
            "thing": thing,
            "boundary": boundary,
            "box": _box_loss(dense[:, 2:6], batch),
            "affinity": self._affinity(dense[:, 6:], batch),
        }

    def _affinity(self, vectors: Tensor, batch: PointBatch) -> Tensor:
        """Return the loss that brings vectors of one segment together and keeps all others away."""
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
    """Return the index of the cell under each point, [B, P, 2] -> [B, P]."""
    columns, rows = (points * CELLS).long().clamp(0, CELLS - 1).unbind(dim=-1)
    return rows * CELLS + columns


def _boundaries(ids: Tensor) -> Tensor:
    """Return the cells in which two segments meet, as 0 or 1, [B, 64, 64]."""
    change = torch.zeros_like(ids, dtype=torch.float32)
    change[:, 1:] += ids[:, 1:] != ids[:, :-1]
    change[:, :, 1:] += ids[:, :, 1:] != ids[:, :, :-1]
    return F.adaptive_max_pool2d(change.clamp(max=1.0)[:, None], CELLS)[:, 0]


def _box_loss(distances: Tensor, batch: PointBatch) -> Tensor:
    """Return the mean error of the distances from each cell of a thing to the sides of its box.

    They tell which cells belong together, and convolutions learn them soon.

    Args:
        distances: [B, 4, 64, 64], up, left, down, right, as shares of the picture's side.
        batch: the truth.
    """
    size = batch.ids.shape[-1]
    step = size // CELLS
    at = slice(step // 2, None, step)  # the pixel in the middle of each cell
    truth, on_thing = torch.zeros_like(distances), batch.things[:, at, at]  # [B, 64, 64]
    places = (torch.arange(CELLS, device=distances.device) + 0.5) / CELLS
    for image, ids in enumerate(batch.ids):
        cells = ids[at, at]
        for segment in cells[on_thing[image]].unique():
            inside = ids == segment
            rows, columns = inside.any(dim=1).nonzero()[:, 0], inside.any(dim=0).nonzero()[:, 0]
            top, bottom = rows[0] / size, (rows[-1] + 1) / size
            left, right = columns[0] / size, (columns[-1] + 1) / size
            own = cells == segment  # [64, 64]
            y, x = places[:, None].expand_as(own)[own], places.expand_as(own)[own]
            truth[image, :, own] = torch.stack([y - top, x - left, bottom - y, right - x])
    errors = (distances - truth).abs().sum(dim=1)  # [B, 64, 64]
    return (errors * on_thing).sum() / on_thing.sum().clamp(min=1)
