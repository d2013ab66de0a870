"""The published models at full size: their structure, and the whole way from a `.pth` to labels."""

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from frozenseg_label.checkpoints.checkpoint import load_checkpoint
from frozenseg_label.checkpoints.named_weights import find_weights, frozen_folder
from frozenseg_label.checkpoints.official_keys import CONSUMED, convert_official_state_dict
from frozenseg_label.cli import main
from frozenseg_label.model.builders import BUILDERS
from frozenseg_label.model.frozenseg import FrozenSeg
from frozenseg_label.model.proposals import Features
from tests.parity.conftest import FOLDER

TYPES = {"float32": torch.float32, "int64": torch.int64}
NAMES = {"convnext-large": "convnext_large", "rn50x64": "rn50x64"}


def published(builder: str) -> dict[str, tuple[tuple[int, ...], torch.dtype]]:
    """Shape and type of every tensor of a published checkpoint."""
    rows = json.loads((FOLDER / "state_dicts" / f"state_dict_{NAMES[builder]}.json").read_text())
    return {key: (tuple(shape), TYPES[kind]) for key, shape, kind in rows}


@pytest.mark.parametrize("builder", NAMES)
def test_a_full_size_model_has_exactly_the_published_tensors(builder: str) -> None:
    rows = published(builder)
    with torch.device("meta"):
        state = {key: torch.empty(shape, dtype=kind) for key, (shape, kind) in rows.items()}
        own = BUILDERS[builder]().state_dict()
    converted = convert_official_state_dict(state)
    assert len(converted) == len(state) - len(CONSUMED)  # every key is used, each for itself
    assert set(state) >= CONSUMED
    assert {k: (v.shape, v.dtype) for k, v in own.items()} == {
        k: (v.shape, v.dtype) for k, v in converted.items()
    }


@pytest.mark.parametrize("builder", NAMES)
def test_every_tensor_of_a_full_size_model_is_in_its_state(builder: str) -> None:
    with torch.device("meta"):
        model = BUILDERS[builder]()
    own = model.state_dict()
    assert {name for name, _ in model.named_buffers()} <= own.keys()  # loading fills everything
    assert all(value.is_meta for value in own.values())


def made_up_weights(builder: str) -> dict[str, Tensor]:
    """Random tensors with the published names and shapes, such that nothing overflows."""
    torch.manual_seed(0)
    state = {}
    for key, (shape, kind) in published(builder).items():
        state[key] = torch.zeros(shape, dtype=kind)
        if kind.is_floating_point:
            is_scale = len(shape) == 1 and key.endswith("weight")  # of a norm
            state[key].normal_(1.0 if is_scale else 0.0, 0.02)
    for key in ("query_feat", "query_embed"):
        queries = state[f"sem_seg_head.predictor.{key}.weight"]  # [Q, C]
        queries[:] = queries[0]  # all masks are the same, so that one of them gets its pixels
    return state


def features(model: FrozenSeg) -> Features:
    """What the encoders would see in an image of 128 x 160."""
    generator = torch.Generator().manual_seed(1)
    pyramid = tuple(
        torch.randn(1, channels, 128 // stride, 160 // stride, generator=generator)
        for channels, stride in zip(model.clip.channels, (4, 8, 16, 32), strict=True)
    )
    res2, res3, res4, res5 = pyramid
    sam = torch.randn(1, model.sam.channels, 64, 64, generator=generator)
    return Features((res2, res3, res4, res5), res5, sam)


def assert_same_model(model: FrozenSeg, source: Mapping[str, Tensor]) -> None:
    """Compare with a model that is filled from the source's tensors in the plainest way."""
    with torch.device("meta"):  # no time for random numbers that nobody sees
        plain = BUILDERS["convnext-large"]().eval()
    plain.load_state_dict(convert_official_state_dict(source), assign=True)
    expected = plain.state_dict()
    for key, value in model.state_dict().items():
        assert torch.equal(value, expected.pop(key)), key
    assert not expected
    seen = features(model)
    with torch.inference_mode():
        ours, theirs = model.propose(seen), plain.propose(seen)
    assert ours.mask_logits.isfinite().all()
    for ours_tensor, theirs_tensor in zip(vars(ours).values(), vars(theirs).values(), strict=True):
        assert torch.equal(ours_tensor, theirs_tensor)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working folder with a cache, of which nothing is left: 4 GB pass through it."""
    monkeypatch.setenv("FROZENSEG_LABEL_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for path in tmp_path.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def test_a_published_checkpoint_is_converted_and_labels_an_image(folder: Path) -> None:
    torch.save({"model": made_up_weights("convnext-large")}, "published.pth")
    assert main(["weights", "convert", "published.pth"]) == 0

    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save("image.png")
    options = ["--weights", "convnext-large", "--classes", "cat, zebra crossing, sky:stuff"]
    assert main(["annotate", "image.png", "-o", "out", *options]) == 0
    labels = json.loads((folder / "out" / "panoptic.json").read_text())
    assert (folder / "out" / "panoptic" / labels["annotations"][0]["file_name"]).is_file()
    assert labels["annotations"][0]["segments_info"]

    model, info = load_checkpoint(find_weights("convnext-large"), frozen_folder())
    assert len(info.categories) == 133
    source = torch.load("published.pth", weights_only=True, mmap=True)["model"]
    assert_same_model(model, source)
