"""FiftyOne's own database: started once, mended when its service was killed, errors explained."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

import frozenseg_label
from frozenseg_label.errors import ReviewError
from frozenseg_label.review.app.database import connected

# Importing FiftyOne takes seconds: one program does it, and forks those that connect.
STARTER = """
import os, signal, sys
import fiftyone as fo
from frozenseg_label.review.app.database import connected
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
while sys.stdin.readline():
    if os.fork() == 0:
        with connected():
            fo.Dataset("mine", persistent=True) if "mine" not in fo.list_datasets() else None
            os.write(1, f"{os.getpid()} {','.join(fo.list_datasets())}\\n".encode())
            signal.pause()
"""
Start = Callable[[int], list[psutil.Process]]


@pytest.fixture
def start(tmp_path: Path, mongod: str) -> Iterator[Start]:
    """Return what starts programs that all have the dataset `mine`, in a database of the test."""
    if services():
        pytest.skip("a FiftyOne of this user runs: the programs of this test would join it")
    package = Path(frozenseg_label.__file__).parents[1]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([f"{package}", *filter(None, sys.path)]),
        "FIFTYONE_DATABASE_DIR": f"{tmp_path / 'db'}",
    }
    del environment["FIFTYONE_DATABASE_URI"]
    started = []
    with subprocess.Popen(
        [sys.executable, "-P", "-c", STARTER],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as starter:

        def programs(count: int) -> list[psutil.Process]:
            assert starter.stdin is not None
            assert starter.stdout is not None
            starter.stdin.write("\n" * count)
            starter.stdin.flush()
            answers = [starter.stdout.readline().split() for _ in range(count)]
            assert [said for _, said in answers] == ["mine"] * count
            here = [psutil.Process(int(pid)) for pid, _ in answers]
            started.extend(here)
            return here

        yield programs
        for process in (*started, starter):
            with suppress(psutil.NoSuchProcess):
                process.kill()
    for process in (*services(), *databases(tmp_path)):
        process.kill()


def services() -> list[psutil.Process]:
    """Return FiftyOne's processes that end a database with the programs that use it."""
    found = psutil.process_iter(["cmdline"])
    return [one for one in found if "--51-service" in (one.info["cmdline"] or ())]


def databases(folder: Path) -> list[psutil.Process]:
    found = psutil.process_iter(["cmdline"])
    return [one for one in found if f"{folder / 'db'}" in (one.info["cmdline"] or ())]


def test_two_programs_start_one_database_and_an_orphan_of_it_is_ended(
    start: Start, tmp_path: Path
) -> None:
    two = start(2)
    [service] = [one for one in services() if "--multi" in one.info["cmdline"]]
    [orphan] = [one for one in databases(tmp_path) if "mongod" in one.name()]
    service.kill()
    service.wait()
    third = start(1)  # two programs use the orphan still
    assert orphan.is_running()
    for program in (*two, *third):
        program.kill()
        program.wait()
    start(1)  # what was in it is kept
    assert not orphan.is_running()


def test_a_database_that_is_gone_is_told_in_a_sentence(mongod: str) -> None:
    from pymongo.errors import AutoReconnect

    with (
        pytest.raises(ReviewError, match=r"does not answer any more \(connection closed\)"),
        connected(),
    ):
        raise AutoReconnect("connection closed, Timeout: 30s, Topology Description: <...>")
