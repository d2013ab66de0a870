"""Points of the mask losses: some points of each mask, not every pixel (PointRend, 1912.08193).

Points are (x, y) in 0..1 over the whole map, so the same point means the same place in a
prediction at stride 4 and in a target at full size.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

Draw = Callable[[tuple[int, ...]], Tensor]
"""Returns a tensor of the given shape, uniform in 0..1: the only random numbers of the losses."""


def sample_at_points(maps: Tensor, points: Tensor) -> Tensor:
    """Read maps at points, bilinearly between pixel centres and zero beyond the border.

    Args:
        maps: float [N, C, H, W].
        points: [N, P, 2].

    Returns:
        [N, C, P].
    """
    grid = (2.0 * points - 1.0)[:, None]  # [N, 1, P, 2], corners of the map at -1 and 1
    return F.grid_sample(maps, grid, mode="bilinear", padding_mode="zeros", align_corners=False)[
        :, :, 0
    ]


def choose_uncertain_points(
    mask_logits: Tensor, draw: Draw, count: int, oversample: float = 3.0, importance: float = 0.75
) -> Tensor:
    """Choose for each mask the points where it is least sure, and some points anywhere.

    Args:
        mask_logits: [N, H, W]; a mask is least sure where they are near 0.
        draw: called twice: for the candidates, then for the points anywhere.
        count: number of points for each mask.
        oversample: number of candidates for each point.
        importance: share of the points that are taken from the least sure candidates.

    Returns:
        [N, count, 2].
    """
    masks = mask_logits.shape[0]
    wanted = int(importance * count)
    candidates = draw((masks, int(count * oversample), 2))  # [N, count x oversample, 2]
    doubt = -sample_at_points(mask_logits[:, None], candidates)[
        :, 0
    ].abs()  # [N, count x oversample]
    least_sure = doubt.topk(wanted, dim=1).indices  # [N, wanted]
    chosen = candidates.gather(1, least_sure[..., None].expand(-1, -1, 2))  # [N, wanted, 2]
    return torch.cat([chosen, draw((masks, count - wanted, 2))], dim=1)


def known_points(points: Tensor, known: Tensor) -> Tensor:
    """Move points that are uniform over a map, so that they are uniform over its known pixels.

    Args:
        points: [..., 2].
        known: bool [H, W], at least one True.
    """
    width = known.shape[1]
    pixels = known.flatten().nonzero()[:, 0]  # [M]
    place = points[..., 0].double() * len(pixels)  # the whole part chooses the pixel
    number = place.long().clamp(max=len(pixels) - 1)
    pixel = pixels[number]
    x = (pixel % width + (place - number)) / width
    y = (pixel.div(width, rounding_mode="floor") + points[..., 1]) / known.shape[0]
    return torch.stack([x, y], dim=-1).to(points.dtype)
