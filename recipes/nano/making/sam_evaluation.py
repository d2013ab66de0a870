"""How well SAM finds a segment from one point on it."""

import torch
from torch import Tensor

from frozenseg_label.inference.mask_tiles import masks_resize
from frozenseg_label.inference.preprocess import Framing
from frozenseg_label.model.sam import FrozenSam
from recipes.nano.making.sam_batches import draw_batch
from recipes.nano.making.sam_losses import mask_iou
from recipes.nano.making.world import World

FRESH = 10**9  # seeds of evaluation scenes begin here; training never gets so far


@torch.no_grad()
def evaluate_sam(
    sam: FrozenSam, world: World, scenes: int, first_seed: int = FRESH
) -> dict[str, float]:
    """Measure the IoU at full size of one random point per segment, things and stuff apart.

    `thing` takes the mask that SAM's IoU head prefers, `thing_best` the best of the three; `small`
    are things of less than 1000 visible pixels, `large` of 4000 and more.
    """
    sam.eval()
    kinds = ("thing", "thing_best", "small", "large", "stuff", "stuff_best")
    found: dict[str, list[Tensor]] = {kind: [] for kind in kinds}
    size = (sam.image_size, sam.image_size)
    device = next(sam.parameters()).device
    for seed in range(first_seed, first_seed + scenes):
        batch = draw_batch(world, [seed], 12, sam.image_size, vary=False)
        images, points = batch.images.to(device), batch.points.to(device)
        logits, predicted = (t.cpu() for t in decode(sam, sam.encode(images, [size]), points))
        maps = logits[0].flatten(0, 1)  # [P 3, 64, 64]
        resize = masks_resize(maps, Framing(size, size, size))
        full = resize.rows(maps[:, resize.needed(0, size[0])], 0, size[0])  # [P 3, S, S]
        masks = full.unflatten(0, logits[0].shape[:2]) > 0  # [P, 3, S, S]
        columns, rows = (batch.points[0] * sam.image_size).long().unbind(dim=1)
        owners = batch.ids[0][rows, columns]  # [P], the segment under each point
        iou = mask_iou(masks, (batch.ids == owners[:, None, None])[:, None])  # [P, 3]
        chosen = iou.gather(1, predicted[0].argmax(dim=1, keepdim=True))[:, 0]
        things = batch.on_thing[0]
        for kind, which in (("thing", things), ("stuff", ~things)):
            found[kind].append(chosen[which])
            found[kind + "_best"].append(iou.max(dim=1).values[which])
        area = (batch.ids[0].flatten()[:, None] == owners).sum(dim=0)  # [P]
        found["small"].append(chosen[things & (area < 1000)])
        found["large"].append(chosen[things & (area >= 4000)])
    return {name: round(float(torch.cat(values).mean()), 4) for name, values in found.items()}


def decode(sam: FrozenSam, embedding: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
    """Decode the points of every image: logits [B, P, 3, 64, 64] and predicted IoU [B, P, 3]."""
    each = [sam.decode_points(embedding[i : i + 1], points[i]) for i in range(len(points))]
    return torch.stack([logits for logits, _ in each]), torch.stack([iou for _, iou in each])
