"""Where weights come from: a real HTTP server on this machine stands for the published ones."""

import hashlib
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from frozenseg_label.errors import CheckpointError
from frozenseg_label.model import pretrained
from frozenseg_label.model.pretrained import Download

CONTENT = b"weights " * 10_000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(http.server.BaseHTTPRequestHandler):
    """Serves CONTENT; /broken promises all of it and hangs up half-way; /missing is not there."""

    requests = 0

    def do_GET(self) -> None:  # noqa: N802 - http.server's name
        type(self).requests += 1
        self.send_response(404 if self.path == "/missing" else 200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        half = self.path == "/broken"
        self.wfile.write(CONTENT[: len(CONTENT) // 2] if half else CONTENT)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    Server.requests = 0
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FROZENSEG_LABEL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def offer(monkeypatch: pytest.MonkeyPatch, url: str, sha256: str = "") -> None:
    monkeypatch.setitem(pretrained.DOWNLOADS, "x", Download("x.pth", url=url, sha256=sha256))


@pytest.mark.parametrize("known", [SHA256, SHA256[:6]])
def test_a_file_is_fetched_once_and_checked(server: str, known: str, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, server + "/x", known)
    path, digest = pretrained.fetch("x")
    assert path.read_bytes() == CONTENT
    assert digest == SHA256
    assert pretrained.fetch("x", offline=True) == (path, SHA256)
    assert Server.requests == 1


@pytest.mark.parametrize("known", ["0" * 64, "01ec64"])
def test_a_wrong_hash_leaves_nothing_behind(
    server: str, known: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(monkeypatch, server + "/x", known)
    with pytest.raises(CheckpointError, match="is expected"):
        pretrained.fetch("x")
    assert not list((cache / "downloads").iterdir())


def test_a_broken_transfer_leaves_nothing_behind_and_can_be_repeated(
    server: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(monkeypatch, server + "/broken", SHA256)
    with pytest.raises(CheckpointError, match="could not be fetched"):
        pretrained.fetch("x")
    assert not list((cache / "downloads").iterdir())
    offer(monkeypatch, server + "/x", SHA256)
    assert pretrained.fetch("x")[1] == SHA256


@pytest.mark.parametrize("url", ["{server}/missing", "http://127.0.0.1:9/x"])
def test_no_file_or_no_network_says_what_to_do(server: str, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, url.format(server=server), SHA256)
    with pytest.raises(CheckpointError, match=r"weights fetch x` again, or copy the file by hand"):
        pretrained.fetch("x")


def test_an_unknown_hash_is_written_down_at_the_first_fetch_and_holds_from_then_on(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(monkeypatch, server + "/x")
    path, digest = pretrained.fetch("x")
    assert json.loads((path.parent / pretrained.HASHES).read_text()) == {"x.pth": digest}
    path.write_bytes(CONTENT + b"!")
    with pytest.raises(CheckpointError, match="delete the file and fetch it again"):
        pretrained.fetch("x")


def test_offline_never_touches_the_network(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, server + "/x", SHA256)
    with pytest.raises(CheckpointError, match="--offline"):
        pretrained.fetch("x", offline=True)
    assert Server.requests == 0


def test_missing_published_weights_name_the_command_that_brings_them() -> None:
    with pytest.raises(CheckpointError, match="weights fetch convnext-large"):
        pretrained.find_weights("convnext-large")


def test_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(CheckpointError, match="did you mean 'rn50x64'"):
        pretrained.find_weights("rn50x46")
