"""Pictures that lie at addresses, such as `s3://bucket/photos`: listed and read by fsspec.

fsspec comes with torch. What it needs for s3, http and https comes with `frozenseg-label[remote]`;
for Google's storage gcsfs is to be installed. Keys and other settings are those of these programs:
AWS_ACCESS_KEY_ID, `~/.aws`, FSSPEC_S3_ANON=true, ...
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from frozenseg_label.errors import FrozenSegLabelError, ImageError

ASKING = 16  # requests at once for what a list of files does not say
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")

# What tells one state of a file from the next, the surest first; file systems have other names.
_MARKS = (
    *("ETag", "etag", "md5Hash", "Content-MD5"),
    *("mtime", "LastModified", "Last-Modified", "created"),
)


@dataclass(frozen=True)
class Address:
    """A file or folder that is on no disk of this machine; in part it behaves like a Path.

    Attributes:
        url: with its protocol; without `/` at the end.
    """

    url: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "url", self.url.rstrip("/"))

    def __str__(self) -> str:
        """Return the address."""
        return self.url

    def __truediv__(self, name: str) -> "Address":
        """Return the address of a file below this one."""
        return Address(f"{self.url}/{self._written(name)}")

    @property
    def parent(self) -> "Address":
        """Return the folder; an address without one is its own parent."""
        head, _, _ = self.url.rpartition("/")
        return self if head.endswith(("/", ":")) else Address(head)

    @property
    def suffix(self) -> str:
        """Return the end of the name with its dot, as of a Path."""
        return Path(self.url).suffix

    def above(self, name: str) -> "Address":
        """Return the folder below which this file has a name."""
        return Address(self.url.removesuffix(self._written(name)))

    def name_of(self, file: str) -> str:
        """Return the name, with `/`, of a file below this address, as fsspec calls it."""
        *_, here = self.url.partition("://")
        *_, there = file.rpartition("://")
        name = there.lstrip("/").removeprefix(here).lstrip("/")
        return unquote(name) if self._is_web() else name

    def read_bytes(self) -> bytes:
        """Return the content of the file; ImageError where it cannot be had."""
        with _refusing(self):
            system, path = _open(self)
            content: bytes = system.cat_file(path)
            return content

    def _is_web(self) -> bool:
        return self.url.startswith(("http://", "https://"))

    def _written(self, name: str) -> str:
        return quote(name) if self._is_web() else name


@dataclass(frozen=True)
class FileThere:
    """A file at an address.

    Attributes:
        address: of it.
        size: bytes; 0 where nobody says.
        etag: changes with the content; None where nobody says.
    """

    address: Address
    size: int
    etag: str | None


def is_address(source: str) -> bool:
    """Return whether a text is an address, and no path on this machine."""
    return _ADDRESS.match(source) is not None


def place_of(source: str | Path) -> Path | Address:
    """Return a path on this machine, or the address that a text is."""
    if isinstance(source, Path) or not is_address(source):
        return Path(source)
    if source.startswith("file://"):
        return Path(unquote(source.removeprefix("file://")))
    return Address(source)


def common_address(folders: Sequence[Address]) -> Address:
    """Return the lowest folder that has all of these below it; ImageError where there is none."""
    parts = [folder.url.split("/") for folder in folders]
    levels = zip(*parts, strict=False)
    common = [names[0] for names in takewhile(lambda names: len(set(names)) == 1, levels)]
    if len(common) < 3:  # "s3:", "", "bucket"
        raise ImageError(
            f"{folders[0]} and {folders[-1]} have no common folder; label them one by one"
        )
    return Address("/".join(common))


def refuse_address(folder: str | Path, error: type[FrozenSegLabelError]) -> None:
    """Raise an error where what should be a folder on this machine is an address."""
    if isinstance(folder, str) and isinstance(place_of(folder), Address):
        raise error(
            f"{folder}: is an address, and a run folder lies on a file system; name a folder, and "
            "copy it there afterwards"
        )


def files_at(addresses: Sequence[Address], missing_ok: bool) -> list[FileThere]:
    """Return files; ImageError where one is missing or nobody may ask.

    Args:
        missing_ok: such a file is returned, and fails when it is read.
    """

    def ask(address: Address) -> FileThere:
        try:
            with _refusing(address):
                system, path = _open(address)
                system.invalidate_cache(path)
                return _file(address, system.info(path))
        except ImageError:
            if not missing_ok:
                raise
            return FileThere(address, 0, None)

    with ThreadPoolExecutor(ASKING) as pool:
        return list(pool.map(ask, addresses))


def files_below(
    folder: Address,
    is_wanted: Callable[[str], bool],
    is_left_out: Callable[[Mapping[str, Any], Mapping[str, Any]], bool],
) -> Iterator[FileThere]:
    """Yield the visible files below an address, folder by folder.

    ImageError where there is no such folder, or it cannot be listed.

    Args:
        folder: where to look.
        is_wanted: whether a file of this name is.
        is_left_out: whether a folder with these folders and these files is, with all below it.
    """
    with _refusing(folder), ThreadPoolExecutor(ASKING) as pool:
        system, root = _open(folder)
        root = root.rstrip("/") + ("/" if folder._is_web() else "")
        system.invalidate_cache()
        for here, folders, files in system.walk(root, detail=True, on_error="raise"):
            if is_left_out(folders, files):
                folders.clear()
                continue
            for name in [name for name in folders if name.startswith(".")]:
                del folders[name]
            wanted = [info for name, info in files.items() if name and name[0] != "."]
            wanted = [info for info in wanted if is_wanted(info["name"])]
            if any(info.get("size") is None for info in wanted):  # the web's lists are only names
                wanted = list(pool.map(lambda info: _asked(system, info), wanted))
            for info in wanted:
                yield _file(folder / folder.name_of(info["name"]), info)
            system.invalidate_cache(here)  # a list of a million files is not kept


def _asked(system: Any, info: Mapping[str, Any]) -> Mapping[str, Any]:  # noqa: ANN401 - fsspec's
    """Return what a server says of a file; a file that it does not give fails when it is read."""
    try:
        asked: Mapping[str, Any] = system.info(info["name"])
    except OSError:
        return info
    return {**asked, "name": info["name"]}


def _file(address: Address, info: Mapping[str, Any]) -> FileThere:
    mark = next((info[key] for key in _MARKS if info.get(key) is not None), None)
    etag = None if mark is None else f"{mark}".strip('"')
    return FileThere(address, int(info.get("size") or 0), etag)


def _open(address: Address) -> tuple[Any, str]:
    """Return fsspec's file system and the path there; fsspec keeps one system of each kind."""
    from fsspec.core import url_to_fs

    system, path = url_to_fs(address.url)
    return system, f"{path}"


