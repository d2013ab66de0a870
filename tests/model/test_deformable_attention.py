"""Deformable attention: bilinear sampling, its gradients, and both readings of a module."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from frozenseg_label.model import deformable_attention
from frozenseg_label.model.deformable_attention import (
    DeformableAttention,
    Size,
    read_flat,
    sample,
)

SIZES: list[Size] = [(2, 3), (4, 6)]
CELLS = sum(h * w for h, w in SIZES)


def random_inputs(
    batch: int = 2, queries: int = 5, heads: int = 2, depth: int = 4, points: int = 3
) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    values = torch.randn(batch, CELLS, heads, depth)
    # Some places lie well outside the maps, some on their rims.
    locations = torch.rand(batch, queries, heads, len(SIZES), points, 2) * 2 - 0.5
    weights = torch.rand(batch, queries, heads, len(SIZES), points)
    return values, locations, weights


def sample_at(
    values: Tensor, locations: Tensor, weights: Tensor, sizes: list[Size] = SIZES
) -> Tensor:
    """Sample at x and y [..., levels, points, 2] in 0..1 of the maps."""
    extents = torch.tensor([(w, h) for h, w in sizes])[:, None]  # [levels, 1, 2]
    return sample(values, sizes, *(locations * extents).unbind(-1), weights)


def sample_by_grid(values: Tensor, locations: Tensor, weights: Tensor) -> Tensor:
    """The same by PyTorch's own bilinear sampling, map by map."""
    total = torch.zeros(())
    for i, (cells, (h, w)) in enumerate(
        zip(values.split([h * w for h, w in SIZES], dim=1), SIZES, strict=True)
    ):
        maps = cells.permute(0, 2, 3, 1).flatten(0, 1).unflatten(2, (h, w))  # [B heads, d, h, w]
        grid = (2 * locations[:, :, :, i] - 1).transpose(1, 2).flatten(0, 1)
        found = F.grid_sample(maps, grid, align_corners=False)  # [B heads, d, Q, points]
        share = weights[:, :, :, i].transpose(1, 2).flatten(0, 1)[:, None]
        total = total + (found * share).sum(-1)
    batch, _, heads, depth = values.shape
    return total.view(batch, heads * depth, -1).transpose(1, 2)


def test_sampling_equals_bilinear_interpolation_with_zeros_outside() -> None:
    values, locations, weights = random_inputs()
    torch.testing.assert_close(
        sample_at(values, locations, weights), sample_by_grid(values, locations, weights)
    )


def test_a_query_at_a_cell_centre_reads_that_cell() -> None:
    values = torch.arange(6.0).view(1, 6, 1, 1)
    centre = torch.tensor([2.5 / 3, 1.5 / 2]).view(1, 1, 1, 1, 1, 2)  # column 2, row 1
    found = sample_at(values, centre, torch.ones(1, 1, 1, 1, 1), [(2, 3)])
    torch.testing.assert_close(found, torch.tensor([[[5.0]]]))


def test_nothing_is_found_far_outside() -> None:
    values, locations, weights = random_inputs()
    found = sample_at(values, locations * 0 + 7.0, weights)
    assert torch.equal(found, torch.zeros_like(found))


def test_a_place_that_is_no_number_gives_none_and_changes_no_other() -> None:
    values, locations, weights = random_inputs()
    locations[0, 0] = float("nan")
    found = sample_at(values, locations, weights)
    assert found[0, 0].isnan().all()
    torch.testing.assert_close(found[:, 1:], sample_by_grid(values, locations, weights)[:, 1:])


def test_queries_in_parts_find_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    values, locations, weights = random_inputs()
    together = sample_at(values, locations, weights)
    monkeypatch.setattr(deformable_attention, "CELLS_AT_ONCE", 3)
    with torch.no_grad():
        assert torch.equal(sample_at(values, locations, weights), together)


