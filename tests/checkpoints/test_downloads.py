"""Fetching published weights: a real HTTP server on this machine stands for the published ones."""

import hashlib
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from frozenseg_label.checkpoints import downloads
from frozenseg_label.checkpoints.downloads import BOOK, DOWNLOADS, Download, fetch
from frozenseg_label.errors import CheckpointError

CONTENT = b"PK\x03\x04" + b"weights " * 10_000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
PAGE = b"<html>Too many people have fetched this file lately.</html>"


class Server(http.server.BaseHTTPRequestHandler):
    """Serves CONTENT, a file that is not there, one cut off half-way, a web page, or nothing."""

    requests = 0

    def do_GET(self) -> None:
        type(self).requests += 1
        content = PAGE if self.path in ("/page", "/missing") else CONTENT
        self.send_response(404 if self.path == "/missing" else 200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.path == "/silent":
            self.rfile.read(1)  # until the other side gives up
        half = self.path == "/broken"
        self.wfile.write(content[: len(content) // 2] if half else content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    Server.requests = 0
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "downloads"


def offer(monkeypatch: pytest.MonkeyPatch, url: str, sha256: str = "") -> None:
    monkeypatch.setitem(DOWNLOADS, "x", Download("x.pth", url=url, sha256=sha256))


@pytest.mark.parametrize("known", [SHA256, SHA256[:6]])
def test_a_file_is_fetched_once_and_checked(
    server: str, folder: Path, known: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(monkeypatch, server + "/x", known)
    path, digest = fetch("x", folder)
    assert path.read_bytes() == CONTENT
    assert digest == SHA256
    assert fetch("x", folder, offline=True) == (path, SHA256)
    assert Server.requests == 1


@pytest.mark.parametrize("known", ["0" * 64, "01ec64"])
def test_a_wrong_hash_leaves_nothing_behind(
    server: str, folder: Path, known: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(monkeypatch, server + "/x", known)
    with pytest.raises(CheckpointError, match=f"but {known} was published"):
        fetch("x", folder)
    assert not list(folder.iterdir())


@pytest.mark.parametrize("path", ["/broken", "/silent"])
def test_a_broken_transfer_leaves_nothing_behind_and_can_be_repeated(
    server: str, folder: Path, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "TIMEOUT", 0.3)
    offer(monkeypatch, server + path, SHA256)
    with pytest.raises(CheckpointError, match="could not be fetched"):
        fetch("x", folder)
    assert not list(folder.iterdir())
    offer(monkeypatch, server + "/x", SHA256)
    assert fetch("x", folder)[1] == SHA256


@pytest.mark.parametrize("url", ["{server}/missing", "http://127.0.0.1:9/x"])
def test_no_file_or_no_network_says_what_to_do(
    server: str, folder: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(monkeypatch, url.format(server=server), SHA256)
    with pytest.raises(CheckpointError) as caught:
        fetch("x", folder)
    assert "weights fetch x` again, or get it by hand" in str(caught.value)
    assert str(folder / "x.pth") in str(caught.value)


def test_no_way_to_google_drive_says_what_to_do_and_leaves_nothing_behind(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nobody listens there
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(
        CheckpointError, match=r"could not be fetched .* by hand from https://drive"
    ):
        fetch("convnext-large", folder)
    assert not list(folder.iterdir())


def test_a_web_page_in_place_of_the_file_is_not_taken_for_it(
    server: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(monkeypatch, server + "/page")
    with pytest.raises(CheckpointError, match="perhaps the web page of a server that refused"):
        fetch("x", folder)
    assert not list(folder.iterdir())


def test_an_unknown_hash_is_written_down_at_the_first_fetch_and_holds_from_then_on(
    server: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(monkeypatch, server + "/x")
    path, digest = fetch("x", folder)
    assert json.loads((folder / BOOK).read_text()) == {"x.pth": digest}
    path.write_bytes(CONTENT + b"!")
    with pytest.raises(CheckpointError, match=r"sha256\.json at the first fetch; delete the file"):
        fetch("x", folder)
    path.unlink()
    assert fetch("x", folder) == (path, digest)


def test_a_damaged_list_of_hashes_is_named(
    server: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(monkeypatch, server + "/x")
    folder.mkdir()
    for content in ("{", "[1, 2]"):
        (folder / BOOK).write_text(content)
        with pytest.raises(CheckpointError, match=r"sha256\.json.* cannot be read; delete it"):
            fetch("x", folder)


def test_offline_never_touches_the_network(
    server: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(monkeypatch, server + "/x", SHA256)
    with pytest.raises(CheckpointError, match="--offline"):
        fetch("x", folder, offline=True)
    assert Server.requests == 0


def test_a_folder_that_cannot_be_made_is_named(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(monkeypatch, server + "/x", SHA256)
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError, match=r"file/downloads/x\.pth cannot be written"):
        fetch("x", tmp_path / "file" / "downloads")
    assert Server.requests == 0


def test_what_cannot_be_fetched_is_answered_with_what_can() -> None:
    with pytest.raises(CheckpointError, match="'y' cannot be fetched; these can: convnext-large"):
        fetch("y", Path())
