"""Multi-scale deformable attention: a query looks at a few places that it chooses itself.

Deformable DETR (Zhu et al. 2020, arXiv 2010.04159), section 4.1.
"""

import math
import warnings
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import FunctionCtx

Size = tuple[int, int]  # h, w of one map


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
            batch, cells, channels = x.shape
            # Read flat, only what the first queries computed is used: the others need not ask.
            asking = math.ceil(cells * self.levels / self.slots)
            queries = (x + positions)[:, :asking]
            shape = (batch, asking, self.heads, self.slots, self.points)
            weights = self.attention_weights(queries).view(*shape[:3], -1).softmax(-1).view(shape)
            # Offsets are counted in cells of the map that is read, w and h of it.
            extents = torch.tensor([(w, h) for h, w in sizes], dtype=x.dtype, device=x.device)
            extents = extents.repeat_interleave(self.points, dim=0).flatten()  # [levels points 2]
            slots = self.sampling_offsets(queries).view(batch, asking, -1, len(extents))
            locations = (slots / extents).view(batch, asking, -1, 2) + places[:asking, None]
            locations = locations.view(*shape, 2)
            if self.slots != self.levels:
                locations = read_flat(locations, cells, self.levels)
                weights = read_flat(weights, cells, self.levels)
            values = self.value_projection(x).view(batch, cells, self.heads, -1)
            found = sample(values, sizes, locations, weights)
            result: Tensor = self.output_projection(found.view(batch, cells, channels))
            return result


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


def sample(values: Tensor, sizes: Sequence[Size], locations: Tensor, weights: Tensor) -> Tensor:
    """Return [B, Q, heads d]: the weighted sum of bilinear samples of the maps, zero outside them.

    A bilinear sample is a weighted sum of four cells, so all of it is one weighted sum of table
    rows. On CPUs that takes a sixth of the time of `grid_sample` and never holds the samples.

    Args:
        values: [B, N, heads, d], the cells of all maps, one map after the other, row by row.
        sizes: h, w of each map.
        locations: [B, Q, heads, levels, points, 2], x and y in 0..1 of the map.
        weights: [B, Q, heads, levels, points].
    """
    batch, _, heads, depth = values.shape
    queries, points = locations.shape[1], locations.shape[-2]
    table = _with_borders(values, sizes)  # [B, M, heads, d]
    width, height, start = _slot_constants(sizes, heads, points, values.device)
    stride = (width.int() + 2) * heads  # rows of the table from a cell to the one below

    # In cells of the bordered map. A place more than a cell outside is pulled onto the border,
    # where all is zero. (`fmax` takes 0 for NaN: a table row of that number does not exist.)
    x, y = locations.flatten(2, 4).unbind(-1)  # [B, Q, heads levels points] each
    nothing = torch.zeros_like(width)
    x = torch.minimum(torch.fmax(x * width + 0.5, nothing), width + 1)
    y = torch.minimum(torch.fmax(y * height + 0.5, nothing), height + 1)
    column = torch.minimum(x.detach().floor(), width)
    row = torch.minimum(y.detach().floor(), height)
    images = torch.arange(batch, dtype=torch.int32, device=values.device) * (
        table[0].numel() // depth
    )
    first = column.int() * heads + row.int() * stride + start + images[:, None, None]
    below = first + stride

    right, lower = x - column, weights.flatten(2) * (y - row)
    upper = weights.flatten(2) - lower
    upper_right, lower_right = upper * right, lower * right
    bags = _per_bag(batch * queries * heads, first, first + heads, below, below + heads)
    shares = _per_bag(len(bags), upper - upper_right, upper_right, lower - lower_right, lower_right)
    sums = sum_weighted_rows(table.view(-1, depth), bags, shares)
    return sums.view(batch, queries, heads * depth)


