"""The App, served for real: only to this machine, and gone when its starter is gone."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import ProxyHandler, build_opener

import pytest

import frozenseg_label
from frozenseg_label.errors import ReviewError
from frozenseg_label.review.app.server import PLUGIN, link_plugin, require_free_port

SERVING = """
from frozenseg_label.review.app.server import served_app
with served_app({port}, "127.0.0.1") as place:
    print(place, flush=True)
    input()
"""


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        found: int = probe.getsockname()[1]
        return found


def answers(address: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(2)
        return probe.connect_ex((address, port)) == 0


def test_the_app_listens_only_to_this_machine_and_ends_when_its_starter_is_killed(
    mongod: str, tmp_path: Path, port: int
) -> None:
    (tmp_path / "queue.py").write_text("raise SystemExit('this is not the queue you look for')")
    package = Path(frozenseg_label.__file__).parents[1]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([f"{package}", *filter(None, sys.path)]),
        "http_proxy": "http://127.0.0.1:9",  # where nobody is
    }
    command = [sys.executable, "-P", "-c", SERVING.format(port=port)]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as starter:
        assert starter.stdout is not None
        assert starter.stdout.readline().decode().strip() == f"http://127.0.0.1:{port}"
        with build_opener(ProxyHandler({})).open(f"http://127.0.0.1:{port}", timeout=20) as page:
            assert page.status == 200
        assert not answers("127.0.0.2", port)  # another address of this very machine
        starter.kill()
    until = time.monotonic() + 10
    while answers("127.0.0.1", port) and time.monotonic() < until:
        time.sleep(0.1)
    assert not answers("127.0.0.1", port)


def test_a_port_in_use_is_told() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        with pytest.raises(ReviewError, match=f"127.0.0.1:{taken}, .*choose another --port"):
            require_free_port(taken, "127.0.0.1")


def test_our_plugin_lies_beside_the_persons_own(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (tmp_path / PLUGIN).symlink_to(tmp_path / "of an installation that is gone")
    for _ in range(2):
        link_plugin(tmp_path)
        assert (tmp_path / PLUGIN / "fiftyone.yml").is_file()
    assert own.is_dir()
