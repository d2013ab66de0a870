"""Which mask gets each pixel: candidates compete with score x mask probability.

A full-size value of every candidate at every pixel would be most of the work on a large image. The
map is cut into blocks. Between its knots a resized mask is linear along each axis, so in a block it
is highest and lowest at the block's ends and at the knots in it. Where no other candidate reaches
what one has at least, that one gets the block; only the others are computed, pixel by pixel.

That pays where most blocks are easy. Where a block has many knots, or many candidates in reach of
most blocks, every pixel of a strip of blocks is computed for all candidates at once.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from frozenseg_label.inference.mask_tiles import TiledResize, row_tiles

BLOCK = 32  # pixels, both sides; 48 was slower where masks are enlarged 4 times, by a half
BOUND_COST = 1.5  # of a value that tells what is highest or lowest in a block, beside a pixel's
ONE_BLOCK_COST = 3  # of a value computed for one block only, beside one computed with all others
PAUSE = 3  # strips that are not cut into blocks after one where that did not pay
# What rounding may add to a resized mask, as a share of its range: places in the input are rounded
# to 1/8000 of a pixel in inputs of 1000.
_ROUNDING = 1e-3


@dataclass(frozen=True)
class ClaimedPixels:
    """The owner of each pixel. A mask covers a pixel where its probability is at least one half.

    Attributes:
        owner: int32 [H, W], 1 + the mask that wins the pixel and covers it; 0 = nobody.
        won: int64 [N], pixels that each mask wins, covered or not.
        covered: int64 [N], pixels that it covers, won or not.
        painted: int64 [N], pixels that it wins and covers.
    """

    owner: NDArray[np.int32]
    won: NDArray[np.int64]
    covered: NDArray[np.int64]
    painted: NDArray[np.int64]


def claim_pixels(logits: Tensor, scores: Tensor, resize: TiledResize) -> ClaimedPixels:
    """Let masks compete for every pixel with score x mask probability; the first wins a tie.

    Args:
        logits: [N, h, w].
        scores: [N], 0..1.
        resize: from [h, w] to the map's size.
    """
    height, width = resize.output_size
    number = len(scores)
    owner = np.zeros((height, width), np.int32)
    counts = torch.zeros(3, number + 1, dtype=torch.int64)  # won, covered, painted
    for start, winner, covered in _strips(logits, scores, resize) if number else ():
        winner = winner[:, :width].cpu()  # [T, W], 1 + mask, negative: it does not cover
        painted = winner.clamp(min=0)
        owner[start : start + len(winner)] = painted.numpy()
        counts[0] += winner.abs().flatten().bincount(minlength=number + 1)
        counts[1, 1:] += covered.cpu()
        counts[2] += painted.flatten().bincount(minlength=number + 1)
    won, covered, painted = counts[:, 1:].numpy()
    return ClaimedPixels(owner, won, covered, painted)


def _strips(
    logits: Tensor, scores: Tensor, resize: TiledResize
) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Yield for each strip of blocks its first row, `winner` and `covered` as of `_every_pixel`."""
    height, width = resize.output_size
    columns = _extremes(resize.column_weights, width).to(logits.device)  # [m, C]
    blocks = columns.shape[1]
    spread = logits.amax(dim=(1, 2)) - logits.amin(dim=(1, 2))
    spare = (spread * _ROUNDING + 1e-6)[:, None]  # [N, 1]
    used, stretched, edges, padded, pause = slice(0, 0), logits, logits, None, 0
    for start in range(0, height, BLOCK):
        stop = min(start + BLOCK, height)
        needed = resize.needed(start, stop)
        if needed != used:
            used, stretched, padded = needed, resize.stretched(logits[:, needed]), None  # [N, r, W]
        weights = resize.weights[start:stop, needed].to(logits.device)  # [T, r]
        rows = _extremes(weights, stop - start)[:, 0]
        if pause:
            pause -= 1
        elif BOUND_COST * len(rows) * len(columns) < BLOCK * BLOCK:
            if padded is None:  # the last block may be narrower: its rest is not counted
                edges = stretched.index_select(-1, columns.flatten())  # [N, r, m C]
                padded = F.pad(stretched, (0, blocks * BLOCK - width))
                padded = padded.unflatten(-1, (blocks, BLOCK))  # [N, r, C, S]
            with torch.autocast(logits.device.type, enabled=False):
                ends = (weights[rows] @ edges).unflatten(-1, columns.shape)  # [N, v, m, C]
            low, high = ends.amin(dim=(1, 2)) - spare, ends.amax(dim=(1, 2)) + spare
            strip = _Strip(padded, weights, width, scores, low, high)
            if ONE_BLOCK_COST * strip.asked.sum() < strip.asked.numel():
                yield start, strip.winner(), strip.covered
                continue
            pause = PAUSE
        yield start, *_every_pixel(stretched, weights, scores)


