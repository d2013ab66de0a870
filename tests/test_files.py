"""Files that appear whole or not at all."""

import errno
import os
import stat
from pathlib import Path

import pytest

from frozenseg_label.errors import RunError, TrainingError
from frozenseg_label.files import (
    ABANDONED,
    atomic_folder,
    atomic_path,
    atomic_stream,
    atomic_write,
    publish,
    remove_leftovers,
    stage,
)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_with_its_folders(tmp_path: Path) -> None:
    atomic_write(tmp_path / "a" / "b" / "c.bin", b"whole")
    assert (tmp_path / "a" / "b" / "c.bin").read_bytes() == b"whole"
    assert names(tmp_path / "a" / "b") == ["c.bin"]


def test_a_file_is_replaced_only_once_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with atomic_stream(path) as file:
        file.write(b"ne")
        file.flush()
        assert path.read_bytes() == b"old"
        file.write(b"w")
    assert path.read_bytes() == b"new"


def test_a_block_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def write_and_fail() -> None:
        with atomic_stream(path) as file:
            file.write(b"new")
            raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        write_and_fail()
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


def test_a_staged_file_is_not_there_until_it_is_published(tmp_path: Path) -> None:
    path = tmp_path / "file"
    staged = stage(path, "key", b"data")
    assert not path.exists()
    publish(staged, path)
    assert names(tmp_path) == ["file"]


def test_what_cannot_be_published_later_is_refused_when_staged(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for name in ("folder", "x" * 300):
        with pytest.raises(RunError, match="cannot be written"):
            stage(tmp_path / name, "key", b"data")
    assert names(tmp_path) == ["folder"]


def test_a_file_in_the_way_of_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"")
    with pytest.raises(RunError, match="cannot be written") as caught:
        atomic_write(tmp_path / "a" / "b", b"data")
    assert f"{tmp_path / 'a' / 'b'}" in str(caught.value)
    assert isinstance(caught.value.__cause__, OSError)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_told_with_file_and_remedy(tmp_path: Path) -> None:
    # The stream's own file is on a disk with room; what is written through it meets a full one.
    path = tmp_path / "file"

    def write() -> None:
        with atomic_stream(path), open("/dev/full", "wb", buffering=0) as full:  # noqa: PTH123
            os.write(full.fileno(), b"x")

    with pytest.raises(RunError, match="no space left on device; make room") as caught:
        write()
    assert str(path) in str(caught.value)
    assert names(tmp_path) == []


def test_a_library_that_wants_a_path_gets_one(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "file") as temporary:
        temporary.write_bytes(b"whole")
        temporary.chmod(0o600)  # as safetensors leaves it
        assert names(tmp_path) == [temporary.name]
    assert (tmp_path / "file").read_bytes() == b"whole"
    (tmp_path / "usual").touch()
    assert (tmp_path / "file").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_a_folder_appears_with_all_its_files_or_not_at_all(tmp_path: Path) -> None:
    def write(*contents: bytes) -> None:
        with atomic_folder(tmp_path / "state") as folder:
            for number, content in enumerate(contents):
                (folder / f"{number}").write_bytes(content)
            assert "state" not in names(tmp_path)
            if len(contents) < 2:
                raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        write(b"a")
    assert names(tmp_path) == []
    write(b"a", b"b")
    assert names(tmp_path) == ["state"]
    assert names(tmp_path / "state") == ["0", "1"]


def test_the_caller_names_the_kind_of_error(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"")
    for write in (atomic_path, atomic_folder, atomic_stream):
        with (
            pytest.raises(TrainingError, match="a/b: cannot be written"),
            write(tmp_path / "a" / "b", error=TrainingError),
        ):
            pass


def test_a_share_that_cannot_sync_folders_is_written_to_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.fsync

    def refuse_folders(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", refuse_folders)
    atomic_write(tmp_path / "a" / "b", b"data")
    assert (tmp_path / "a" / "b").read_bytes() == b"data"


def test_what_kills_left_is_removed_but_not_what_is_being_written(tmp_path: Path) -> None:
    old, young, other = (tmp_path / f".frozenseg-{name}.tmp" for name in ("a", "b", "c"))
    old.write_bytes(b"half")
    young.mkdir()
    (young / "inside").write_bytes(b"half")
    for path in (old, young):
        os.utime(path, (1, 1))
    other.write_bytes(b"half")
    (tmp_path / "photo.tmp").write_bytes(b"somebody's own")
    remove_leftovers(tmp_path, unchanged_for=ABANDONED)
    assert names(tmp_path) == [young.name, other.name, "photo.tmp"]
    remove_leftovers(tmp_path)
    assert names(tmp_path) == ["photo.tmp"]
