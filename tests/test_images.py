"""Finding images: real small files, written by Pillow."""

import contextlib
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from frozenseg_label.decoding import decode_image
from frozenseg_label.errors import ImageError
from frozenseg_label.image_formats import image_suffixes
from frozenseg_label.images import ImageRecord, find_images
from tests.pictures import record, save


def names(*sources: Path) -> list[str]:
    return [found.relative for found in find_images(sources)]


def test_no_film_document_or_container_counts_as_an_image() -> None:
    assert {".jpg", ".png", ".mpo", ".avif"} <= image_suffixes()
    assert not {".pdf", ".mpg", ".eps", ".hdf", ".wmf", ".flc"} & image_suffixes()


def test_folders_are_searched_to_the_bottom_in_sorted_order(tmp_path: Path) -> None:
    for name in ("b.png", "a/2.JPG", "a/10.png", "c/d/e.gif"):
        save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no image")
    assert names(tmp_path) == ["a/10.png", "a/2.JPG", "b.png", "c/d/e.gif"]


def test_a_record_tells_size_and_time(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png")
    status = path.stat()
    assert record(tmp_path) == ImageRecord(path, "a.png", status.st_size, status.st_mtime_ns)


def test_hidden_files_and_folders_are_passed_over(tmp_path: Path) -> None:
    for name in ("seen.png", "._seen.png", ".thumbnails/small.png"):
        save(tmp_path / name)
    assert names(tmp_path) == ["seen.png"]


def test_labels_of_an_earlier_run_are_no_images(tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    save(tmp_path / "out" / "panoptic" / "a.png.png")
    assert len(names(tmp_path)) == 2  # any folder may be called panoptic
    (tmp_path / "out" / "run.json").write_text("{}")
    assert names(tmp_path) == ["a.png"]
    with pytest.raises(ImageError, match=r"out: was written by this program"):
        find_images([tmp_path / "out"])


def test_a_file_named_itself_is_taken_whatever_its_suffix(tmp_path: Path) -> None:
    path = tmp_path / "upload"
    save(tmp_path / "a.png").rename(path)
    assert names(path) == ["upload"]
    assert decode_image(record(path)).shape == (16, 32, 3)


def test_several_sources_meet_at_their_common_parent(tmp_path: Path) -> None:
    cat, dog = save(tmp_path / "x" / "cat" / "1.png"), save(tmp_path / "x" / "dog" / "1.png")
    assert names(cat.parent, dog.parent) == ["cat/1.png", "dog/1.png"]
    assert names(cat, dog.parent) == ["cat/1.png", "dog/1.png"]


def test_an_image_in_two_sources_comes_once(tmp_path: Path) -> None:
    path = save(tmp_path / "a" / "1.png")
    assert names(tmp_path, tmp_path / "a", path, path) == ["a/1.png"]


def test_relative_and_dotted_paths_give_the_same_identity(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path / "a" / "1.png")
    monkeypatch.chdir(tmp_path)
    assert names(Path("a")) == names(Path("a/../a")) == ["1.png"]
    assert names(Path("a"), Path("a/../a")) == ["1.png"]


def test_linked_folders_are_followed_without_going_in_circles(tmp_path: Path) -> None:
    save(tmp_path / "in" / "1.png")
    save(tmp_path / "elsewhere" / "2.png")
    (tmp_path / "in" / "circle").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "self").symlink_to(tmp_path / "in" / "self")
    (tmp_path / "in" / "other").symlink_to(tmp_path / "elsewhere")
    assert names(tmp_path / "in") == ["1.png", "other/2.png"]


def test_a_broken_link_is_found_and_then_fails_to_decode(tmp_path: Path) -> None:
    (tmp_path / "lost.png").symlink_to(tmp_path / "nowhere.png")
    assert names(tmp_path) == ["lost.png"]
    with pytest.raises(ImageError, match=r"lost\.png: cannot be read"):
        decode_image(record(tmp_path))


def test_no_images_and_no_such_folder_are_errors(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="0 images found"):
        find_images([tmp_path])
    with pytest.raises(ImageError, match="0 images found"):
        find_images([])
    with pytest.raises(ImageError, match="there is no such file or folder"):
        find_images([tmp_path / "nowhere"])


LOCKED_OUT = """
import sys
from pathlib import Path
from frozenseg_label.errors import ImageError
from frozenseg_label.decoding import decode_image
from frozenseg_label.images import find_images
for found in find_images([Path(sys.argv[1])]):
    try:
        print(found.relative, decode_image(found).shape)
    except ImageError as error:
        print(found.relative, error)
try:
    find_images([Path(sys.argv[1], "locked", "1.png")])
except ImageError as error:
    print(error)
"""


def without_root() -> list[str]:
    """What makes a program one that locked folders stop, even where root runs the tests."""
    return ["unshare", "--user"] if os.geteuid() == 0 else []


def may_be_locked_out() -> bool:
    try:
        subprocess.run([*without_root(), "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


@pytest.mark.skipif(not may_be_locked_out(), reason="root may list every folder (unshare --user)")
def test_a_locked_folder_is_one_image_that_fails(tmp_path: Path) -> None:
    save(tmp_path / "in" / "seen.png")
    save(tmp_path / "in" / "locked" / "1.png")
    (tmp_path / "in" / "behind").symlink_to(tmp_path / "in" / "locked" / "below")
    (tmp_path / "in" / "lost.png").symlink_to(tmp_path / "in" / "locked" / "1.png")
    (tmp_path / "in" / "locked").chmod(0)
    try:
        command = [*without_root(), sys.executable, "-c", LOCKED_OUT, str(tmp_path / "in")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    finally:
        (tmp_path / "in" / "locked").chmod(0o700)
    assert done.returncode == 0, done.stderr
    locked, lost, seen, named = done.stdout.splitlines()
    assert locked.startswith("locked ")
    assert "a folder that cannot be listed; make it readable" in locked
    assert lost.startswith("lost.png ")
    assert "permission denied" in lost.lower()
    assert seen == "seen.png (16, 32, 3)"
    assert "there is no such file or folder" in named


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes with a name")
def test_what_is_no_file_fails_at_once_and_is_never_opened(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    os.mkfifo(folder / "pipe.png")
    os.mkfifo(tmp_path / "far")
    (folder / "linked-pipe.png").symlink_to(tmp_path / "far")
    (folder / "device.png").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as listener, contextlib.chdir(folder):
        listener.bind("socket.png")  # relative: such a name has 107 bytes at most
        found = find_images([folder])
        assert [image.path.stem for image in found] == ["device", "linked-pipe", "pipe", "socket"]
        for image in found:
            with pytest.raises(ImageError, match=f"{image.path.name}: no regular file"):
                decode_image(image)


def test_pictures_of_other_programs_are_counted_with_the_way_to_convert_them(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    save(tmp_path / "a.png")
    for name in ("a.czi", "b.CZI", "c.heic"):
        (tmp_path / name).write_bytes(b"pixels")
    assert names(tmp_path) == ["a.png"]
    told = sorted(message.partition(": ")[2] for message in caplog.messages)
    assert told == [
        "1 .heic files are left out, they cannot be read here; convert them to JPEG or PNG",
        "2 .czi files are left out, they cannot be read here; convert them to PNG, by "
        "`bfconvert IN OUT.png` (Bio-Formats)",
    ]
