"""A tiny predictor, pictures of two shapes on disk, and the manifest of a run over them."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import fsspec
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from moto.server import ThreadedMotoServer
from PIL import Image

from frozenseg_label.annotation.label_images import load, predict, stage
from frozenseg_label.images import ImageRecord, find_images
from frozenseg_label.inference.predictor import Predictor
from frozenseg_label.model.frozenseg import FrozenSeg
from frozenseg_label.model.text_classifier import TextClassifier
from frozenseg_label.runs.manifest import Manifest
from frozenseg_label.runs.run_folder import RunFolder
from frozenseg_label.vocabulary import Vocabulary
from frozenseg_label.vocabulary_files import parse_classes

TALL, WIDE = (96, 64), (64, 96)
SHAPES = {"a": WIDE, "b": TALL, "c": WIDE, "d": WIDE, "e": TALL}  # two padded shapes, mixed


def label_by_hand(records: Sequence[ImageRecord], predictor: Predictor, run: RunFolder) -> None:
    """Load, predict, stage and accept a batch of one padded size, one step after the other."""
    images = [load(record, predictor.model.input_size, None) for record in records]
    for image in predict(images, predictor):
        run.accept(stage(run.order(image.record), image, run))


@pytest.fixture
def vocabulary() -> Vocabulary:
    return parse_classes("cat, dog, sky:stuff")


@pytest.fixture
def predictor(tiny_frozenseg: FrozenSeg, vocabulary: Vocabulary) -> Predictor:
    """The tiny model, with random vectors for the names, so that no text tower has to run."""
    names = TextClassifier(
        F.normalize(torch.randn(3, 16), dim=-1), (1, 1, 1), torch.tensor([True, False, False])
    )
    device = torch.device("cpu")
    return Predictor(tiny_frozenseg, names, vocabulary, "model:tiny", device, semantic=True)


@pytest.fixture
def records(tmp_path: Path) -> list[ImageRecord]:
    """Five pictures of noise."""
    folder = tmp_path / "images"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name, shape in SHAPES.items():
        pixels = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{name}.png")
    return find_images([folder])


@pytest.fixture
def manifest(vocabulary: Vocabulary) -> Manifest:
    return Manifest.of(
        tool_version="0.1",
        arguments={},
        weights="tiny",
        weights_fingerprint="fingerprint of tiny",
        vocabulary=vocabulary,
        seen_names=["cat"],
        options={},
    )


@pytest.fixture(scope="module")
def s3() -> Iterator[fsspec.AbstractFileSystem]:
    """An S3 on this machine, to which the environment points; also that of programs started now."""
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "key")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        files = fsspec.get_filesystem_class("s3")
        files.clear_instance_cache()  # fsspec keeps the file system of another module's server
        yield fsspec.filesystem("s3")
        files.clear_instance_cache()
    moto.stop()
