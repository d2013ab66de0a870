"""What several tests need: a model so small that everything runs, with random but fixed weights."""

import atexit
import importlib.util
import logging
import os
import socket
import subprocess
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:  # a worker a core: its torch, and its children's, has one
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

from frozenseg_label.model.clip_backbone import TextTower, convnext_clip
from frozenseg_label.model.frozenseg import FrozenSeg
from frozenseg_label.model.pixel_decoder import PixelDecoder
from frozenseg_label.model.sam import DecoderSizes, vit_sam
from frozenseg_label.model.settings import EverythingSettings, InputSize
from frozenseg_label.model.transformer_decoder import TransformerDecoder


@pytest.fixture(autouse=True)
def _what_a_command_logs_is_its_own_matter() -> None:
    """Forget the level of the log that an earlier test's command asked for with -q or -v."""
    logging.getLogger("frozenseg_label").setLevel(logging.NOTSET)


def build_tiny_frozenseg() -> FrozenSeg:
    """A FrozenSeg of a few hundred kilobytes, with every part that the large ones have."""
    torch.manual_seed(0)
    clip = convnext_clip(
        embedding_size=16,
        depths=(1, 1, 1, 1),
        dims=(8, 16, 24, 32),
        text=TextTower(width=16, heads=2, layers=1),
        layer_scale=None,
    )
    sam = vit_sam(
        image_size=64,
        embed_dim=24,
        depth=2,
        heads=2,
        channels=32,
        window=2,
        global_blocks=(1,),
        decoder=DecoderSizes(heads=2, feedforward=32, iou_hidden=16),
    )
    return FrozenSeg(
        clip=clip,
        sam=sam,
        pixel_decoder=PixelDecoder(
            clip.channels,
            sam_channels=32,
            channels=32,
            layers=1,
            heads=2,
            points=4,
            feedforward=32,
        ),
        transformer_decoder=TransformerDecoder(
            channels=32, embedding_size=16, queries=12, layers=3, heads=2, feedforward=32
        ),
        input_size=InputSize(shortest=64, longest=96),
        everything=EverythingSettings(
            points_per_side=4, min_predicted_iou=-10.0, min_stability=0.0
        ),
    ).eval()


@pytest.fixture
def build_tiny() -> Callable[[], FrozenSeg]:
    return build_tiny_frozenseg


@pytest.fixture
def tiny_frozenseg() -> FrozenSeg:
    return build_tiny_frozenseg()


@pytest.fixture(scope="session")
def mongod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A MongoDB of these tests alone; FiftyOne, here and in child processes, uses it.

    Nothing may import FiftyOne before. A folder of its own would not do: FiftyOne joins any server
    of the same user that runs already.
    """
    package = importlib.util.find_spec("fiftyone")
    folders = package.submodule_search_locations if package is not None else None
    program = Path((folders or ["nowhere"])[0], "db", "bin", "mongod")
    if not program.is_file():
        go_without = pytest.fail if os.environ.get("FROZENSEG_LABEL_NEEDS_BROWSER") else pytest.skip
        go_without("there is no mongod: pip install 'frozenseg-label[mongod]'")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tmp_path_factory.mktemp("mongodb")
    command = [program, "--dbpath", folder, "--port", f"{port}", "--bind_ip", "127.0.0.1"]
    command += ["--nounixsocket", "--wiredTigerCacheSizeGB", "0.25"]
    uri = f"mongodb://127.0.0.1:{port}"
    with (
        pytest.MonkeyPatch.context() as patch,
        subprocess.Popen(command, stdout=subprocess.DEVNULL) as server,
    ):
        patch.setenv("FIFTYONE_DATABASE_URI", uri)
        patch.setenv("FIFTYONE_DATABASE_VALIDATION", "false")
        patch.setenv("FIFTYONE_DO_NOT_TRACK", "1")
        patch.setenv("FIFTYONE_PLUGINS_DIR", f"{tmp_path_factory.mktemp('plugins')}")
        patch.setenv("FIFTYONE_CONFIG_PATH", f"{folder / 'none.json'}")
        try:
            while not _answers(port) and server.poll() is None:
                time.sleep(0.1)
            with warnings.catch_warnings(action="ignore"):  # FiftyOne's own, while it starts
                importlib.import_module("fiftyone.brain")
                importlib.import_module("fiftyone").list_datasets()
            yield uri
            # At the end of Python, FiftyOne would look half a minute for the server that is gone.
            database = importlib.import_module("fiftyone.core.odm.database")
            atexit.unregister(database._delete_non_persistent_datasets_if_allowed)
        finally:
            server.terminate()


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
