"""The core of deformable attention meets the published CUDA kernel, the stride trap included."""

import pytest
import torch
from torch import Tensor

from frozenseg_label.model.deformable_attention import Size, read_flat, sample
from tests.parity.conftest import Golden


def read(golden: Golden, case: str) -> tuple[Tensor, list[Size], Tensor, Tensor, Tensor]:
    tensors = golden.tensors(case)
    sizes = [(int(h), int(w)) for h, w in tensors["spatial_shapes"]]
    return (
        tensors["value"],
        sizes,
        tensors["sampling_locations"],
        tensors["attention_weights"],
        tensors["output"],
    )


def in_cells(locations: Tensor, sizes: list[Size]) -> tuple[Tensor, ...]:
    """Return x and y of places [..., levels, points, 2] in 0..1, in cells of their maps."""
    extents = torch.tensor([(w, h) for h, w in sizes])[:, None]  # [levels, 1, 2]
    return (locations * extents).unbind(-1)


@pytest.mark.golden("msda_*")
def test_three_maps_read_through_three_slots_meet_the_kernel(golden: Golden) -> None:
    values, sizes, locations, weights, expected = read(golden, "match3")
    found = sample(values, sizes, *in_cells(locations, sizes), weights)
    torch.testing.assert_close(found, expected, **golden.bounds())


@pytest.mark.golden("msda_*")
def test_one_map_read_flat_through_three_slots_meets_the_kernel(golden: Golden) -> None:
    values, sizes, locations, weights, expected = read(golden, "one_level_b1")
    queries = locations.shape[1]
    found = sample(
        values,
        sizes,
        *in_cells(read_flat(locations, queries, levels=1), sizes),
        read_flat(weights, queries, levels=1),
    )
    torch.testing.assert_close(found, expected, **golden.bounds())


@pytest.mark.golden("msda_*")
def test_the_kernel_mixes_a_batch_where_the_flat_reading_keeps_each_image_to_itself(
    golden: Golden,
) -> None:
    values, sizes, locations, weights, expected = read(golden, "one_level_b2")
    batch, queries = locations.shape[:2]
    apart = sample(
        values,
        sizes,
        *in_cells(read_flat(locations, queries, levels=1), sizes),
        read_flat(weights, queries, levels=1),
    )
    torch.testing.assert_close(apart[0], expected[0], **golden.bounds())
    assert (apart[1] - expected[1]).abs().max() > 0.1
    # Read as one long image, the batch's memory gives what the kernel made of the second one too.
    places, shares = (
        read_flat(x.flatten(0, 1)[None], batch * queries, levels=1)[0].unflatten(
            0, (batch, queries)
        )
        for x in (locations, weights)
    )
    found = sample(values, sizes, *in_cells(places, sizes), shares)
    torch.testing.assert_close(found, expected, **golden.bounds())
