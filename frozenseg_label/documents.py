"""JSON, YAML and TOML that anybody may have written: read with limits on size, depth and numbers.

Whatever is wrong with a document becomes one sentence that names the file, in an error of the kind
that the caller names. Parsers are imported when they are needed: `--help` reads no YAML.
"""

import json
import math
import reprlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frozenseg_label.errors import FrozenSegLabelError
from frozenseg_label.files import Kind, read_regular

if TYPE_CHECKING:
    import yaml

# Bytes. A COCO panoptic JSON of a million images takes about 3 GB; a vocabulary of 100,000 classes
# with synonyms 10 MB, which libyaml reads in seconds.
LARGEST_JSON = 1 << 32
LARGEST_YAML = 1 << 24
LARGEST_TOML = 1 << 16
DEEPEST_YAML = 30
MOST_KEYS = 1_000  # of one mapping in YAML; each key that nobody knows would be told
MOST_DIGITS = 19  # of a whole number; all of 64 bits have fewer or as many


def read_json(path: Path, error: Kind, largest: int = LARGEST_JSON) -> Any:  # noqa: ANN401 - anything
    """Return what a JSON file says; numbers that are infinite or no number become None.

    Args:
        error: kind of the one sentence for everything that can be wrong with it.
        largest: bytes that it may have.
    """
    return parse_json(_read_up_to(path, error, largest), f"{path}", error)


def parse_json(text: str | bytes, place: str, error: Kind) -> Any:  # noqa: ANN401 - anything
    """Return what a text in JSON says, as `read_json` does.

    Args:
        place: what the error begins with: a file, and a line of it.
        error: as of `read_json`.
    """
    try:
        return json.loads(
            text, parse_constant=lambda _: None, parse_int=_whole, parse_float=_finite
        )
    except (ValueError, RecursionError, MemoryError) as fault:
        raise unreadable(place, error, fault) from fault


def json_decoder() -> json.JSONDecoder:
    """Return the parser of `parse_json`, for who reads a document piece by piece."""
    return json.JSONDecoder(parse_constant=lambda _: None, parse_int=_whole, parse_float=_finite)


def unreadable(place: str, error: Kind, fault: BaseException) -> FrozenSegLabelError:
    """Return the error that a document in JSON cannot be read.

    Args:
        place: as of `parse_json`.
        error: as of `read_json`.
        fault: what the parser said.
    """
    return error(f"{place}: no whole JSON ({_reason(fault)}); write it again")


def parse_yaml(text: str, place: str, error: Kind) -> tuple[Any, "yaml.Node | None"]:
    """Return what a text in YAML says, and the tree of its nodes, which know their lines.

    No key may be there twice in a mapping, which has at most MOST_KEYS; and there are no aliases: a
    few of them can stand for billions of values.

    Args:
        place: as of `parse_json`.
        error: as of `read_json`.
    """
    import yaml

    try:
        _refuse_tricks(text, place, error)
        loader = _yaml_loader()(text)
        root = loader.get_single_node()
        _refuse_odd_keys(root, place, error)
        return (None if root is None else loader.construct_document(root)), root
    except (yaml.YAMLError, ValueError, RecursionError, MemoryError) as fault:
        mark = getattr(fault, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = getattr(fault, "problem", None) or _reason(fault)
        raise error(f"{place}{line}: not YAML ({problem}); correct it there") from fault


def read_toml(path: Path, error: Kind) -> dict[str, Any]:
    """Return what a TOML file says.

    Args:
        error: as of `read_json`.
    """
    import tomllib

    text = read_text(path, error, LARGEST_TOML)
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as fault:
        raise error(f"{path} is not valid TOML: {_reason(fault)}; correct or remove it") from fault


def read_text(path: Path, error: Kind, largest: int) -> str:
    """Return the content of a text file in UTF-8.

    Args:
        error: as of `read_json`.
        largest: likewise.
    """
    content = _read_up_to(path, error, largest)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        raise error(f"{path}: no text file in UTF-8 ({fault.reason}); save it as one") from fault


def shortened(text: str) -> str:
    """Return a text for a message: in quotes, and cut in the middle where it is long."""
    shortener = reprlib.Repr()
    shortener.maxstring = shortener.maxother = 80
    return shortener.repr(text)


def _read_up_to(path: Path, error: Kind, largest: int) -> bytes:
    content = read_regular(path, error, most=largest + 1)
    if len(content) > largest:
        size = f"{largest >> 20} MB" if largest >> 20 else f"{largest >> 10} kB"
        raise error(f"{path}: larger than {size}, which is the most that is read; name another")
    return content


def _whole(digits: str) -> int:
    """Return a whole number; larger ones than 64 bits hold overflow somewhere later."""
    if len(digits.lstrip("-")) > MOST_DIGITS:
        raise ValueError(f"a whole number of {len(digits)} digits")
    return int(digits)


def _finite(digits: str) -> float | None:
    value = float(digits)
    return value if math.isfinite(value) else None


def _reason(fault: BaseException) -> str:
    """Say in one line what is wrong with a document."""
    if isinstance(fault, RecursionError):
        return "nested too deeply"
    if isinstance(fault, MemoryError):
        return "too large for the memory of this machine"
    return " ".join(f"{fault}".split())[:300]


@cache
def _yaml_loader() -> Any:  # noqa: ANN401 - the class is made from the one that is installed
    """Return the loader: libyaml's where PyYAML was built with it, which is ten times as fast."""
    import yaml

    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    class Loader(base):  # type: ignore[misc]
        """Reads the safe part of YAML; whole numbers may not be longer than in JSON."""

    def whole(loader: Any, node: yaml.ScalarNode) -> Any:  # noqa: ANN401 - as in PyYAML
        if len(node.value) > MOST_DIGITS + 1:
            problem = f"a whole number of {len(node.value)} digits"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
        return loader.construct_yaml_int(node)

    Loader.add_constructor("tag:yaml.org,2002:int", whole)
    return Loader


def _refuse_tricks(text: str, place: str, error: Kind) -> None:
    """Raise for what a small text can blow a reader up with: deep nesting, and aliases.

    This is before the tree is made, because libyaml's trees of any depth are made by recursion.
    """
    import yaml

    depth = 0
    for event in yaml.parse(text, Loader=_yaml_loader()):
        problem = None
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            problem = "nested too deeply; write it flat" if depth > DEEPEST_YAML else None
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.AliasEvent):
            problem = f"*{event.anchor} is an alias; write out what it repeats"
        if problem:
            line = event.start_mark.line + 1 if event.start_mark else 1
            raise error(f"{place}, line {line}: {problem}")


def _refuse_odd_keys(root: "yaml.Node | None", place: str, error: Kind) -> None:
    """Raise where keys are many, or one is there twice: YAML would let the last one win."""
    import yaml

    nodes = [] if root is None else [root]
    while nodes:
        node = nodes.pop()
        if isinstance(node, yaml.SequenceNode):
            nodes += node.value
        if not isinstance(node, yaml.MappingNode):
            continue
        if len(node.value) > MOST_KEYS:
            line = node.start_mark.line + 1
            raise error(f"{place}, line {line}: more than {MOST_KEYS} keys; take some out")
        keys = set()
        for key, value in node.value:
            nodes += (key, value)
            if key.id == "scalar" and key.value in keys:
                line = key.start_mark.line + 1
                name = shortened(key.value)
                raise error(f"{place}, line {line}: key {name} occurs twice; keep one")
            keys.add(key.value if key.id == "scalar" else id(key))
