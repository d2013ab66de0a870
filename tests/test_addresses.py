"""Pictures at addresses: on fsspec's memory, and on a web server that lists a folder."""

import functools
import http.server
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import fsspec
import numpy as np
import pytest
from PIL import Image

from frozenseg_label.addresses import Address, place_of, refuse_address
from frozenseg_label.decoding import decode_image, read_image_file
from frozenseg_label.errors import ImageError, RunError
from frozenseg_label.images import ImageRecord, find_images
from frozenseg_label.runs.plan import root_of


def picture(folder: Path, name: str, size: tuple[int, int] = (6, 4)) -> bytes:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, "red").save(path)
    return path.read_bytes()


@pytest.fixture
def bucket(tmp_path: Path) -> Iterator[fsspec.AbstractFileSystem]:
    """Memory with a folder of pictures in it."""
    memory = fsspec.filesystem("memory")
    for name in ("a.png", "below/b c.PNG", ".hidden/c.png", "labels/panoptic/a.png", "notes.txt"):
        memory.pipe(f"/bucket/photos/{name}", picture(tmp_path, "a.png"))
    memory.pipe("/bucket/photos/labels/run.json", b"{}")
    yield memory
    memory.rm("/bucket", recursive=True)


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    """A server whose pages list a folder, as many web servers do."""
    for name in ("photos/a.png", "photos/below it/b#1 c.png"):
        picture(tmp_path, name)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Say nothing."""

    handler = functools.partial(Quiet, directory=f"{tmp_path}")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def names(records: list[ImageRecord]) -> list[str]:
    return [record.relative for record in records]


def test_pictures_below_an_address_have_the_names_that_files_would_have(
    bucket: fsspec.AbstractFileSystem,
) -> None:
    for url in ("memory://bucket/photos", "memory://bucket/photos/"):
        records = find_images([Address(url)])
        assert names(records) == ["a.png", "below/b c.PNG"]
        assert root_of(records) == "memory://bucket/photos"
    assert all(record.size and record.etag and not record.mtime_ns for record in records)
    assert np.all(decode_image(records[1]) == (255, 0, 0))


def test_a_changed_picture_has_another_mark(bucket: fsspec.AbstractFileSystem) -> None:
    (before,) = find_images([Address("memory://bucket/photos/a.png")])
    bucket.pipe("/bucket/photos/a.png", bucket.cat("/bucket/photos/a.png"))
    (after,) = find_images([Address("memory://bucket/photos/a.png")])
    assert before.size == after.size
    assert before.etag != after.etag


def test_several_addresses_have_their_common_folder_as_root(
    bucket: fsspec.AbstractFileSystem,
) -> None:
    both = [Address("memory://bucket/photos/below"), Address("memory://bucket/photos/a.png")]
    assert names(find_images(both)) == ["a.png", "below/b c.PNG"]
    with pytest.raises(ImageError, match="have no common folder; label them one by one"):
        find_images([both[1], Address("memory://other/a.png")], missing_ok=True)
    with pytest.raises(ImageError, match="have no common folder; label them apart"):
        find_images([both[1], Path("/photos")])


def test_the_list_of_a_web_server_is_a_folder(web: str, tmp_path: Path) -> None:
    records = find_images([Address(f"{web}/photos/")])
    assert names(records) == ["a.png", "below it/b#1 c.png"]
    assert root_of(records) == f"{web}/photos"
    assert records[1].size == (tmp_path / "photos/below it/b#1 c.png").stat().st_size
    assert records[1].etag
    assert np.all(decode_image(records[1]) == (255, 0, 0))
    (single,) = find_images([Address(f"{web}/photos/a.png")])
    assert single == records[0]


def test_what_is_missing_is_one_sentence_or_one_image_that_fails(
    bucket: fsspec.AbstractFileSystem,
) -> None:
    for gone in ("memory://bucket/none", "memory://bucket/none.png"):
        with pytest.raises(ImageError, match=f"{gone}: there is no such file, folder or bucket"):
            find_images([Address(gone)])
    (absent,) = find_images([Address("memory://bucket/photos/none.png")], missing_ok=True)
    with pytest.raises(ImageError, match=r"none\.png: there is no such file"):
        read_image_file(absent)
    bucket.pipe("/bucket/texts/a.txt", b"")
    with pytest.raises(ImageError, match="0 images found"):
        find_images([Address("memory://bucket/texts")])


def test_what_is_no_picture_or_too_large_is_refused(
    bucket: fsspec.AbstractFileSystem, tmp_path: Path
) -> None:
    bucket.pipe("/bucket/broken.png", b"no picture")
    bucket.pipe("/bucket/film.png", b"\0" * 1000)
    broken, film, large = find_images(
        [Address(f"memory://bucket/{name}") for name in ("broken.png", "film.png", "photos/a.png")]
    )
    with pytest.raises(ImageError, match=r"broken\.png: cannot be read as an image"):
        decode_image(broken)
    with pytest.raises(ImageError, match="1000 bytes are more than pictures of 100 pixels have"):
        decode_image(film, max_pixels=100)
    with pytest.raises(ImageError, match="6 x 4 pixels are more than the 20 allowed"):
        decode_image(large, max_pixels=20)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (
            "nonsense://bucket/photos",
            r"cannot be read \(Protocol not known.* give an address of s3",
        ),
        ("gs://bucket/photos", r"a package to read it is missing.*frozenseg-label\[remote\]"),
        ("http://127.0.0.1:1/photos", "cannot be read .*check address and network"),
    ],
)
def test_errors_of_file_systems_say_what_to_do(
    url: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(ImageError, match=f"{url}: {said}"):
        find_images([Address(url)])


def test_texts_are_paths_or_addresses_and_run_folders_only_paths() -> None:
    assert place_of("photos/a:b") == Path("photos/a:b")
    assert place_of("file:///photos/a%20b") == Path("/photos/a b")
    assert place_of("s3://bucket/photos/") == Address("s3://bucket/photos")
    with pytest.raises(RunError, match="s3://bucket/out: is an address, and a run folder lies on"):
        refuse_address("s3://bucket/out", RunError)


def test_who_labels_files_imports_no_fsspec(tmp_path: Path) -> None:
    picture(tmp_path, "a.png")
    program = (
        "import sys; from pathlib import Path; from frozenseg_label.images import find_images; "
        "find_images([Path(sys.argv[1])]); sys.exit('fsspec' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program, tmp_path], check=True)
