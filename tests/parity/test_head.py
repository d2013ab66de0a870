"""Pixel decoder and transformer decoder meet the published head, layer by layer."""

import pytest
import torch
from torch import Tensor

from frozenseg_label.checkpoints.official_keys import convert_official_state_dict
from frozenseg_label.model.mask_classification import category_logits
from frozenseg_label.model.pixel_decoder import DecodedPixels, PixelDecoder
from frozenseg_label.model.proposals import Features
from frozenseg_label.model.text_classifier import TextClassifier
from frozenseg_label.model.transformer_decoder import DecoderOutput, TransformerDecoder
from tests.parity.conftest import Golden

PYRAMID = ("res2", "res3", "res4", "res5")


def load_converted(module: PixelDecoder | TransformerDecoder, golden: Golden, name: str) -> None:
    published = {f"sem_seg_head.{k}": v for k, v in golden.tensors("weights").items()}
    prefix = name + "."
    converted = convert_official_state_dict(published)
    state = {k.removeprefix(prefix): v for k, v in converted.items() if k.startswith(prefix)}
    module.load_state_dict(state)
    module.eval()


def pixel_decoder_of(golden: Golden) -> PixelDecoder:
    config = golden.config
    channels = config["in_features"]
    module = PixelDecoder(
        in_channels=tuple(channels[name] for name in PYRAMID),
        sam_channels=config["sam_channels"],
        channels=config["conv_dim"],
        layers=config["transformer_enc_layers"],
        heads=config["nheads"],
        points=4,
        feedforward=config["pixel_decoder_dim_feedforward"],
        sam_levels=3,
    )
    load_converted(module, golden, "pixel_decoder")
    return module


def transformer_decoder_of(golden: Golden) -> TransformerDecoder:
    config = golden.config
    module = TransformerDecoder(
        channels=config["hidden_dim"],
        embedding_size=config["clip_embedding_dim"],
        queries=config["num_queries"],
        layers=config["dec_layers"],
        heads=config["nheads"],
        feedforward=config["decoder_dim_feedforward"],
    )
    load_converted(module, golden, "transformer_decoder")
    return module


def features_of(golden: Golden) -> Features:
    inputs = golden.tensors("inputs")
    res2, res3, res4, res5 = (inputs[name] for name in PYRAMID)
    return Features((res2, res3, res4, res5), dense=res5, sam=inputs["sam_embedding"])


def logits_of(golden: Golden, decoder: TransformerDecoder, output: DecoderOutput) -> Tensor:
    rows = golden.tensors("inputs")["text_classifier"]  # all names, then void
    synonyms = tuple(golden.config["num_templates"])
    names = TextClassifier(rows[:-1], synonyms, seen=torch.ones(len(synonyms), dtype=torch.bool))
    return category_logits(output.class_embeddings, names, rows[-1:], decoder.logit_scale)


def decode(golden: Golden) -> tuple[DecodedPixels, TransformerDecoder]:
    return pixel_decoder_of(golden)(features_of(golden)), transformer_decoder_of(golden)


def single_images(golden: Golden) -> list[dict[str, Tensor]]:
    """The published results of each image by itself, [1, ...] each."""
    count = golden.description["batch"]
    if count == 1:
        return [golden.tensors("outputs")]
    return [golden.tensors(f"outputs_single.{i}") for i in range(count)]


@pytest.mark.golden("head_*")
@torch.no_grad()
def test_the_pixel_decoder_gives_the_published_maps(golden: Golden) -> None:
    pixels, _ = decode(golden)
    outputs = golden.tensors("outputs.pixel_decoder")
    bounds = {**golden.bounds(), "atol": 5e-5}  # as the fixture's note says for these
    torch.testing.assert_close(pixels.mask_features, outputs["mask_features"], **bounds)
    for i, level in enumerate(pixels.levels):
        torch.testing.assert_close(level, outputs[f"multi_scale.{i}"], **bounds)
    for i, image in enumerate(single_images(golden)):
        torch.testing.assert_close(
            pixels.sam[i : i + 1], image["pixel_decoder.sam_fpn.0"], **bounds
        )


@pytest.mark.golden("head_*")
@torch.no_grad()
def test_every_layer_predicts_what_the_published_one_predicts(golden: Golden) -> None:
    pixels, decoder = decode(golden)
    predictions = decoder.forward_all_layers(pixels, features_of(golden).sam)
    outputs = golden.tensors("outputs")
    layers = len(predictions) - 1
    assert layers == golden.config["dec_layers"]
    # In a batch the published SAM branch leaks from images into later ones; the first stays clean.
    for i, prediction in enumerate(predictions):
        prefix = "" if i == layers else f"aux_outputs.{i}."
        logits = logits_of(golden, decoder, prediction)
        torch.testing.assert_close(
            logits[:1], outputs[f"{prefix}pred_logits"][:1], **golden.bounds()
        )
        torch.testing.assert_close(
            prediction.mask_logits[:1], outputs[f"{prefix}pred_masks"][:1], **golden.bounds()
        )


@pytest.mark.golden("head_*")
@torch.no_grad()
def test_the_short_way_of_inference_ends_at_the_published_masks_of_each_image(
    golden: Golden,
) -> None:
    pixels, decoder = decode(golden)
    result = decoder(pixels, features_of(golden).sam)
    logits = logits_of(golden, decoder, result)
    for i, image in enumerate(single_images(golden)):
        torch.testing.assert_close(logits[i : i + 1], image["pred_logits"], **golden.bounds())
        torch.testing.assert_close(
            result.mask_logits[i : i + 1], image["pred_masks"], **golden.bounds()
        )


@pytest.mark.golden("head_*")
@torch.no_grad()
def test_the_short_way_ends_exactly_where_all_layers_end(golden: Golden) -> None:
    pixels, decoder = decode(golden)
    sam = features_of(golden).sam
    short, long = decoder(pixels, sam), decoder.forward_all_layers(pixels, sam)[-1]
    assert torch.equal(short.mask_logits, long.mask_logits)
    assert torch.equal(short.class_embeddings, long.class_embeddings)
