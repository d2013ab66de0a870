"""Multi-scale deformable attention: a query looks at a few places that it chooses itself.

Deformable DETR (Zhu et al. 2020, arXiv 2010.04159), section 4.1.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from frozenseg_label.model.weighted_rows import sum_weighted_rows

Size = tuple[int, int]  # h, w of one map

CELLS_AT_ONCE = 2048  # 1024 and 4096 were slower, by a few percent


class DeformableAttention(nn.Module):
    """Deformable attention over one or several maps, in float32 whatever autocast says.

    Args:
        channels: C.
        heads: a divisor of C.
        points: places per head and map.
        levels: maps that will be given.
        slots: maps for which the layers have outputs; None = `levels`. More slots than levels
            means that their memory is read flat, see `read_flat`.
    """

    # Why slots and levels may differ: the published SAM branch is a module for three maps that is
    # given one. The CUDA kernel it was trained with does not notice; it takes the memory laid out
    # for three maps as laid out for one (SPEC-model.md, section 3, "the stride trap"). Converted
    # weights need that reading; weights trained here use the honest module, slots = levels.

    def __init__(
        self, channels: int, heads: int, points: int, levels: int, slots: int | None = None
    ) -> None:
        super().__init__()
        slots = levels if slots is None else slots
        if channels % heads:
            raise ValueError(f"channels must be a multiple of heads, got {channels} and {heads}")
        if slots < levels:
            raise ValueError(f"slots must be at least levels, got {slots} for {levels} levels")
        self.heads, self.points, self.levels, self.slots = heads, points, levels, slots
        self.sampling_offsets = nn.Linear(channels, heads * slots * points * 2)
        self.attention_weights = nn.Linear(channels, heads * slots * points)
        self.value_projection = nn.Linear(channels, channels)
        self.output_projection = nn.Linear(channels, channels)
        self._initialise()

    def _initialise(self) -> None:
        """Start with even rings of places: a direction per head, a radius per point."""
        for linear in (self.sampling_offsets, self.attention_weights):
            nn.init.zeros_(linear.weight)
            nn.init.zeros_(linear.bias)
        for linear in (self.value_projection, self.output_projection):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)
        angles = torch.arange(self.heads) * (2 * math.pi / self.heads)
        directions = torch.stack([angles.cos(), angles.sin()], dim=-1)  # [heads, 2]
        directions = directions / directions.abs().amax(dim=-1, keepdim=True)
        radii = torch.arange(1, self.points + 1)
        ring = directions[:, None, None] * radii[:, None]  # [heads, 1, points, 2]
        with torch.no_grad():
            self.sampling_offsets.bias.copy_(ring.expand(-1, self.slots, -1, -1).flatten())

    def forward(
        self, x: Tensor, positions: Tensor, places: Tensor, sizes: Sequence[Size]
    ) -> Tensor:
        """Return [B, N, C]: for every cell, the values that it found in the maps.

        Args:
            x: [B, N, C], the cells of all maps, one map after the other, row by row.
            positions: [N, C], added to x where it asks, not to what is read.
            places: [N, 2], x and y of each cell's centre in 0..1.
            sizes: h, w of each map.
        """
        if len(sizes) != self.levels:
            raise ValueError(f"this attention reads {self.levels} maps, got {len(sizes)}")
        # Upstream runs this in float32 even under autocast; half precision moves the places.
        with torch.autocast(x.device.type, enabled=False):
            x = x.float()
            batch, cells = x.shape[:2]
            # Read flat, only what the first queries computed is used: the others need not ask.
            asking = math.ceil(cells * self.levels / self.slots)
            queries = (x + positions)[:, :asking]
            shape = (batch, asking, self.heads, self.slots, self.points)
            weights = self.attention_weights(queries).view(*shape[:3], -1).softmax(-1).view(shape)
            x_of, y_of = (
                self._locate(queries, places[:asking], sizes, axis).view(shape) for axis in (0, 1)
            )
            if self.slots != self.levels:
                x_of, y_of, weights = (
                    read_flat(entries, cells, self.levels) for entries in (x_of, y_of, weights)
                )
            values = self.value_projection(x).view(batch, cells, self.heads, -1)
            found = sample(values, sizes, x_of, y_of, weights)
            result: Tensor = self.output_projection(found)
            return result

    def _locate(self, queries: Tensor, places: Tensor, sizes: Sequence[Size], axis: int) -> Tensor:
        """Return where queries look along one axis, [B, Q, heads slots points].

        It is counted in cells of the map that is read, as the offsets are.

        Args:
            queries: [B, Q, C].
            places: [Q, 2], x and y of their own cells in 0..1.
            sizes: h, w of each map.
            axis: 0 for x, 1 for y.
        """
        # The layer's outputs are x and y in turn; apart, each is one block of memory.
        linear = self.sampling_offsets
        weight, bias = linear.weight[axis::2], linear.bias[axis::2]
        extents = torch.tensor([size[1 - axis] for size in sizes], device=queries.device)
        extents = extents.repeat_interleave(self.points)
        extents = extents.repeat(self.heads * self.slots // self.levels)  # [heads slots points]
        return F.linear(queries, weight, bias) + places[:, axis, None] * extents


def read_flat(entries: Tensor, queries: int, levels: int) -> Tensor:
    """Read entries that were laid out for several maps as if for fewer, each image by itself.

    Args:
        entries: [B, Q', heads, slots, points, ...]; Q' x slots is at least queries x levels.
        queries: Q of the result.
        levels: maps of the result.

    Returns:
        [B, Q, heads, levels, points, ...]: entry n of an image stays entry n, the rest is left out.
    """
    batch, _, heads, _, points, *rest = entries.shape
    flat = entries.flatten(1, 4)[:, : queries * heads * levels * points]
    return flat.reshape(batch, queries, heads, levels, points, *rest)


def sample(values: Tensor, sizes: Sequence[Size], x: Tensor, y: Tensor, weights: Tensor) -> Tensor:
    """Return [B, Q, heads d]: the weighted sum of bilinear samples of the maps, zero outside them.

    A bilinear sample is a weighted sum of four cells, so all of it is one weighted sum of table
    rows. On CPUs that takes less than a sixth of the time of `grid_sample`.

    Args:
        values: [B, N, heads, d], the cells of all maps, one map after the other, row by row.
        sizes: h, w of each map.
        x: [B, Q, heads, levels, points], in cells of the map; 0.5 is the centre of the first.
        y: likewise.
        weights: likewise.
    """
    batch, queries, heads = x.shape[:3]
    table = _with_borders(values, sizes)  # [heads, B, M, d]
    images = torch.arange(batch, dtype=torch.int32, device=values.device) * table.shape[2]
    images = images.repeat_interleave(queries)[:, None]  # [B Q, 1], an image's first row
    slots = _Slots.of(sizes, heads, x.shape[-1], table)
    entries = [*(entry.flatten(2).flatten(0, 1) for entry in (x, y, weights)), images]
    step = cells_at_once(x, of=len(images))
    parts = zip(*(entry.split(step) for entry in entries), strict=True)
    found = [_sample_some(table.view(-1, table.shape[-1]), slots, *part) for part in parts]
    return torch.cat(found).view(batch, queries, -1)


def cells_at_once(x: Tensor, *, of: int) -> int:
    """Return how many of so many cells to compute at once, at least one.

    On a CPU, what is computed of a part stays in the processor's cache; gradients need all of it.
    """
    infers_on_cpu = x.device.type == "cpu" and not torch.is_grad_enabled()
    return CELLS_AT_ONCE if infers_on_cpu else max(1, of)


def _sample_some(
    table: Tensor, slots: "_Slots", x: Tensor, y: Tensor, weights: Tensor, image: Tensor
) -> Tensor:
    """Return [n, heads d] of n queries.

    Args:
        table: [heads B M, d], a row for each cell of the maps with their borders.
        slots: what the columns of the following read.
        x, y, weights: [n, heads levels points].
        image: int32 [n, 1], what is added to the rows of a query's image.
    """
    # In cells of the bordered map. A place more than a cell outside is pulled onto the border,
    # where all is zero.
    nothing = torch.zeros_like(slots.width)
    x = (x + 0.5).clamp(nothing, slots.width + 1)
    y = (y + 0.5).clamp(nothing, slots.height + 1)
    column, row = x.detach().floor(), y.detach().floor()
    first = column.int() + row.int() * slots.stride + slots.start + image
    first = first.clamp(0, slots.last)  # a place that is no number has to be some row
    below = first + slots.stride

    right, lower = x - column, weights * (y - row)
    upper = weights - lower
    upper_right, lower_right = upper * right, lower * right
    bags = slots.per_bag(first, first + 1, below, below + 1)
    shares = slots.per_bag(upper - upper_right, upper_right, lower - lower_right, lower_right)
    sums = sum_weighted_rows(table, bags, shares)  # [heads n, d]
    return sums.view(slots.heads, len(x), -1).transpose(0, 1).flatten(1)


@dataclass(frozen=True)
class _Slots:
    """What is read for each of a query's [heads levels points] places.

    Spelled out for every slot, because broadcasting over the inner axes would be slow.

    Attributes:
        heads: their number.
        width, height: of the slot's map, float32.
        stride: rows of the table from a cell to the one below it, int32.
        start: first row of the slot's head and map, int32.
        last: a row after which the table has room for a cell's neighbours.
    """

    heads: int
    width: Tensor
    height: Tensor
    stride: Tensor
    start: Tensor
    last: int

    @classmethod
    def of(cls, sizes: Sequence[Size], heads: int, points: int, table: Tensor) -> "_Slots":
        """Return the slots of maps of these sizes that are in a table [heads, B, M, d]."""
        areas = [(h + 3) * (w + 3) for h, w in sizes]
        rows = [(w, h, w + 3, sum(areas[:i])) for i, (h, w) in enumerate(sizes)]
        columns = torch.tensor(rows, device=table.device).repeat_interleave(points, dim=0)
        width, height, stride, start = columns.repeat(heads, 1).T.contiguous()
        lanes = torch.arange(heads, device=table.device) * table[0, ..., 0].numel()
        start = (start + lanes.repeat_interleave(len(columns))).int()
        last = table[..., 0].numel() - max(w for _, w in sizes) - 5
        return cls(heads, width.float(), height.float(), stride.int(), start, last)

    def per_bag(self, *corners: Tensor) -> Tensor:
        """Return [heads n, ...]: the four corners of a head's and a query's places, side by side.

        Bags of one head follow each other: neighbouring queries look at neighbouring rows.

        Args:
            corners: [n, heads levels points] each.
        """
        by_head = [corner.unflatten(1, (self.heads, -1)).transpose(0, 1) for corner in corners]
        return torch.stack(by_head, dim=2).flatten(2).flatten(0, 1)


def _with_borders(values: Tensor, sizes: Sequence[Size]) -> Tensor:
    """Return [heads, B, M, d]: every map with zero cells around it, one before and two behind."""
    maps = torch.split(values, [h * w for h, w in sizes], dim=1)
    bordered = [
        F.pad(cells.unflatten(1, size).permute(3, 0, 1, 2, 4), (0, 0, 1, 2, 1, 2)).flatten(2, 3)
        for cells, size in zip(maps, sizes, strict=True)
    ]
    return torch.cat(bordered, dim=2)
