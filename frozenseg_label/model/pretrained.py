"""From a name to a file of weights: what is embedded, what lies in the cache, where the rest comes from.

Nothing is fetched unless `fetch` is called. What was fetched is checked against its SHA-256: the known one, the
prefix in the file's name, or the one that was written down at the first fetch.
"""

import difflib
import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from frozenseg_label.errors import CheckpointError
from frozenseg_label.model.checkpoint_info import read_checkpoint_info

EMBEDDED = Path(__file__).parents[1] / "weights" / "nano.safetensors"
HASHES = "sha256.json"


@dataclass(frozen=True)
class Download:
    """Where a published file lies.

    Attributes:
        file_name: under which it is kept in the cache.
        url: of the file; empty where only `drive_id` is known.
        drive_id: Google Drive's id of the file.
        sha256: of the whole file, or a prefix of it; empty where nobody has published it.
        builder: our model that it is converted to; empty for parts.
    """

    file_name: str
    url: str = ""
    drive_id: str = ""
    sha256: str = ""
    builder: str = ""


# The Drive ids are those of the FrozenSeg authors' model table; fetching them was not tried here (no network).
# SAM: segment-anything's model table; its file names end in the first digits of the SHA-256.
DOWNLOADS = {
    "convnext-large": Download(
        "frozenseg_convnext_large.pth",
        drive_id="1ThjVgY7nawm1AAP1LhrmGVlI3zr1EYMG",
        builder="convnext-large",
    ),
    "rn50x64": Download(
        "frozenseg_rn50x64.pth", drive_id="1wiPKPczTXrH1cPrDbf-l9NGdOkMUUikw", builder="rn50x64"
    ),
    "sam-vit-b": Download(
        "sam_vit_b_01ec64.pth",
        url="https://dl.fbaipublicfiles.com/segment_anything/sam_vit_b_01ec64.pth",
        sha256="01ec64",
    ),
}


def cache_folder() -> Path:
    """Return where weights and text embeddings are kept: FROZENSEG_LABEL_CACHE, else the system's place for caches."""
    if chosen := os.environ.get("FROZENSEG_LABEL_CACHE"):
        return Path(chosen).expanduser()
    import pooch

    return Path(pooch.os_cache("frozenseg-label"))


def frozen_folder() -> Path:
    """Return where frozen encoders lie that several checkpoints share."""
    return cache_folder() / "frozen"


def find_weights(name_or_path: str | Path) -> Path:
    """Return the file of a name (`nano`, fetched or added ones) or of a path."""
    path = Path(name_or_path)
    name = str(name_or_path)
    if name == "nano":
        return EMBEDDED
    if path.is_file():
        return path
    if (cached := named_file(name)).is_file():
        return cached
    if name in DOWNLOADS:
        raise CheckpointError(
            f"the weights {name!r} are not on this machine; run `frozenseg-label weights fetch {name}`, or, where there "
            f"is no network, copy {DOWNLOADS[name].file_name} here and run `frozenseg-label weights convert` on it"
        )
    known = sorted({"nano", *DOWNLOADS, *added_names()})
    near = difflib.get_close_matches(name, known, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"known names are {', '.join(known)}"
    raise CheckpointError(f"{name}: no such file, and no weights of that name; {hint}")


def added_names() -> list[str]:
    """Name all checkpoints in the cache."""
    return sorted(path.stem for path in (cache_folder() / "weights").glob("*.safetensors"))


def named_file(name: str) -> Path:
    """Return where the checkpoint of a name lies in the cache, whether or not it is there."""
    return cache_folder() / "weights" / f"{name}.safetensors"


def download_file(name: str) -> Path:
    """Return where the published file of a name lies in the cache, whether or not it is there."""
    return cache_folder() / "downloads" / DOWNLOADS[name].file_name


def add(path: Path, name: str) -> Path:
    """Copy one of our checkpoints into the cache under a name of its own."""
    if name == "nano" or name in DOWNLOADS:
        raise CheckpointError(f"the name {name!r} belongs to published weights; choose another")
    read_checkpoint_info(path)
    target = named_file(name)
    if target.exists():
        raise CheckpointError(f"{target} exists already; choose another name, or delete it first")
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_suffix(".tmp")
    shutil.copyfile(path, temporary)
    temporary.replace(target)
    return target


def fetch(name: str, *, offline: bool = False, progress: bool = False) -> tuple[Path, str]:
    """Download a published file unless it is here, check it, and return its path and SHA-256.

    Args:
        name: a key of DOWNLOADS.
        offline: never touch the network; CheckpointError where the file is missing.
        progress: show a progress bar on stderr.
    """
    if name not in DOWNLOADS:
        raise CheckpointError(f"{name!r} cannot be fetched; these can: {', '.join(DOWNLOADS)}")
    download = DOWNLOADS[name]
    target = download_file(name)
    if target.is_file():
        return target, check_download(target, target.name, download)
    if offline:
        raise CheckpointError(
            f"{target} is not there and --offline forbids to fetch it; copy {download.file_name} to that folder, or run "
            f"`frozenseg-label weights fetch {name}` where there is a network"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_suffix(".part")
    try:
        _download(name, download, temporary, progress)
        digest = check_download(temporary, target.name, download)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    return target, digest


def check_download(path: Path, file_name: str, download: Download) -> str:
    """Return a file's SHA-256 after comparing it with what is known; write it down where nothing was."""
    found = file_sha256(path)
    book = path.with_name(HASHES)
    recorded: dict[str, str] = json.loads(book.read_text()) if book.exists() else {}
    expected = recorded.get(file_name, download.sha256)
    if not found.startswith(expected):
        raise CheckpointError(
            f"{path} has SHA-256 {found}, but {expected} is expected; delete the file and fetch it again"
        )
    if file_name not in recorded:
        temporary = book.with_suffix(".tmp")
        temporary.write_text(json.dumps(recorded | {file_name: found}, indent=1))
        temporary.replace(book)
    return found


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _download(name: str, download: Download, target: Path, progress: bool) -> None:
    """Bring a file to `target`."""
    import gdown
    import pooch
    import requests
    from gdown.exceptions import DownloadError

    try:
        if download.drive_id:
            gdown.download(id=download.drive_id, output=str(target), quiet=not progress)
        else:
            # The hash is checked by the caller: pooch knows no prefixes.
            fetcher = pooch.HTTPDownloader(progressbar=progress)
            pooch.retrieve(download.url, None, target.name, target.parent, downloader=fetcher)
    except (requests.RequestException, DownloadError, OSError) as error:
        raise CheckpointError(
            f"{download.file_name} could not be fetched ({error}); check the network and run `frozenseg-label weights "
            f"fetch {name}` again, or copy the file by hand to {target.parent}"
        ) from error
