"""`frozenseg-label weights`, as a person at a terminal meets it, with a tiny model and a server."""

import functools
import http.server
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from frozenseg_label.checkpoints import convert
from frozenseg_label.checkpoints.checkpoint import load_checkpoint, save_checkpoint
from frozenseg_label.checkpoints.downloads import DOWNLOADS, Download, file_sha256
from frozenseg_label.checkpoints.header import TrainingCategory
from frozenseg_label.checkpoints.official_keys import rename_official_key
from frozenseg_label.cli import main
from frozenseg_label.model import builders
from frozenseg_label.model.frozenseg import FrozenSeg
from tests.parity.conftest import FOLDER

CATEGORIES = [
    TrainingCategory(names=("cat", "kitten"), is_thing=True),
    TrainingCategory(names=("sky",), is_thing=False),
]


@pytest.fixture(autouse=True)
def cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, build_tiny: Callable[[], FrozenSeg]
) -> Path:
    """An empty cache; a builder "tiny", which is also what published files are converted to."""
    monkeypatch.setitem(builders.BUILDERS, "tiny", build_tiny)
    monkeypatch.setitem(convert.BUILDER_OF_EMBEDDING_SIZE, 16, "tiny")
    monkeypatch.setenv("FROZENSEG_LABEL_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "cache"


@pytest.fixture
def checkpoint(tiny_frozenseg: FrozenSeg) -> Path:
    """A checkpoint of ours in the working folder."""
    save_checkpoint(Path("mine.safetensors"), tiny_frozenseg, "tiny", CATEGORIES, origin="a test")
    return Path("mine.safetensors")


@pytest.fixture
def published(tiny_frozenseg: FrozenSeg) -> Path:
    """The tiny model under the names of the published ones, as its authors would have saved it."""
    rows = json.loads((FOLDER / "state_dicts" / "state_dict_convnext_large.json").read_text())
    theirs = {rename_official_key(key): key for key, *_ in rows}
    state = {theirs[key]: value for key, value in tiny_frozenseg.state_dict().items()}
    state["criterion.empty_weight"] = torch.ones(134)
    path = Path("server/tiny.pth")
    path.parent.mkdir()
    torch.save({"model": state, "iteration": 1}, path)
    return path


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves a folder without a word."""

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(published: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The published file is offered on this machine under the name "tiny"."""
    handler = functools.partial(Quiet, directory=str(published.parent))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/tiny.pth"
        monkeypatch.setitem(DOWNLOADS, "tiny", Download("tiny.pth", url=url))
        yield
        server.shutdown()


@pytest.fixture
def listed(capsys: pytest.CaptureFixture[str]) -> Callable[[str], dict[str, object]]:
    """Look a name up in `weights list --json`."""

    def look_up(name: str) -> dict[str, object]:
        capsys.readouterr()
        assert main(["weights", "list", "--json"]) == 0
        said = json.loads(capsys.readouterr().out)
        assert said["schema_version"] == 1
        row: dict[str, object] = next(row for row in said["weights"] if row["name"] == name)
        return row

    return look_up


def test_fetched_weights_are_converted_and_can_be_used(
    server: None,
    tiny_frozenseg: FrozenSeg,
    cache: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    listed: Callable[[str], dict[str, object]],
) -> None:
    assert not listed("tiny")["here"]
    assert main(["weights", "fetch", "tiny"]) == 0
    assert capsys.readouterr().out == f"{cache / 'weights' / 'tiny.safetensors'}\n"
    assert "later fetches have to match it" in caplog.text
    assert listed("tiny")["here"]
    assert main(["weights", "verify", "tiny"]) == 0
    model, info = load_checkpoint(cache / "weights" / "tiny.safetensors", cache / "frozen")
    for key, value in tiny_frozenseg.state_dict().items():
        assert torch.equal(model.state_dict()[key], value), key
    assert len(info.categories) == 133
    assert {"person", "child", "tree"} <= info.seen_names


def test_the_list_tells_what_converted_weights_were_made_from_and_their_size(
    published: Path, cache: Path, listed: Callable[[str], dict[str, object]]
) -> None:
    digest = file_sha256(published)
    assert main(["weights", "convert", str(published), "-o", "theirs.safetensors"]) == 0
    assert main(["weights", "add", "theirs.safetensors", "theirs"]) == 0
    row = listed("theirs")
    assert row["origin"] == f"published FrozenSeg checkpoint, SHA-256 {digest}"
    shared = sum(path.stat().st_size for path in (cache / "frozen").iterdir())
    assert row["bytes"] == Path("theirs.safetensors").stat().st_size + shared


def test_weights_that_are_here_are_not_fetched_again(
    server: None, published: Path, caplog: pytest.LogCaptureFixture
) -> None:
    main(["weights", "fetch", "tiny"])
    published.unlink()
    assert main(["weights", "fetch", "tiny"]) == 0
    assert "is here already" in caplog.text
    caplog.clear()
    assert main(["weights", "fetch", "tiny", "-q"]) == 0
    assert not caplog.messages


def test_a_published_file_that_was_brought_by_hand_is_converted_offline(
    server: None, published: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["weights", "fetch", "--offline", "tiny"]) == 1
    assert str(cache / "downloads" / "tiny.pth") in capsys.readouterr().err
    (cache / "downloads").mkdir(parents=True)
    published.rename(cache / "downloads" / "tiny.pth")
    assert main(["weights", "fetch", "--offline", "tiny"]) == 0
    assert (cache / "weights" / "tiny.safetensors").is_file()


def test_a_quiet_fetch_shows_no_bar(server: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--quiet", "weights", "fetch", "tiny"]) == 0
    assert "%" not in capsys.readouterr().err


def test_conversion_goes_where_it_is_told_to(
    published: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["weights", "convert", str(published), "-o", "out/theirs.safetensors"]) == 0
    assert capsys.readouterr().out == "out/theirs.safetensors\n"
    assert [path.name for path in cache.iterdir()] == ["frozen"]
    assert main(["weights", "verify", "out/theirs.safetensors"]) == 0
    capsys.readouterr()
    assert main(["weights", "add", "out/theirs.safetensors", "theirs"]) == 0
    assert capsys.readouterr().out == f"{cache / 'weights' / 'theirs.safetensors'}\n"
    assert main(["weights", "verify", "theirs"]) == 0


def test_show_says_what_a_checkpoint_holds(
    checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["weights", "show", str(checkpoint)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "builder        tiny" in lines
    assert lines[-2:] == ["seen in training: 1 kinds of things: cat", "1 kinds of stuff: sky"]

    assert main(["weights", "show", str(checkpoint), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["schema_version"] == 1
    assert said["builder"] == "tiny"
    assert said["origin"] == "a test"
    assert said["bytes"] == checkpoint.stat().st_size
    assert said["categories"][0] == {"names": ["cat", "kitten"], "is_thing": True}
    assert len(said["fingerprint"]) == 64


def test_list_names_all_weights_and_where_they_come_from(
    checkpoint: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["weights", "add", str(checkpoint), "mine"])
    (cache / "weights" / "half.safetensors").write_bytes(b"half a file")
    capsys.readouterr()
    assert main(["weights", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = {line.split()[0]: line for line in lines if line}
    assert "no " in rows["convnext-large"]
    assert rows["convnext-large"].endswith("(fetching not tried yet)")
    assert rows["mine"].split()[1:3] == ["yes", f"{checkpoint.stat().st_size / 1e6:.1f}"]
    assert rows["mine"].endswith(" MB   a test")
    assert " damaged " in rows["half"]
    assert "half.safetensors is damaged or cut off" in lines[-1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["show", "rn50x46"], "did you mean 'rn50x64'"),
        (["verify", "convnext-large"], "weights fetch convnext-large"),
        (["fetch", "mine"], "'mine' cannot be fetched; these can: convnext-large"),
        (["add", "nowhere.safetensors", "mine"], "nowhere.safetensors: no such file"),
        (["convert", "nowhere.pth"], "nowhere.pth: no such file"),
        (["show", "server/tiny.pth"], "weights convert server/tiny.pth"),
        (["add", "server/tiny.pth", "mine"], "weights convert server/tiny.pth"),
    ],
)
def test_what_goes_wrong_is_one_sentence(
    published: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["weights", *arguments]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    error = said.err.splitlines()[-1]
    assert error.startswith("Error: ")
    assert message in error


def test_a_missing_file_is_told_before_torch_is_imported() -> None:
    commands = [
        ["annotate", "nowhere", "--classes", "cat", "-o", "out"],
        ["annotate", ".", "--classes", "cat", "--weights", "nowhere", "-o", "out"],
        ["evaluate", "nowhere", "nowhere"],
        ["review", "nowhere", "--search", "cat"],
        ["train", "nowhere", "-o", "out"],
        ["vocab", "check", "nowhere"],
        ["weights", "convert", "nowhere.pth"],
        ["weights", "verify", "nowhere"],
    ]
    program = (
        "import sys\nfrom frozenseg_label.cli import main\n"
        f"for arguments in {commands!r}:\n    assert main(arguments) == 1\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"
    lines = done.stderr.splitlines()
    assert len(lines) == len(commands)
    assert all("nowhere" in line for line in lines)
