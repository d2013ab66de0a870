"""Published weights: their addresses, their download, and the check that they are the right files.

A fetched file is compared with the SHA-256 that is known: the published one, the digits in the
file's name, or the one that was written down beside the files at the first fetch. No torch.
"""

import hashlib
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from frozenseg_label.checkpoints.header import is_pickled
from frozenseg_label.documents import read_json
from frozenseg_label.errors import CheckpointError
from frozenseg_label.files import (
    ABANDONED,
    PREFIX,
    TEMPORARY_SUFFIX,
    atomic_write,
    remove_leftovers,
)

if TYPE_CHECKING:
    import requests

BOOK = "sha256.json"  # file name -> SHA-256, written down at the first fetch
TIMEOUT = 60  # seconds without a byte


@dataclass(frozen=True)
class Download:
    """A published file.

    Attributes:
        file_name: under which it is kept in the cache.
        url: of the file; empty where only `drive_id` is known.
        drive_id: Google Drive's id of the file.
        sha256: of the whole file, or its first digits; empty where nobody has published it.
    """

    file_name: str
    url: str = ""
    drive_id: str = ""
    sha256: str = ""

    @property
    def address(self) -> str:
        """Return the address for a browser."""
        return self.url or f"https://drive.google.com/file/d/{self.drive_id}/view"

    @property
    def place(self) -> str:
        """Say where the file comes from, for people."""
        # Nobody has tried the Drive path: where this was written, Drive could not be reached.
        return f"{self.address} (fetching not tried yet)" if self.drive_id else self.url


# Name of our weights -> what they are converted from: the model table of FrozenSeg's authors.
DOWNLOADS = {
    "convnext-large": Download(
        "frozenseg_convnext_large.pth", drive_id="1ThjVgY7nawm1AAP1LhrmGVlI3zr1EYMG"
    ),
    "rn50x64": Download("frozenseg_rn50x64.pth", drive_id="1wiPKPczTXrH1cPrDbf-l9NGdOkMUUikw"),
}
REMEDY = "give the .pth that the FrozenSeg authors offer for ConvNeXt-L or RN50x64, unchanged"


def fetch(
    name: str, folder: Path, *, offline: bool = False, progress: bool = False
) -> tuple[Path, str]:
    """Download a published file unless it is here, check it, and return its path and SHA-256.

    Args:
        name: a key of DOWNLOADS.
        folder: where published files are kept.
        offline: never touch the network; CheckpointError where the file is missing.
        progress: show a progress bar on stderr.
    """
    if name not in DOWNLOADS:
        raise CheckpointError(f"{name!r} cannot be fetched; these can: {', '.join(DOWNLOADS)}")
    download = DOWNLOADS[name]
    target = folder / download.file_name
    if target.is_file():
        return target, check_download(target, download)
    if offline:
        raise CheckpointError(
            f"{target} is not there and --offline forbids to fetch it; copy {target.name} to that "
            f"folder, or run `frozenseg-label weights fetch {name}` where there is a network"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        remove_leftovers(folder, unchanged_for=ABANDONED)
        # gdown leaves files behind when it is stopped: they are in a folder that goes away.
        with tempfile.TemporaryDirectory(TEMPORARY_SUFFIX, PREFIX, folder) as temporary:
            arrived = Path(temporary) / target.name
            _bring(name, download, arrived, target, progress)
            digest = check_download(arrived, download, book=folder / BOOK)
            arrived.replace(target)
    except OSError as error:
        raise CheckpointError(
            f"{target} cannot be written ({error}); make room there, or choose another place with "
            f"FROZENSEG_LABEL_CACHE, and fetch it again"
        ) from error
    return target, digest


def check_download(path: Path, download: Download, book: Path | None = None) -> str:
    """Return a file's SHA-256, compared with the known ones; write it down at the first fetch.

    Args:
        book: where hashes of first fetches are written down; by default beside the file.
    """
    if not is_pickled(path):
        raise CheckpointError(
            f"{path} is no PyTorch file, perhaps the web page of a server that refused it; delete "
            f"the file if it is still there, and fetch it again later, or get it by hand from "
            f"{download.address}"
        )
    book = book or path.with_name(BOOK)
    recorded = _read_book(book)
    found = file_sha256(path)
    for expected, whose in (
        (download.sha256, "was published"),
        (recorded.get(path.name, ""), f"was written down in {book} at the first fetch"),
    ):
        if not found.startswith(expected):
            raise CheckpointError(
                f"{path} has SHA-256 {found}, but {expected} {whose}; delete the file if it is "
                f"still there, and fetch it again"
            )
    if path.name not in recorded:
        content = json.dumps(recorded | {path.name: found}, indent=1)
        atomic_write(book, content.encode(), error=CheckpointError)
    return found


def refuse_other_files(path: Path) -> None:
    """Raise CheckpointError unless a file looks like a published checkpoint."""
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file; {REMEDY}")
    if not is_pickled(path):
        raise CheckpointError(f"{path} is no PyTorch checkpoint; {REMEDY}")


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _bring(name: str, download: Download, arrived: Path, target: Path, progress: bool) -> None:
    """Download a file to `arrived`; CheckpointError says how to get it by hand."""
    import gdown
    import pooch
    import requests
    from gdown.exceptions import DownloadError

    try:
        if download.drive_id:
            gdown.download(
                id=download.drive_id,
                output=str(arrived),
                quiet=not progress,
                use_cookies=False,
                timeout=TIMEOUT,
            )
        else:
            # The caller checks the hash: pooch cannot check its first digits only.
            hooks = {"response": _close_refusal}
            bring = pooch.HTTPDownloader(progress, chunk_size=1 << 20, timeout=TIMEOUT, hooks=hooks)
            bring(download.url, str(arrived), None)
    except (requests.RequestException, DownloadError) as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(
            f"{target.name} could not be fetched ({reason}); check the network and run "
            f"`frozenseg-label weights fetch {name}` again, or get it by hand from "
            f"{download.address} and put it to {target}"
        ) from error


def _close_refusal(response: "requests.Response", *_: object, **__: object) -> None:
    """Close the connection of an error page, which pooch leaves unread."""
    if not response.ok:
        response.close()


def _read_book(book: Path) -> dict[str, str]:
    """Return the hashes of first fetches, by file name."""
    if not book.exists():
        return {}
    try:
        return TypeAdapter(dict[str, str]).validate_python(read_json(book, CheckpointError))
    except (CheckpointError, ValidationError) as error:
        raise CheckpointError(
            f"{book}, the list of SHA-256 from first fetches, cannot be read; delete it"
        ) from error
