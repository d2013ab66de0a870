"""A segment's vector is the mean of its masks' vectors; an image's leaves the padding out."""

import numpy as np
import torch

from frozenseg_label.inference.preprocess import Framing
from frozenseg_label.inference.segment_embeddings import image_embeddings, segment_embeddings
from frozenseg_label.model.frozenseg import FrozenSeg

VECTORS = torch.tensor([[2.0, 0.0], [0.0, 3.0], [float("nan"), 1.0]])
VALID = torch.tensor([True, True, False])


def test_a_segment_of_one_mask_has_its_direction() -> None:
    found = segment_embeddings({1: {0: 5}, 2: {1: 7}}, VECTORS, VALID)
    assert found[1].tolist() == [1.0, 0.0]
    assert found[2].tolist() == [0.0, 1.0]
    assert found[1].dtype == np.float16


def test_parts_count_by_their_pixels_and_meaningless_ones_not_at_all() -> None:
    found = segment_embeddings({1: {0: 30, 1: 40, 2: 1000}}, VECTORS, VALID)
    assert np.allclose(found[1], [0.6, 0.8], atol=1e-3)


def test_a_segment_without_a_meaningful_vector_is_missing() -> None:
    assert segment_embeddings({7: {2: 5}}, VECTORS, VALID) == {}
    assert segment_embeddings({}, VECTORS, VALID) == {}


def test_padding_does_not_change_the_vector_of_an_image(tiny_frozenseg: FrozenSeg) -> None:
    torch.manual_seed(0)
    clip, dense = tiny_frozenseg.clip, torch.randn(1, 32, 2, 3)
    padded = torch.cat([dense, torch.full((1, 32, 2, 1), 9.0)], dim=3)
    with torch.inference_mode():
        alone = image_embeddings(clip, dense, [Framing((64, 96), (64, 96), (64, 96))])
        beside = image_embeddings(clip, padded, [Framing((64, 128), (64, 90), (64, 90))])
    assert np.array_equal(alone, beside)
    assert np.isclose(np.linalg.norm(alone[0].astype(np.float32)), 1, atol=1e-2)
