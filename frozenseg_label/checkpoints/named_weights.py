"""From a name to a file of weights, embedded in the package or in the cache. No torch.

The cache folder holds `weights/` (checkpoints by name), `frozen/` (encoders that they share, by
hash), `downloads/` (published files as they came) and `text/` (text embeddings).
"""

import difflib
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from frozenseg_label.checkpoints.downloads import DOWNLOADS
from frozenseg_label.checkpoints.header import CheckpointInfo, read_checkpoint_info
from frozenseg_label.errors import CheckpointError
from frozenseg_label.files import ABANDONED, atomic_path, remove_leftovers

EMBEDDED = Path(__file__).parents[1] / "weights" / "nano.safetensors"


@dataclass(frozen=True)
class NamedWeights:
    """Weights that have a name.

    Attributes:
        name: for `--weights`.
        here: whether they are on this machine, whole as far as their headers tell.
        place: where one gets them, for people.
        bytes: of the file that is here and of the frozen parts that it shares with others; 0: none.
        origin: what the file that is here was made from, as its header says.
        problem: what is wrong with the file that is here; empty where it is good.
    """

    name: str
    here: bool
    place: str
    bytes: int = 0
    origin: str = ""
    problem: str = ""


def cache_folder() -> Path:
    """Return FROZENSEG_LABEL_CACHE, else the system's place for caches."""
    if chosen := os.environ.get("FROZENSEG_LABEL_CACHE"):
        return Path(chosen).expanduser()
    return platformdirs.user_cache_path("frozenseg-label")


def frozen_folder() -> Path:
    """Return the folder of frozen encoders, which several checkpoints share."""
    return cache_folder() / "frozen"


def downloads_folder() -> Path:
    """Return the folder of published files."""
    return cache_folder() / "downloads"


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
        file_name = DOWNLOADS[name].file_name
        raise CheckpointError(
            f"the weights {name!r} are not on this machine; run `frozenseg-label weights fetch "
            f"{name}`, or, where there is no network, copy {file_name} here and run "
            f"`frozenseg-label weights convert {file_name}`"
        )
    models = known_names()
    near = difflib.get_close_matches(name, models, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"known names are {', '.join(models)}"
    raise CheckpointError(f"{name}: no such file, and no weights of that name; {hint}")


def added_names() -> list[str]:
    """Name all checkpoints in the cache."""
    return sorted(path.stem for path in (cache_folder() / "weights").glob("*.safetensors"))


def known_names() -> list[str]:
    """Name all weights that are here or can be fetched."""
    return sorted({"nano", *DOWNLOADS, *added_names()})


def named_file(name: str) -> Path:
    """Return the path of a name's checkpoint in the cache, whether or not the file exists."""
    return cache_folder() / "weights" / f"{name}.safetensors"


def read_whole_info(path: Path) -> CheckpointInfo:
    """Read the header of a checkpoint; CheckpointError where a frozen part of it is not here."""
    info = read_checkpoint_info(path)
    missing = info.missing_parts(frozen_folder())
    if missing:
        raise CheckpointError(
            f"{path} needs the frozen {' and '.join(missing)} weights too; copy "
            f"{', '.join(missing.values())} to {frozen_folder()}, or run `frozenseg-label weights "
            f"convert` on the published checkpoint"
        )
    return info


def add(path: Path, name: str) -> Path:
    """Copy a checkpoint into the cache under a name of its own."""
    if not re.fullmatch(r"\w[\w.+-]*", name):
        raise CheckpointError(
            f"{name!r} cannot be a name of weights; use letters, digits, '.', '_', '+' and '-'"
        )
    if name == "nano" or name in DOWNLOADS:
        raise CheckpointError(f"the name {name!r} belongs to published weights; choose another")
    read_whole_info(path)
    target = named_file(name)
    if target.exists():
        raise CheckpointError(f"{target} exists already; choose another name, or delete it first")
    remove_leftovers(target.parent, unchanged_for=ABANDONED)
    with atomic_path(target, error=CheckpointError) as temporary:
        shutil.copyfile(path, temporary)
    return target


def list_weights() -> list[NamedWeights]:
    """Describe all weights that have a name."""
    rows = [_describe("nano", EMBEDDED, "embedded in the package")]
    for name, download in DOWNLOADS.items():
        rows.append(_describe(name, named_file(name), download.place))
    added = (name for name in added_names() if name not in DOWNLOADS)
    return rows + [_describe(name, named_file(name), "added here") for name in added]


def is_whole(name: str) -> bool:
    """Tell whether the checkpoint of a name is in the cache, with all parts that it needs."""
    return _describe(name, named_file(name), "").here


def _describe(name: str, path: Path, place: str) -> NamedWeights:
    """Say whether the weights of a name are on this machine, and what is wrong with them."""
    if not path.is_file():
        return NamedWeights(name, False, place)
    try:
        info = read_whole_info(path)
    except CheckpointError as error:
        return NamedWeights(name, False, place, path.stat().st_size, problem=f"{error}")
    files = [path, *info.shared_files(frozen_folder())]
    return NamedWeights(name, True, place, sum(f.stat().st_size for f in files), info.origin)