def _every_pixel(stretched: Tensor, weights: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
    """Return 1 + the mask that wins each pixel [T, W] and what each mask covers, int64 [N].

    The winner is negative where it does not cover the pixel.

    Args:
        stretched: [N, r, W], the rows that the strip's are made of.
        weights: [T, r].
        scores: [N].
    """
    winners, covered = [], torch.zeros_like(scores, dtype=torch.int64)
    for start, stop in row_tiles(len(weights), stretched[:, 0].numel()):
        with torch.autocast(scores.device.type, enabled=False):
            probs = (weights[start:stop] @ stretched).sigmoid_()  # [N, t, W]
        covers = probs >= 0.5
        covered += covers.sum(dim=(1, 2))
        # Twice as fast on CPUs as argmax.
        winner = probs.mul_(scores[:, None, None]).max(dim=0).indices  # [t, W]
        sign = covers.gather(0, winner[None])[0].int() * 2 - 1
        winners.append((winner + 1) * sign)
    return torch.cat(winners), covered


def _extremes(weights: Tensor, length: int) -> Tensor:
    """Return the places in each block where a resized line may be highest or lowest, [m, C].

    They are the block's ends and both sides of each knot, where the line comes to other values.

    Args:
        weights: [n, h], of each place of the result for each value of the line.
        length: n.
    """
    present = weights != 0
    turns = (present[1:] != present[:-1]).any(dim=1).nonzero()[:, 0].tolist()
    blocks = range(0, length, BLOCK)
    places = [{start, min(start + BLOCK, length) - 1} for start in blocks]
    for turn in turns:
        for place in (turn, turn + 1):
            places[place // BLOCK].add(place)
    most = max(map(len, places))
    return torch.tensor([sorted(some) + [min(some)] * (most - len(some)) for some in places]).T


class _Strip:
    """A row of blocks: who may win each, and who does.

    Attributes:
        covered: int64 [N], pixels that each mask covers; counted by `winner`.
    """

    def __init__(
        self,
        stretched: Tensor,
        weights: Tensor,
        width: int,
        scores: Tensor,
        low: Tensor,
        high: Tensor,
    ) -> None:
        """Keep what is known of the blocks.

        Args:
            stretched: [N, r, C, S], the rows that the strip's are made of.
            weights: [T, r].
            width: of the map; what is beyond is not counted.
            scores: [N].
            low: [N, C], what each mask is at least in each block.
            high: likewise, at most.
        """
        self.stretched, self.weights, self.scores = stretched, weights, scores
        places = torch.arange(low.shape[1] * BLOCK, device=low.device).view(-1, BLOCK)
        self.inside = places < width  # [C, S]
        sure = (scores[:, None] * low.sigmoid()).amax(dim=0) * (1 - 1e-6)  # [C]
        contends = scores[:, None] * high.sigmoid() >= sure  # [N, C]
        self.straddles = (low < 0) & (high >= 0)
        self.decided = contends.sum(dim=0) == 1  # [C]
        self.best = contends.int().argmax(dim=0)  # [C], the winner where it is decided
        best = self.best[None]
        self.decided &= ~self.straddles.gather(0, best)[0]
        self.covers = low.gather(0, best)[0] >= 0
        self.asked = (contends & ~self.decided) | self.straddles
        pixels = self.inside.sum(dim=1) * len(weights)  # [C]
        self.covered = ((low >= 0) * pixels).sum(dim=1)

    def winner(self) -> Tensor:
        """Return 1 + the mask that wins each pixel, negative if it does not cover it, [T, C S]."""
        columns, rows = self.asked.shape[1], len(self.weights)
        known = (self.best + 1) * torch.where(self.covers, 1, -1)
        found = torch.where(self.decided, known, 0).int()[:, None, None]
        winner = found.expand(columns, rows, BLOCK).contiguous()  # [C, T, S]
        best = torch.where(self.decided, torch.inf, -1.0)[:, None, None]
        best = best.expand(columns, rows, BLOCK).contiguous()
        block, mask = self.asked.T.nonzero().unbind(1)  # [P], [P], masks of a block in order
        turn = torch.arange(len(block), device=block.device)
        first = torch.searchsorted(block, block)  # [P]
        turn -= first
        for number in range(int(turn.max()) + 1 if len(turn) else 0):  # one mask of each block
            now = turn == number
            self._compete(block[now], mask[now], winner, best)
        return winner.transpose(0, 1).flatten(1)

    def _compete(self, block: Tensor, mask: Tensor, winner: Tensor, best: Tensor) -> None:
        """Let one mask compete in each of B blocks, none of which comes twice.

        Args:
            block: [B].
            mask: [B].
            winner: [C, T, S], is changed.
            best: [C, T, S], the winner's score x probability, is changed.
        """
        with torch.autocast(best.device.type, enabled=False):
            values = self.weights @ self.stretched[mask, :, block]  # [B, T, S]
        probs = values.sigmoid_()
        covers = probs >= 0.5
        counted = (covers.sum(dim=1) * self.inside[block]).sum(dim=1)
        straddling = self.straddles[mask, block]
        self.covered.index_add_(0, mask, counted * straddling)
        claims = self.scores[mask][:, None, None] * probs
        before = best[block]
        better = claims > before
        named = torch.where(covers, 1, -1).int() * (mask + 1).int()[:, None, None]
        best[block] = torch.where(better, claims, before)
        winner[block] = torch.where(better, named, winner[block])
