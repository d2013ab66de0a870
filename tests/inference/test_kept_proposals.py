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
    there, here = after.queries.class_embeddings, before.queries.class_embeddings
    assert F.cosine_similarity(there, here, dim=-1).min() > 0.99999
    # To the last bit: it decides between words that share one vector.
    assert torch.equal(after.queries.clip_embeddings, before.queries.clip_embeddings)
    assert torch.equal(after.sam.embeddings, before.sam.embeddings)


def test_an_image_without_masks_of_sam_comes_back_without_them() -> None:
    before = replace(proposals(*FEW), sam=None)
    after = decode_proposals(encode_proposals(before, "model:a"), "a.png", "model:a", CPU)
    assert after.sam is None


def rounding(before: ImageProposals) -> float:
    """How far the masks are from those that were kept, in steps of 127 between 0 and LIMIT."""
    content = encode_proposals(before, "model:a")
    assert len(content) <= 4e6
    after = decode_proposals(content, "a.png", "model:a", CPU).queries.mask_logits
    change = after - before.queries.mask_logits.clamp(-LIMIT, LIMIT)
    return float(change.abs().max()) * 127 / LIMIT


def test_masks_of_a_photograph_take_four_megabytes_at_most() -> None:
    assert rounding(proposals(250, 200, 272, 768)) == pytest.approx(0.5, abs=0.01)


def test_rough_masks_get_fewer_steps_and_no_more_room() -> None:
    before = proposals(250, 100, 136, 768)
    noise = 4 * torch.randn(1, 250, 100, 136)
    assert rounding(replace(before, queries=replace(before.queries, mask_logits=noise))) > 0.9


def test_proposals_of_other_weights_and_other_files_are_refused() -> None:
    content = encode_proposals(proposals(*FEW), "model:a")
    with pytest.raises(FormatError, match=r"a\.png: proposals of other weights .*--keep-proposals"):
        decode_proposals(content, "a.png", "model:b", CPU)
    for damaged in (b"", content[:100], content[:-9], b"\0" * 100):
        with pytest.raises(FormatError, match=r"a\.png: .*--keep-proposals"):
            decode_proposals(damaged, "a.png", "model:a", CPU)
