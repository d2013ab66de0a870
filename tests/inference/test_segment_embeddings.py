"""A segment's vector is the mean of its masks' vectors; an image's leaves the padding out."""

import numpy as np
import torch

from frozenseg_label.inference.preprocess import Framing, PreparedImage
from frozenseg_label.inference.segment_embeddings import (
    image_embeddings,
    pool_segments,
    segment_embeddings,
)
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


def test_a_mask_of_the_whole_image_has_the_vector_of_the_image(tiny_frozenseg: FrozenSeg) -> None:
    torch.manual_seed(0)
    clip, size = tiny_frozenseg.clip, (64, 90)
    image = PreparedImage(torch.rand(3, 64, 128) * 255, Framing((64, 128), size, (32, 45)))
    with torch.inference_mode():
        _, dense = clip.extract_features(image.pixels[None], [size])
        whole = image_embeddings(clip, dense, [image.framing])
        pooled = pool_segments(clip, image, [np.ones((32, 45), np.bool_)])
    assert np.array_equal(pooled, whole)


def test_a_mask_smaller_than_a_cell_has_the_vector_of_its_cell(tiny_frozenseg: FrozenSeg) -> None:
    torch.manual_seed(0)
    image = PreparedImage(torch.rand(3, 64, 64) * 255, Framing((64, 64), (64, 64), (64, 64)))
    dot, corner = np.zeros((64, 64), np.bool_), np.zeros((64, 64), np.bool_)
    dot[1, 1] = corner[:32, :32] = True
    with torch.inference_mode():
        small, large = pool_segments(tiny_frozenseg.clip, image, [dot, corner])
    assert np.array_equal(small, large)
