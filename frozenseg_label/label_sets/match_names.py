"""Which image of one set is which of another: the one rule for names of images."""

import os
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

# What data sets add to the stem of a picture's name: Cityscapes' pictures and labels.
_ADDED = re.compile(r"(_leftImg8bit|_gtFine_panoptic|_gtFine_labelIds|_gtFine|_panoptic)+$")
_LONGEST_SUFFIX = 5  # `jpeg`, `tiff`, ...; what is longer belongs to the name

_PARTS = ("train", "val", "test")

_Key = Callable[[str], str]


@dataclass(frozen=True)
class NameMatches:
    """Names there, and which names here they mean.

    Attributes:
        found: name there -> name here; no two have the same name here unless `shared` has it.
        ambiguous: name there -> the names here that it may mean.
        shared: name here -> the names there that all mean it.
        unknown: names there that mean none here.
    """

    found: Mapping[str, str]
    ambiguous: Mapping[str, tuple[str, ...]]
    shared: Mapping[str, tuple[str, ...]]
    unknown: tuple[str, ...]


def match_names(there: Collection[str], here: Collection[str]) -> NameMatches:
    """Find for each name there the one here that means the same image.

    Tried in this order, each on both sides: the path; the path without the folders that all names
    of its side begin with; both without suffix; one side without the folder of its part (train,
    val, test); the base name; the base name without suffix and without what data sets add to it.
    Paths are compared with `/`, without the address of a URL, in Unicode's form NFC. A base name
    that comes with folders counts only where it is unique on its own side.
    """
    found: dict[str, str] = {}
    ambiguous: dict[str, tuple[str, ...]] = {}
    left = list(there)
    within_there, within_here = _without(_common_folders(there)), _without(_common_folders(here))
    for key_there, key_here in (
        (plain_path, plain_path),
        (within_there, within_here),
        (_bare_path, _bare_path),
        (lambda name: _bare_path(within_there(name)), lambda name: _bare_path(within_here(name))),
        (_without_part, _bare_path),
        (_bare_path, _without_part),
        (_base_name, _base_name),
        (_stem, _stem),
    ):
        by_key: dict[str, list[str]] = defaultdict(list)
        for name in here:
            by_key[key_here(name)].append(name)
        asked = Counter(map(key_there, there))
        taken = set(found.values())
        for name in left:
            candidates = by_key.get(key_there(name), [])
            if (
                "/" in plain_path(name) or key_there is _bare_path
            ):  # it names its folder: it cannot mean another name's image
                candidates = [candidate for candidate in candidates if candidate not in taken]
                unique = key_there is plain_path or asked[key_there(name)] == 1
                is_clear = len(candidates) == 1 and unique
            else:
                is_clear = len(candidates) == 1
            if is_clear:
                found[name] = candidates[0]
                ambiguous.pop(name, None)
            elif candidates:
                ambiguous.setdefault(name, tuple(candidates))
        left = [name for name in left if name not in found]
    claims: dict[str, list[str]] = defaultdict(list)
    for name, meant in found.items():
        claims[meant].append(name)
    shared = {name: tuple(claimants) for name, claimants in claims.items() if len(claimants) > 1}
    unknown = tuple(name for name in left if name not in ambiguous)
    return NameMatches(found, ambiguous, shared, unknown)


def plain_path(name: str) -> str:
    """Return the path of an image as names are compared: `/`, no `.`, no address, NFC."""
    if "://" in name:
        name = unquote(urlsplit(name).path).lstrip("/")
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
    return unicodedata.normalize("NFC", "/".join(parts))


def _common_folders(names: Iterable[str]) -> str:
    """Return the folders that all names begin with, with a `/` at the end."""
    folders = {plain_path(name).rpartition("/")[0] for name in names}
    try:
        common = os.path.commonpath(folders) if folders else ""
    except ValueError:  # one of them is empty
        common = ""
    return f"{common}/" if common else ""


def _without(folders: str) -> _Key:
    return lambda name: plain_path(name).removeprefix(folders)


def _bare_path(name: str) -> str:
    folder, slash, base = plain_path(name).rpartition("/")
    return f"{folder}{slash}{_without_suffix(base)}"


def _without_part(name: str) -> str:
    """Return the path without suffix and without the folder that a split export adds."""
    part, slash, rest = _bare_path(name).partition("/")
    return rest if slash and part in _PARTS else f"{part}{slash}{rest}"


def _base_name(name: str) -> str:
    return plain_path(name).rpartition("/")[2]


def _stem(name: str) -> str:
    return _ADDED.sub("", _without_suffix(_base_name(name)))


def _without_suffix(base: str) -> str:
    stem, dot, suffix = base.rpartition(".")
    return stem if dot and len(suffix) <= _LONGEST_SUFFIX else base
