"""What a user says about classes of a foreign set: its name there, and its name here."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from frozenseg_label.documents import LARGEST_YAML, parse_yaml, read_json, read_text
from frozenseg_label.errors import FormatError

ClassMap = Mapping[str, str | None]  # name there -> name here; None: leave that class out

_NAMES = TypeAdapter(dict[str, str | None])


def read_class_map(given: str | Path | ClassMap | None) -> ClassMap:
    """Return the class map in a YAML or JSON file, or the one given; without one, an empty map."""
    if given is None or isinstance(given, Mapping):
        return given or {}
    path = Path(given)
    if path.suffix.lower() == ".json":
        data = read_json(path, FormatError, LARGEST_YAML)
    else:
        data, _ = parse_yaml(read_text(path, FormatError, LARGEST_YAML), f"{path}", FormatError)
    try:
        return _NAMES.validate_python({} if data is None else data, strict=True)
    except ValidationError as error:
        fault = error.errors()[0]
        where = " ".join(str(part) for part in fault["loc"] if part != "[key]")
        raise FormatError(
            f"{path}: {where or 'its content'}: {fault['msg'].lower()}; write one class a line, "
            "`their name: our name`, or `their name: null` to leave it out; put quotes around "
            "numbers, yes and no"
        ) from error
