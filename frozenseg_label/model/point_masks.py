"""SAM's mask decoder for many points of one image: segment-anything's numbers for less work.

The published decoder treats every point as an image of its own: it projects all cells to keys,
values and queries once for each of hundreds of points. Here

- what no point has changed yet (the first layer's projections) is computed once;
- a projection of the cells, which are thousands, is moved to the tokens, which are seven:
  q . (W k) = (W^T q) . k, and the sum of a (W v) is W (the sum of a v);
- a transposed convolution whose stride is its size is a linear layer, so cells stay cells until
  the masks are there;
- masks are drawn only of points that were asked to be drawn, when their ratings are known.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from frozenseg_label.model.parts_of_packages import without_the_rest

with without_the_rest("segment_anything"):
    from segment_anything.modeling import MaskDecoder
    from segment_anything.modeling.transformer import Attention, TwoWayAttentionBlock


@dataclass(frozen=True)
class PointAnswers:
    """What SAM's decoder knows of points before it draws their masks; P points, s x s cells.

    Attributes:
        ratings: the IoU that SAM predicts of three masks of each point, [P, 3].
        strokes: what each mask is drawn with, [P, 3, C / 8].
        cells: the image as each point sees it, [P, s s, C].
    """

    ratings: Tensor
    strokes: Tensor
    cells: Tensor

    def of(self, points: Tensor) -> "PointAnswers":
        """Return the answers of some of the points: bool [P], or their places."""
        return PointAnswers(self.ratings[points], self.strokes[points], self.cells[points])


def ask_points(
    decoder: MaskDecoder, embedding: Tensor, positions: Tensor, prompts: Tensor
) -> PointAnswers:
    """Return what the decoder makes of points, up to the drawing of masks.

    Args:
        decoder: segment-anything's.
        embedding: of the image, with what no mask prompt adds, [C, s, s].
        positions: encoding of the cells' places, [C, s, s].
        prompts: of each point, [P, n, C].
    """
    own = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight])  # [1 + 4, C]
    start = torch.cat([own.expand(len(prompts), -1, -1), prompts], dim=1)  # [P, T, C]
    cells, places = embedding.flatten(1).T, positions.flatten(1).T  # [N, C] each
    cells, tokens = cells[None], start
    for layer in decoder.transformer.layers:
        cells, tokens = _two_way(layer, cells, places, tokens, start)
    final = decoder.transformer.final_attn_token_to_image
    tokens = tokens + _tokens_look_at_cells(final, tokens + start, cells + places, cells)
    tokens = decoder.transformer.norm_final_attn(tokens)
    heads: Sequence[nn.Module] = decoder.output_hypernetworks_mlps
    # The first token of four makes the one mask of unambiguous prompts; a point is ambiguous.
    strokes = [head(tokens[:, 1 + place]) for place, head in enumerate(heads) if place > 0]
    ratings = decoder.iou_prediction_head(tokens[:, 0])[:, 1:]
    return PointAnswers(ratings, torch.stack(strokes, dim=1), cells)


def draw_masks(decoder: MaskDecoder, answers: PointAnswers) -> Tensor:
    """Return three masks of every point, logits [P, 3, 4 s, 4 s].

    Args:
        decoder: that gave the answers.
    """
    first, norm, gelu, second, last_gelu = decoder.output_upscaling
    side = round(answers.cells.shape[1] ** 0.5)
    x = _four_cells_of_each(first, answers.cells)  # [P, N, 2, 2, C / 4]
    x = F.layer_norm(x, x.shape[-1:], norm.weight, norm.bias, norm.eps)
    x = last_gelu(_four_cells_of_each(second, gelu(x)))  # [P, N, 2, 2, 2, 2, C / 8]
    logits = answers.strokes @ x.flatten(1, -2).mT  # [P, 3, N 16]
    # A cell's rows and columns of the first step, then of the second.
    logits = logits.unflatten(-1, (side, side, 2, 2, 2, 2)).permute(0, 1, 2, 4, 6, 3, 5, 7)
    drawn: Tensor = logits.flatten(5, 7).flatten(2, 4)
    return drawn


def _two_way(
    layer: TwoWayAttentionBlock, cells: Tensor, places: Tensor, tokens: Tensor, start: Tensor
) -> tuple[Tensor, Tensor]:
    """Return cells [P, N, C] and tokens [P, T, C] after one layer; cells may come as [1, N, C]."""
    if layer.skip_first_layer_pe:
        tokens = layer.self_attn(q=tokens, k=tokens, v=tokens)
    else:
        asking = tokens + start
        tokens = tokens + layer.self_attn(q=asking, k=asking, v=tokens)
    tokens = layer.norm1(tokens)
    placed = cells + places
    seen = _tokens_look_at_cells(layer.cross_attn_token_to_image, tokens + start, placed, cells)
    tokens = layer.norm2(tokens + seen)
    tokens = layer.norm3(tokens + layer.mlp(tokens))
    told = _cells_look_at_tokens(
        layer.cross_attn_image_to_token, cells, placed, tokens + start, tokens
    )
    return layer.norm4(told), tokens


def _tokens_look_at_cells(
    attention: Attention, asking: Tensor, placed: Tensor, cells: Tensor
) -> Tensor:
    """Return what tokens [P, T, C] find in the cells, [P, T, C]."""
    heads = attention.num_heads
    queries = _by_head(attention.q_proj(asking), heads)  # [P, heads, T, d]
    weights = _match(queries, attention.k_proj, placed).softmax(dim=-1)  # [P, heads, T, N]
    found = (weights.flatten(1, 2) @ cells).unflatten(1, weights.shape[1:3])  # [P, heads, T, C]
    values = attention.v_proj.weight.unflatten(0, (heads, -1))  # [heads, d, C]
    out = torch.einsum("phtc,hdc->pthd", found, values).flatten(2) + attention.v_proj.bias
    result: Tensor = attention.out_proj(out)
    return result


def _cells_look_at_tokens(
    attention: Attention, cells: Tensor, placed: Tensor, asked: Tensor, tokens: Tensor
) -> Tensor:
    """Return the cells with what they find in the tokens added, [P, N, C]."""
    heads = attention.num_heads
    keys = _by_head(attention.k_proj(asked), heads)  # [P, heads, T, d]
    weights = _match(keys, attention.q_proj, placed).softmax(dim=2)  # [P, heads, T, N]
    values = _by_head(attention.v_proj(tokens), heads)
    out = attention.out_proj.weight.unflatten(1, (heads, -1))  # [C, heads, d]
    told = torch.einsum("phtd,chd->phtc", values, out).flatten(1, 2)  # [P, heads T, C]
    return _added(cells + attention.out_proj.bias, weights.flatten(1, 2).mT, told)


def _match(few: Tensor, projection: nn.Linear, placed: Tensor) -> Tensor:
    """Return the attention logits of few vectors and all cells, [P, heads, T, N].

    Args:
        few: projected already, [P, heads, T, d].
        projection: of the cells, which is moved to the few.
        placed: the cells with their places, [P, N, C] or, for all points, [1, N, C].
    """
    points, heads, count, depth = few.shape
    few = few * depth**-0.5
    if len(placed) == 1:
        projected = _by_head(projection(placed), heads)[0]  # [heads, N, d]
        of_head = few.transpose(0, 1).flatten(1, 2)  # [heads, P T, d]
        asked: Tensor = (of_head @ projected.mT).unflatten(1, (points, count)).transpose(0, 1)
        return asked
    weight, bias = (x.unflatten(0, (heads, -1)) for x in (projection.weight, projection.bias))
    moved = torch.einsum("phtd,hdc->phtc", few, weight).flatten(1, 2)  # [P, heads T, C]
    from_bias = torch.einsum("phtd,hd->pht", few, bias).flatten(1)[..., None]  # [P, heads T, 1]
    moved_back: Tensor = _added(from_bias, moved, placed.mT).unflatten(1, (heads, count))
    return moved_back


def _added(to: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Return to + a @ b, in one step where both are of one kind: autocast knows no such step."""
    if torch.is_autocast_enabled(to.device.type):
        return to + a @ b
    return torch.baddbmm(to.expand(len(a), -1, -1), a, b)


def _four_cells_of_each(convolution: nn.ConvTranspose2d, cells: Tensor) -> Tensor:
    """Return [..., 2, 2, C']: what a transposed convolution of 2 x 2 makes of cells [..., C]."""
    weight = convolution.weight.permute(2, 3, 1, 0)  # [2, 2, C', C]
    bias = None if convolution.bias is None else convolution.bias.repeat(4)
    out: Tensor = F.linear(cells, weight.flatten(0, 2), bias).unflatten(-1, weight.shape[:3])
    return out


def _by_head(x: Tensor, heads: int) -> Tensor:
    """Turn [P, T, heads d] into [P, heads, T, d]."""
    by_head: Tensor = x.unflatten(-1, (heads, -1)).transpose(1, 2)
    return by_head
