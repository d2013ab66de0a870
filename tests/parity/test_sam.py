"""SAM meets the published numbers: image embedding, prompts, masks of points, names and shapes."""

import json

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from frozenseg_label.inference.mask_tiles import masks_resize
from frozenseg_label.inference.preprocess import Framing
from frozenseg_label.model.builders import build_sam_vit_b
from frozenseg_label.model.sam import DecoderSizes, FrozenSam, vit_sam
from tests.parity.conftest import FOLDER, Golden


@pytest.fixture
def sam(golden: Golden) -> FrozenSam:
    config, decoder = golden.config, golden.config["decoder"]
    weights = golden.tensors("weights")
    sam = vit_sam(
        image_size=config["img_size"],
        embed_dim=config["embed_dim"],
        depth=config["depth"],
        heads=config["heads"],
        window=config["window"],
        global_blocks=config["global_attn_indexes"],
        channels=config["out_chans"],
        decoder=DecoderSizes(
            decoder["heads"],
            decoder["mlp_dim"],
            len(weights["mask_decoder.iou_prediction_head.layers.0.bias"]),
        ),
    )
    sam.load_state_dict(weights)
    return sam.eval()


def points_of(golden: Golden, sam: FrozenSam) -> Tensor:
    """The fixture's pixel indices as places in 0..1, [P, 2]."""
    return (golden.tensors("inputs")["point_coords"][:, 0] + 0.5) / sam.image_size


@pytest.mark.golden("sam_*")
@torch.no_grad()
def test_the_image_embedding_is_the_published_one(golden: Golden, sam: FrozenSam) -> None:
    image, outputs = golden.tensors("inputs")["image"], golden.tensors("outputs")
    assert_close(sam.image_encoder(image), outputs["embedding"], **golden.bounds())
    assert_close(sam.position_encoding(), outputs["dense_pe"], **golden.bounds())


@pytest.mark.golden("sam_*")
@torch.no_grad()
def test_points_are_embedded_as_published(golden: Golden, sam: FrozenSam) -> None:
    outputs = golden.tensors("outputs")
    sparse, dense = sam.encode_points(points_of(golden, sam))
    assert_close(sparse, outputs["sparse"], **golden.bounds())
    assert_close(dense, outputs["dense"], **golden.bounds())


@pytest.mark.golden("sam_*")
@torch.no_grad()
def test_masks_of_points_are_the_published_ones(golden: Golden, sam: FrozenSam) -> None:
    outputs = golden.tensors("outputs")
    masks, iou = sam.decode_points(outputs["embedding"], points_of(golden, sam))
    assert_close(masks, outputs["low_res_masks"], **golden.bounds())
    assert_close(iou, outputs["iou_pred"], **golden.bounds())
    maps = masks.flatten(0, 1)  # [P 3, m, m]
    resize = masks_resize(maps, Framing((128, 128), image=(96, 128), original=(60, 80)))
    full = resize.rows(maps[:, resize.needed(0, 60)], 0, 60)
    assert_close(
        full.view_as(outputs["masks_upsampled"]), outputs["masks_upsampled"], **golden.bounds()
    )


@pytest.mark.parametrize("published", ["convnext_large", "rn50x64"])
def test_vit_b_has_the_published_names_and_shapes(published: str) -> None:
    rows = json.loads((FOLDER / "state_dicts" / f"state_dict_{published}.json").read_text())
    expected = {name: tuple(shape) for name, shape, _ in rows if name.startswith("sam.")}
    with torch.device("meta"):
        built = build_sam_vit_b()
    assert {f"sam.{name}": tuple(v.shape) for name, v in built.state_dict().items()} == expected
