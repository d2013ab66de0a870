"""Proposals come back from a small file as they were, but for rounding."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from frozenseg_label.errors import FormatError
from frozenseg_label.inference.image_proposals import ImageProposals, SamProposals
from frozenseg_label.inference.kept_proposals import LIMIT, decode_proposals, encode_proposals
from frozenseg_label.inference.preprocess import Framing
from frozenseg_label.model.proposals import MaskProposals

CPU = torch.device("cpu")
FEW = 5, 8, 12, 16


def proposals(queries: int, height: int, width: int, size: int) -> ImageProposals:
    """Smooth masks, mostly far outside, as decoders make them."""
    torch.manual_seed(0)
    coarse = 14 * torch.randn(queries, 1, 6, 8) - 18
    masks = F.interpolate(coarse, (height, width), mode="bicubic")[:, 0]

    def vectors(number: int) -> Tensor:
        return 1e5 * torch.randn(number, size)  # too large for float16

    sides = 4 * height, 4 * width
    valid = torch.arange(queries) % 2 == 0
    return ImageProposals(
        Framing(sides, (sides[0] - 3, sides[1]), (77, 99)),
        MaskProposals(masks[None], vectors(queries)[None], vectors(queries)[None], valid[None]),
        SamProposals(masks[:2], vectors(2), torch.tensor([True, False])),
        np.ones(size, np.float16),
    )


def test_what_is_read_is_what_was_kept() -> None:
    before = proposals(*FEW)
    after = decode_proposals(encode_proposals(before, "model:a"), "a.png", "model:a", CPU)
    assert after.framing == before.framing
    assert torch.equal(after.queries.valid, before.queries.valid)
    assert np.array_equal(after.embedding, before.embedding)
    assert after.sam is not None
    assert before.sam is not None
    assert torch.equal(after.sam.valid, before.sam.valid)
    for there, here in (
        (after.queries.mask_logits, before.queries.mask_logits),
        (after.sam.logits, before.sam.logits),
    ):
        assert (there - here.clamp(-LIMIT, LIMIT)).abs().max() <= LIMIT / 127 / 2 + 1e-6
    for there, here in (
        (after.queries.class_embeddings, before.queries.class_embeddings),
        (after.queries.clip_embeddings, before.queries.clip_embeddings),
        (after.sam.embeddings, before.sam.embeddings),
    ):
        assert F.cosine_similarity(there, here, dim=-1).min() > 0.99999


def test_an_image_without_masks_of_sam_comes_back_without_them() -> None:
    before = replace(proposals(*FEW), sam=None)
    after = decode_proposals(encode_proposals(before, "model:a"), "a.png", "model:a", CPU)
    assert after.sam is None


@pytest.mark.parametrize(("noise", "steps"), [(0.0, 127), (4.0, 63)])
def test_masks_of_a_photograph_take_four_megabytes_at_most(noise: float, steps: int) -> None:
    height, width = (200, 272) if noise == 0 else (100, 136)  # noise takes its time
    before = proposals(250, height, width, 768)
    masks = before.queries.mask_logits + noise * torch.randn(250, height, width)
    before = replace(before, queries=replace(before.queries, mask_logits=masks))
    content = encode_proposals(before, "model:a")
    assert len(content) <= 4e6
    after = decode_proposals(content, "a.png", "model:a", CPU).queries.mask_logits
    rounded = (after - masks.clamp(-LIMIT, LIMIT)).abs().max() * steps / LIMIT
    assert 0.49 < rounded < 0.51  # half a step: noise gets fewer steps


def test_proposals_of_other_weights_and_other_files_are_refused() -> None:
    content = encode_proposals(proposals(*FEW), "model:a")
    with pytest.raises(FormatError, match=r"a\.png: proposals of other weights .*--keep-proposals"):
        decode_proposals(content, "a.png", "model:b", CPU)
    for damaged in (b"", content[:100], content[:-9], b"\0" * 100):
        with pytest.raises(FormatError, match=r"a\.png: .*--keep-proposals"):
            decode_proposals(damaged, "a.png", "model:a", CPU)
