"""Multi-scale deformable attention: every query looks at a few places that it chooses itself (Zhu et al. 2020, arXiv 2010.04159)."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from frozenseg_label.model.weighted_rows import sum_weighted_rows

Size = tuple[int, int]  # h, w of one map


class DeformableAttention(nn.Module):
    """Deformable attention over one or several maps, in float32 whatever autocast says.

    Args:
        channels: C.
        heads: a divisor of C.
        points: places per head and map.
        levels: maps that will be given.
        slots: maps for which the layers have outputs. Other than `levels` it means the flat reading below; None = `levels`.
    """

    # Why slots and levels may differ: the published SAM branch is a module for three maps that is given one. The CUDA
    # kernel it was trained with does not check that; it takes the three-map memory of one image for one-map memory
    # (SPEC-model.md, section 3, "the stride trap"). Converted weights need that reading; weights trained here do not.

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
        """Begin by looking evenly at a ring of places around the query, one direction per head, one radius per point."""
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
        """Return [B, N, C]: what every cell found in the maps.

        Args:
            x: [B, N, C], the cells of all maps, one map after the other, row by row.
            positions: [N, C], added to x where it asks, not to what is read.
            places: [N, 2], x and y of each cell's centre in 0..1.
            sizes: h, w of each map.
        """
        if len(sizes) != self.levels:
            raise ValueError(f"this attention reads {self.levels} maps, got {len(sizes)}")
        # Upstream runs deformable attention in float32 even under autocast; half precision moves the sampled places.
        with torch.autocast(x.device.type, enabled=False):
            x = x.float()
            batch, cells = x.shape[:2]
            # The flat reading touches what the first queries computed only: the others need not compute it.
            asking = math.ceil(cells * self.levels / self.slots)
            queries = (x + positions)[:, :asking]
            shape = (batch, asking, self.heads, self.slots, self.points)
            offsets = self.sampling_offsets(queries).view(*shape, 2)
            weights = self.attention_weights(queries).view(*shape[:3], -1).softmax(-1).view(shape)
            extents = torch.tensor([(w, h) for h, w in sizes], device=x.device)  # [levels, 2]
            locations = places[:asking, None, None, None] + offsets / extents[:, None]
            if self.slots != self.levels:
                locations = read_flat(locations, cells, self.levels)
                weights = read_flat(weights, cells, self.levels)
            values = self.value_projection(x).unflatten(-1, (self.heads, -1))
            result: Tensor = self.output_projection(sample(values, sizes, locations, weights))
            return result


def read_flat(entries: Tensor, queries: int, levels: int) -> Tensor:
    """Read the memory of a module for several maps as if it had been made for fewer, each image by itself.

    Args:
        entries: [B, Q', heads, slots, points, ...]; Q' x slots is at least queries x levels.
        queries: Q of the result.
        levels: maps of the result.

    Returns:
        [B, Q, heads, levels, points, ...]: entry n of an image's memory stays entry n, the rest is left out.
    """
    heads, points = entries.shape[2], entries.shape[4]
    flat = entries.flatten(1, 4)[:, : queries * heads * levels * points]
    return flat.unflatten(1, (queries, heads, levels, points))


def sample(values: Tensor, sizes: Sequence[Size], locations: Tensor, weights: Tensor) -> Tensor:
    """Return [B, Q, heads d]: the weighted sum of bilinear samples of the maps, zero outside them.

    A bilinear sample is a weighted sum of four cells, so all of it is one weighted sum of table rows, which
    `embedding_bag` does without ever holding the samples (on two CPU cores 6 times faster than `grid_sample`).

    Args:
        values: [B, N, heads, d], the cells of all maps, one map after the other, row by row.
        sizes: h, w of each map.
        locations: [B, Q, heads, levels, points, 2], x and y in 0..1 of the map.
        weights: [B, Q, heads, levels, points].
    """
    batch, _, heads, depth = values.shape
    table = _with_borders(values, sizes)  # [B, M, heads, d]
    device = values.device
    extents = torch.tensor([(w, h) for h, w in sizes], device=device)[:, None]  # [levels, 1, 2]
    strides = extents[..., 0].int() + 2  # [levels, 1], cells in a row with borders
    areas = [(h + 2) * (w + 2) for h, w in sizes]
    starts = torch.tensor([sum(areas[:i]) for i in range(len(areas))], device=device)[:, None]

    # In cells of the bordered map. What lies outside by more than a cell is pulled onto the border, where all is zero.
    places = torch.minimum((locations * extents + 0.5).clamp_min(0.0), extents + 1.0)
    corners = torch.minimum(places.detach().floor(), extents)
    right, below = (places - corners).unbind(-1)  # [B, Q, heads, levels, points], 0..1
    column, row = corners.int().unbind(-1)
    images = torch.arange(batch, device=device, dtype=torch.int32).view(-1, 1, 1, 1, 1)
    lanes = torch.arange(heads, device=device, dtype=torch.int32).view(-1, 1, 1)
    first = (images * sum(areas) + starts.int() + row * strides + column) * heads + lanes
    down = strides * heads
    rows = torch.stack([first, first + heads, first + down, first + (down + heads)], dim=-1)

    upper, lower = weights * (1 - below), weights * below
    shares = torch.stack(
        [upper * (1 - right), upper * right, lower * (1 - right), lower * right], dim=-1
    )
    bags = rows.flatten(0, 2).flatten(1)  # [B Q heads, levels points 4]
    sums = sum_weighted_rows(table.view(-1, depth), bags, shares.view(bags.shape))
    return sums.view(batch, -1, heads * depth)


def _with_borders(values: Tensor, sizes: Sequence[Size]) -> Tensor:
    """Return [B, M, heads, d]: every map with a border of one zero cell on each side."""
    maps = values.split([h * w for h, w in sizes], dim=1)
    bordered = [
        F.pad(cells.unflatten(1, size), (0, 0, 0, 0, 1, 1, 1, 1)).flatten(1, 2)
        for cells, size in zip(maps, sizes, strict=True)
    ]
    return torch.cat(bordered, dim=1)