@contextmanager
def _refusing(address: Address) -> Iterator[None]:
    """Turn every error of a file system into an ImageError that says what to do."""
    try:
        yield
    except FrozenSegLabelError:
        raise
    except ImportError as error:
        raise ImageError(
            f"{address}: a package to read it is missing ({error}); those for s3, http and https "
            "come with pip install 'frozenseg-label[remote]'"
        ) from None
    except Exception as error:
        raise ImageError(f"{address}: {_in_words(error)}") from error


def _in_words(error: Exception) -> str:
    """Return what went wrong and what to do about it."""
    said = " ".join(f"{error}".split()) or type(error).__name__
    kind = type(error).__name__.lower()
    if isinstance(error, FileNotFoundError):
        return "there is no such file, folder or bucket; check the address"
    if isinstance(error, PermissionError) or "credentials" in kind:
        return (
            f"access is refused ({said}); set the keys of this service (for S3 AWS_ACCESS_KEY_ID "
            "and AWS_SECRET_ACCESS_KEY), or FSSPEC_S3_ANON=true for a public bucket"
        )
    if isinstance(error, ValueError) and "rotocol not known" in said:
        return f"cannot be read ({said}); give an address of s3, gs, http or https"
    if isinstance(error, TimeoutError) or "timeout" in kind:
        return "no answer in time; check the network and give the same command again"
    return f"cannot be read ({said}); check address and network, and give the same command again"
