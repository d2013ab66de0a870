"""Ray's workers label what one machine would, whatever becomes of them.

One cluster of three small nodes serves all tests; all of it listens on 127.0.0.1.
"""

import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import fsspec
import psutil
import pytest
import torch

from frozenseg_label import RunFolder, annotate, write_demo
from frozenseg_label.errors import RunError
from frozenseg_label.label_sets.open_label_set import open_label_set

if TYPE_CHECKING:
    from ray.cluster_utils import Cluster

# Ray warns of its own options, which it sets itself.
pytestmark = pytest.mark.filterwarnings(r"ignore::DeprecationWarning:ray\..*")

NODE = {"num_cpus": 1, "node_ip_address": "127.0.0.1", "object_store_memory": 100 * 1024**2}


@pytest.fixture(scope="module")
def cluster(s3: fsspec.AbstractFileSystem) -> Iterator["Cluster"]:
    """Three nodes with one core each; the first has a GPU, as far as Ray knows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # stay on 127.0.0.1
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_BACKEND_LOG_LEVEL", "fatal")
        patch.setenv("RAY_worker_niceness", "0")  # else other tests take the processor from them
        patch.setenv("OMP_NUM_THREADS", "1")
        from ray.cluster_utils import Cluster

        head = NODE | {"num_gpus": 1, "include_dashboard": False}
        made = Cluster(initialize_head=True, head_node_args=head)
        try:
            for _ in range(2):
                made.add_node(**NODE)
            yield made
        finally:
            made.shutdown()


@pytest.fixture(autouse=True)
def _one_thread_here_as_in_the_workers() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Six scenes of nano's world, and one file that is torn."""
    folder = tmp_path / "pictures"
    first, *_ = write_demo(folder / "some", count=3, size=64)
    write_demo(folder / "more", count=3, seed=1, size=64)
    (folder / "torn.png").write_bytes(first.read_bytes()[:100])
    return folder


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """Forty pictures of one scene."""
    folder = tmp_path / "many"
    (picture,) = write_demo(folder, count=1, size=64)
    for number in range(39):
        (folder / f"{number}.png").write_bytes(picture.read_bytes())
    return folder


def files(folder: Path) -> dict[str, bytes]:
    kinds = ("panoptic", "kept", "class-png")
    found = (path for kind in kinds for path in (folder / kind).rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def rows(folder: Path) -> list[str]:
    """Name the image of each row of the journal."""
    with RunFolder.read(folder) as run:
        return [entry.image for _, entry in run.history()]


def after_rows(folder: Path, number: int, act: Callable[[], object]) -> threading.Thread:
    """Do something in another thread as soon as the journal has some rows."""

    def wait() -> None:
        journal = folder / "journal.jsonl"
        while not journal.exists() or journal.read_bytes().count(b"\n") < number:
            time.sleep(0.01)
        act()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


def kill_a_worker() -> None:
    for process in psutil.Process().children(recursive=True):
        if process.cmdline()[:1] and process.cmdline()[0].startswith("ray::MapWorker"):
            process.kill()
            return
    raise AssertionError("there is no worker")


def assert_labelled_once(out: Path, folder: Path) -> None:
    images = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    assert Counter(rows(out)) == dict.fromkeys(images, 1)
    with open_label_set(out) as labels:
        for image in images:
            labels.read_map(image)  # FormatError where it is not what the row names


def test_the_labels_are_those_of_one_machine(
    cluster: "Cluster", pictures: Path, tmp_path: Path
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    options = {"keep_proposals": True, "formats": ["class-png"]}
    annotate(pictures, here, "stickers", **options)
    ray = {"engine": "ray", "ray_address": cluster.address}  # one worker, on the GPU
    summary = annotate(pictures, there, "stickers", **options, **ray)
    assert (summary.labelled, summary.failed) == (6, 1)
    assert len(files(there)) == 6 * 3
    assert files(there) == files(here)
    with RunFolder.read(here) as one, RunFolder.read(there) as other:
        for image in rows(here):
            expected, found = one.entry(image), other.entry(image)
            assert expected is not None
            assert found is not None
            assert found.labels == expected.labels
            assert (found.message, found.sha256) == (expected.message, expected.sha256)
            assert (one.read_embeddings(expected) is None) == (found.event == "failed")
    again = annotate(pictures, there, "stickers", **options, **ray)
    assert (again.labelled, again.skipped, again.failed) == (0, 6, 1)


def test_pictures_in_a_bucket_get_the_labels_of_those_on_a_disk(
    cluster: "Cluster", s3: fsspec.AbstractFileSystem, pictures: Path, tmp_path: Path
) -> None:
    s3.mkdir("bucket")
    s3.put(f"{pictures}/", "bucket/photos/", recursive=True)
    annotate(pictures, tmp_path / "here", "stickers")
    ray = {"engine": "ray", "ray_address": cluster.address}
    summary = annotate("s3://bucket/photos", tmp_path / "there", "stickers", **ray)
    assert (summary.labelled, summary.failed) == (6, 1)
    assert files(tmp_path / "there") == files(tmp_path / "here")


def test_a_killed_worker_and_a_lost_node_cost_no_image(
    cluster: "Cluster", many: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    (lost, *_) = cluster.worker_nodes
    killing = after_rows(out, 4, kill_a_worker)
    losing = after_rows(out, 12, lambda: cluster.remove_node(lost, allow_graceful=False))
    try:
        summary = annotate(
            many, out, "stickers", engine="ray", ray_address=cluster.address, ray_gpus=0
        )
        assert not killing.is_alive()
        assert not losing.is_alive()
    finally:
        losing.join(60)
        cluster.add_node(**NODE)
    assert (summary.labelled, summary.failed) == (40, 0)
    assert_labelled_once(out, many)


def test_what_a_killed_program_left_is_taken_up(
    cluster: "Cluster", many: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "frozenseg_label", "annotate", str(many), "-o", str(out)]
    command += ["--vocab", "stickers", "--engine", "ray", "--ray-address", cluster.address]
    with subprocess.Popen([*command, "--ray-actors", "1", "-q"]) as program:
        after_rows(out, 6, program.kill).join(400)
    begun = len(rows(out))
    assert 6 <= begun < 40
    summary = annotate(many, out, "stickers")  # with Ray or without
    assert (summary.labelled, summary.skipped) == (40 - begun, begun)
    assert_labelled_once(out, many)
    assert not [name for name in files(out) if ".frozenseg" in name]


def test_without_the_extra_one_sentence_says_what_to_install(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(RunError, match=r"needs Ray \(.*\); pip install 'frozenseg-label\[ray\]'"):
        annotate(pictures, tmp_path / "out", "stickers", engine="ray")


def test_a_cluster_that_does_not_answer_is_told_at_once(pictures: Path, tmp_path: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))  # and nobody listens
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(RunError, match=r"does not answer \(.*refused\); .*RAY_AUTH_MODE=token"):
            annotate(pictures, tmp_path / "out", "stickers", engine="ray", ray_address=address)
