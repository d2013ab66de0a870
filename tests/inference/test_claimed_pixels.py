"""Blocks that are left out change no pixel and no count."""

import numpy as np
import pytest
import torch

from frozenseg_label.inference import claimed_pixels
from frozenseg_label.inference.claimed_pixels import claim_pixels
from frozenseg_label.inference.mask_tiles import masks_resize
from frozenseg_label.inference.preprocess import Framing


@pytest.mark.parametrize("costs", [(0, 0), (0, 3), (1.5, 3), (10**6, 3)])  # the first: blocks only
@pytest.mark.parametrize("block", [3, 16, 32])
@pytest.mark.parametrize(
    "framing",
    [
        Framing((64, 96), (60, 91), (371, 562)),  # enlarged, unevenly
        Framing((64, 96), (64, 90), (64, 90)),
        Framing((64, 96), (60, 91), (33, 50)),  # shrunk: a pixel skips values
        Framing((64, 96), (64, 96), (1, 700)),
    ],
)
def test_every_pixel_goes_where_it_goes_when_all_of_them_are_computed(
    framing: Framing, block: int, costs: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claimed_pixels, "BLOCK", block)
    monkeypatch.setattr(claimed_pixels, "BOUND_COST", costs[0])
    monkeypatch.setattr(claimed_pixels, "ONE_BLOCK_COST", costs[1])
    torch.manual_seed(0)
    smooth = torch.nn.functional.interpolate(torch.randn(1, 20, 5, 7) * 8, (16, 24), mode="bicubic")
    logits, scores = smooth[0] + torch.randn(20, 16, 24) / 2, torch.rand(20)
    resize = masks_resize(logits, framing)
    height = framing.original[0]
    probs = resize.rows(logits[:, resize.needed(0, height)], 0, height).sigmoid()  # [N, H, W]
    winner = (scores[:, None, None] * probs).argmax(dim=0)  # [H, W]
    covers = probs >= 0.5
    owner = (winner + 1) * covers.gather(0, winner[None])[0]
    found = claim_pixels(logits, scores, resize)
    np.testing.assert_array_equal(found.owner, owner.numpy())
    np.testing.assert_array_equal(found.won, winner.flatten().bincount(minlength=20))
    np.testing.assert_array_equal(found.covered, covers.sum(dim=(1, 2)))
    np.testing.assert_array_equal(found.painted, owner.flatten().bincount(minlength=21)[1:])


def test_nobody_claims_the_pixels_of_no_masks() -> None:
    logits = torch.empty(0, 8, 8)
    resize = masks_resize(logits, Framing((32, 32), (32, 32), (50, 60)))
    found = claim_pixels(logits, torch.empty(0), resize)
    assert found.owner.shape == (50, 60)
    assert not found.owner.any()
    assert found.won.size == found.covered.size == found.painted.size == 0
