"""Masks of everything that SAM finds in an image, from the embedding that is already there.

The way is that of segment-anything's automatic generator without crops, but what can be said of a
mask before it is drawn, or at the size at which it is drawn, is said there.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from frozenseg_label.inference.preprocess import Framing
from frozenseg_label.model.parts_of_packages import without_the_rest
from frozenseg_label.model.point_masks import PointAnswers
from frozenseg_label.model.sam import FrozenSam
from frozenseg_label.model.settings import EverythingSettings

with without_the_rest("segment_anything"):
    from segment_anything.utils.amg import build_point_grid, calculate_stability_score

ENLARGED = 4  # pixels of SAM's input, on each side, per cell of its masks


def everything_masks(
    sam: FrozenSam,
    embeddings: Tensor,
    framings: Sequence[Framing],
    settings: EverythingSettings,
) -> list[Tensor]:
    """Return for each image the masks of everything that SAM finds, largest first.

    Each is float32 logits [M, m, m] over the stretched padded image, like the embedding: resizing
    to any grid of the padded image aligns them. Stability and areas are taken on SAM's own m x m
    grid.

    Args:
        sam: that made the embeddings.
        embeddings: [B, C, s, s], `Features.sam`.
        framings: of the images; no point lies in the padding.
        settings: grid and thresholds.
    """
    return [
        _everything_of_image(sam, embedding[None], framing, settings)
        for embedding, framing in zip(embeddings, framings, strict=True)
    ]


def _everything_of_image(
    sam: FrozenSam, embedding: Tensor, framing: Framing, settings: EverythingSettings
) -> Tensor:
    """Return the masks of one image, [M, m, m]."""
    from torchvision.ops import nms

    rows, columns = (of / to for of, to in zip(framing.image, framing.padded, strict=True))
    visible = rows, columns  # shares of the padded image
    grid = torch.from_numpy(
        build_point_grid(settings.points_per_side)
    ).float()  # [P, 2] x, y in 0..1
    points = (grid * torch.tensor([visible[1], visible[0]])).to(embedding.device)
    found = [
        _good_masks(sam, sam.ask_points(embedding, some), visible, settings)
        for some in torch.split(points, settings.points_per_batch)
    ]
    with torch.autocast(embedding.device.type, enabled=False):  # it refuses to join halves on CPUs
        masks = torch.cat([some.logits for some in found])
        rating = torch.cat([some.ratings for some in found])
        boxes = torch.cat([some.boxes for some in found])
        areas = torch.cat([some.areas for some in found])
    kept = nms(boxes, rating, settings.max_box_iou)
    largest = areas[kept].argsort(descending=True, stable=True)
    return masks[kept[largest[: settings.max_masks]]].float()


@dataclass(frozen=True)
class _GoodMasks:
    """Masks that are good by themselves.

    Attributes:
        logits: half precision [N, m, m]. Hundreds may be good before those that are nearly the same
            are dropped: half of the memory is enough.
        ratings: the IoU that SAM predicts, float32 [N].
        boxes: around what is not padding, [N, 4], see `boxes_of`.
        areas: in cells that are not padding, int64 [N].
    """

    logits: Tensor
    ratings: Tensor
    boxes: Tensor
    areas: Tensor


def _good_masks(
    sam: FrozenSam,
    answers: PointAnswers,
    visible: tuple[float, float],
    settings: EverythingSettings,
) -> _GoodMasks:
    """Draw the masks of points, where SAM rates one of them high; return the good ones."""
    rated_high = answers.ratings > settings.min_predicted_iou  # [P, 3]
    asked = rated_high.any(dim=1)
    if not asked.all():
        answers, rated_high = answers.of(asked), rated_high[asked]
    logits, ratings = sam.draw_masks(answers)[rated_high], answers.ratings[rated_high]
    shown = _crop(logits, visible)
    stable = calculate_stability_score(shown, 0.0, 1.0) >= settings.min_stability
    areas = (shown > 0).flatten(1).sum(dim=1)
    good = stable & (areas > 0)
    return _GoodMasks(
        logits[good].half(), ratings[good].float(), boxes_of(shown[good].float()), areas[good]
    )


def boxes_of(logits: Tensor) -> Tensor:
    """Return the boxes around masks, float [N, 4]: left, top, right and bottom pixel.

    They are those of the masks at the size of SAM's input: a cell is too coarse to tell whether two
    boxes are nearly the same.

    Args:
        logits: [N, h, w], cut at 0; no mask is empty.
    """
    if not len(logits):
        return logits.new_zeros(0, 4)
    large = F.interpolate(logits[:, None], scale_factor=ENLARGED, mode="bilinear")[:, 0]
    columns, rows = ((large.amax(dim=axis) > 0).int() for axis in (1, 2))
    firsts = [columns.argmax(dim=1), rows.argmax(dim=1)]
    lasts = [x.shape[1] - 1 - x.flip(1).argmax(dim=1) for x in (columns, rows)]
    return torch.stack(firsts + lasts, dim=1).float()


def _crop(masks: Tensor, visible: tuple[float, float]) -> Tensor:
    """Return the part of masks [N, m, m] that is not padding."""
    side = masks.shape[-1]
    return masks[:, : max(1, round(visible[0] * side)), : max(1, round(visible[1] * side))]
