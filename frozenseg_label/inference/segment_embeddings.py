"""CLIP's vectors, pooled over each segment and over the whole image."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from frozenseg_label.inference.preprocess import Framing, PreparedImage
from frozenseg_label.model.clip_backbone import FrozenClip


def segment_embeddings(
    parts: Mapping[int, Mapping[int, int]], embeddings: Tensor, valid: Tensor
) -> dict[int, NDArray[np.float16]]:
    """Return a unit vector float16 [D] by segment id: the mean of its masks', weighed by pixels.

    A segment is missing where no mask of it has a meaningful vector.

    Args:
        parts: by segment id, place among the masks -> pixels.
        embeddings: [Q, D] of the masks, of any length.
        valid: bool [Q], whether they are meaningful.
    """
    if not parts:
        return {}
    weights = torch.zeros(len(parts), len(embeddings), device=embeddings.device)  # [N, Q]
    for row, masks in enumerate(parts.values()):
        for place, pixels in masks.items():
            weights[row, place] = pixels
    weights = weights * valid
    unit = F.normalize(embeddings.float(), dim=-1).where(valid[:, None], 0.0)  # never 0 x NaN
    vectors = F.normalize(weights @ unit, dim=-1).half().cpu().numpy()  # [N, D]
    known = (weights.sum(dim=1) > 0).tolist()
    return {id_: vectors[row] for row, id_ in enumerate(parts) if known[row]}


def image_embeddings(
    clip: FrozenClip, dense: Tensor, framings: Sequence[Framing]
) -> NDArray[np.float16]:
    """Return a unit vector for each whole image, padding left out: float16 [B, D].

    Args:
        clip: that made the maps.
        dense: [B, C_4, h, w], CLIP's last map before pooling.
        framings: of the images.
    """
    height, width = dense.shape[-2:]
    inside = -torch.ones(len(dense), 1, height, width, device=dense.device)
    for row, framing in enumerate(framings):
        rows = -(-framing.image[0] * height // framing.padded[0])
        columns = -(-framing.image[1] * width // framing.padded[1])
        inside[row, :, :rows, :columns] = 1
    vectors, _ = clip.embed_masks(dense, inside)  # [B, 1, D]
    return F.normalize(vectors[:, 0].float(), dim=-1).half().cpu().numpy()


def pool_segments(
    clip: FrozenClip, image: PreparedImage, masks: Iterable[NDArray[np.bool_]]
) -> NDArray[np.float16]:
    """Return a unit vector for each mask that a person made, float16 [N, D].

    Args:
        clip: that is asked; of the encoders only it runs.
        image: with its pixels.
        masks: N of them, at least one, [H, W] of the image's original size.
    """
    device, framing = clip.logit_scale.device, image.framing
    _, dense = clip.extract_features(image.pixels[None].to(device), [framing.image])
    height, width = dense.shape[-2:]
    rows = -(-framing.image[0] * height // framing.padded[0])
    columns = -(-framing.image[1] * width // framing.padded[1])
    cover = torch.zeros(1, 0, height, width)
    for mask in masks:
        share = F.interpolate(
            torch.from_numpy(mask)[None, None].float(), (rows, columns), mode="area"
        )
        cover = torch.cat([cover, F.pad(share, (0, width - columns, 0, height - rows))], dim=1)
    # A mask smaller than a cell of the grid has the cells that it covers most.
    most = cover.amax(dim=(2, 3), keepdim=True)
    covered = (cover >= 0.5) | ((cover == most) & (most < 0.5))
    vectors, _ = clip.embed_masks(dense, covered.to(device).float() * 2 - 1)
    return F.normalize(vectors[0].float(), dim=-1).half().cpu().numpy()