def test_gradients_equal_those_of_bilinear_interpolation() -> None:
    gradients = []
    for function in (sample_at, sample_by_grid):
        inputs = [x.requires_grad_() for x in random_inputs()]
        function(*inputs).square().sum().backward()
        gradients.append([x.grad for x in inputs])
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


def build(levels: int = 2, slots: int | None = None) -> DeformableAttention:
    torch.manual_seed(0)
    module = DeformableAttention(channels=8, heads=2, points=2, levels=levels, slots=slots)
    for linear in (module.sampling_offsets, module.attention_weights):
        nn.init.normal_(linear.weight)
    return module


def test_it_begins_by_looking_evenly_at_a_ring_of_places() -> None:
    module = DeformableAttention(channels=8, heads=4, points=2, levels=1)
    offsets = module.sampling_offsets.bias.view(4, 2, 2)
    expected = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
    torch.testing.assert_close(offsets[:, 0], expected, atol=1e-6, rtol=0)
    torch.testing.assert_close(offsets[:, 1], 2 * expected, atol=1e-6, rtol=0)
    assert not module.attention_weights.weight.any()


def test_an_image_finds_the_same_alone_and_in_a_batch() -> None:
    for slots in (1, 3):
        module = build(levels=1, slots=slots)
        x, positions, places = torch.randn(2, 12, 8), torch.randn(12, 8), torch.rand(12, 2)
        together = module(x, positions, places, [(3, 4)])
        for i in range(2):
            alone = module(x[i : i + 1], positions, places, [(3, 4)])
            torch.testing.assert_close(together[i : i + 1], alone, atol=1e-6, rtol=0)


def test_read_flat_only_the_first_third_of_the_queries_has_a_say() -> None:
    module = build(levels=1, slots=3)
    x, positions, places = torch.randn(1, 12, 8), torch.randn(12, 8), torch.rand(12, 2)
    before = module(x, positions, places, [(3, 4)])
    positions[4:] += 1.0
    assert torch.equal(module(x, positions, places, [(3, 4)]), before)
    positions[:4] += 1.0
    assert not torch.allclose(module(x, positions, places, [(3, 4)]), before)


def test_the_honest_module_lets_every_query_choose_its_own_places() -> None:
    module = build(levels=1)
    x, positions, places = torch.randn(1, 12, 8), torch.randn(12, 8), torch.rand(12, 2)
    before = module(x, positions, places, [(3, 4)])
    positions[11] += 1.0
    changed = (module(x, positions, places, [(3, 4)]) - before)[0].abs().amax(-1) > 1e-4
    assert changed.tolist() == [False] * 11 + [True]


def test_reading_flat_keeps_the_order_of_an_images_memory() -> None:
    entries = torch.arange(2 * 4 * 2 * 3 * 2).view(2, 4, 2, 3, 2)  # [B, Q, heads, slots, points]
    flat = read_flat(entries, queries=4, levels=1)
    assert flat.shape == (2, 4, 2, 1, 2)
    assert flat[0].flatten().tolist() == list(range(16))
    assert flat[1].flatten().tolist() == list(range(48, 64))


def test_it_stays_in_float32_under_autocast() -> None:
    module = build()
    x, positions, places = torch.randn(1, CELLS, 8), torch.randn(CELLS, 8), torch.rand(CELLS, 2)
    expected = module(x, positions, places, SIZES)
    with torch.autocast("cpu", torch.bfloat16):
        found = module(x, positions, places, SIZES)
    assert found.dtype == torch.float32
    assert torch.equal(found, expected)


def test_wrong_numbers_are_refused_with_their_values() -> None:
    with pytest.raises(ValueError, match="multiple of heads, got 8 and 3"):
        DeformableAttention(channels=8, heads=3, points=2, levels=1)
    with pytest.raises(ValueError, match="at least levels, got 1 for 3"):
        DeformableAttention(channels=8, heads=2, points=2, levels=3, slots=1)
    with pytest.raises(ValueError, match="reads 2 maps, got 1"):
        build(levels=2)(torch.randn(1, 6, 8), torch.randn(6, 8), torch.rand(6, 2), SIZES[:1])