def _slot_constants(
    sizes: Sequence[Size], heads: int, points: int, device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    """Return [heads levels points] each: width and height of a slot's map, and its first table row.

    Spelled out for every slot, because broadcasting over the inner axes would be slow.
    """
    areas = [(h + 2) * (w + 2) for h, w in sizes]
    starts = [sum(areas[:i]) * heads for i in range(len(areas))]
    table = torch.tensor([(w, h, s) for (h, w), s in zip(sizes, starts, strict=True)])
    width, height, start = table.repeat_interleave(points, dim=0).repeat(heads, 1).to(device).T
    lanes = torch.arange(heads, device=device).repeat_interleave(len(sizes) * points)
    return width.float(), height.float(), (start + lanes).int()


def _with_borders(values: Tensor, sizes: Sequence[Size]) -> Tensor:
    """Return [B, M, heads, d]: every map with a border of one zero cell on each side."""
    maps = torch.split(values, [h * w for h, w in sizes], dim=1)
    bordered = [
        F.pad(cells.view(len(cells), h, w, *cells.shape[2:]), (0, 0, 0, 0, 1, 1, 1, 1))
        for cells, (h, w) in zip(maps, sizes, strict=True)
    ]
    return torch.cat([x.flatten(1, 2) for x in bordered], dim=1)


def _per_bag(bags: int, *corners: Tensor) -> Tensor:
    """Return [bags, ...]: the values of a query's and a head's four corners, side by side."""
    return torch.cat([corner.view(bags, -1) for corner in corners], dim=1)


def sum_weighted_rows(table: Tensor, rows: Tensor, weights: Tensor) -> Tensor:
    """Return [N, d]: for each bag of K rows their weighted sum.

    Args:
        table: float32 [M, d].
        rows: int32 [N, K], 0..M-1.
        weights: float32 [N, K].
    """
    if table.device.type == "cpu" and torch.is_grad_enabled():
        result: Tensor = _WeightedRows.apply(table, rows, weights)
        return result
    return F.embedding_bag(rows, table, mode="sum", per_sample_weights=weights)


class _WeightedRows(Function):
    """`embedding_bag` whose backward is two sparse products.

    PyTorch's own backward adds row by row. This one is about 2.5 times faster on one CPU core
    (2026-11-23), with the 6144 x 4 bags of 48 rows of 32 channels that four images are to nano.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, table: Tensor, rows: Tensor, weights: Tensor) -> Tensor:
        ctx.save_for_backward(table, rows, weights)
        return F.embedding_bag(rows, table, mode="sum", per_sample_weights=weights)

    @staticmethod
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor, None, Tensor]:
        table, rows, weights = ctx.saved_tensors  # type: ignore[attr-defined]
        gradient = gradient.contiguous()
        return (
            _gradient_of_table(table, rows, weights, gradient),
            None,
            _gradient_of_weights(table, rows, weights, gradient),
        )


def _gradient_of_table(table: Tensor, rows: Tensor, weights: Tensor, gradient: Tensor) -> Tensor:
    """Return [M, d]: for each row the weighted sum of the gradients of the bags it lies in."""
    entries = rows.flatten()
    by_row = entries.argsort()
    counts = entries.bincount(minlength=len(table))
    bags = by_row.div(rows.shape[1], rounding_mode="floor")
    return F.embedding_bag(
        bags,
        gradient,
        offsets=counts.cumsum(0) - counts,
        mode="sum",
        per_sample_weights=weights.flatten().index_select(0, by_row),
    )


def _gradient_of_weights(table: Tensor, rows: Tensor, weights: Tensor, gradient: Tensor) -> Tensor:
    """Return [N, K]: the product of each bag's gradient with each of its rows."""
    bags, size = rows.shape
    starts = torch.arange(0, bags * size + 1, size, dtype=torch.int32)
    with warnings.catch_warnings():  # that sparse tensors are in beta is no news for the user
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta", UserWarning)
        entries = torch.sparse_csr_tensor(
            starts, rows.flatten(), weights.flatten(), (bags, len(table)), check_invariants=False
        )
        products: Tensor = torch.sparse.sampled_addmm(entries, gradient, table.T, beta=0.0)
    return products.values().view(bags, size)
