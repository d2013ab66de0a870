"""FiftyOne's own database: started once, mended when its service was killed, errors explained."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

import frozenseg_label
from frozenseg_label.errors import ReviewError
from frozenseg_label.review.app.database import connected

CONNECTING = """
from frozenseg_label.review.app.database import connected
with connected():
    import fiftyone as fo
    fo.Dataset("mine", persistent=True) if "mine" not in fo.list_datasets() else None
    print(*fo.list_datasets(), flush=True)
    input()
"""
Start = Callable[[], "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path, mongod: str) -> Iterator[Start]:
    """Return what starts a program that connects to a database of its own folder."""
    if services():
        pytest.skip("a FiftyOne of this user runs: the programs of this test would join it")
    package = Path(frozenseg_label.__file__).parents[1]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([f"{package}", *filter(None, sys.path)]),
        "FIFTYONE_DATABASE_DIR": f"{tmp_path / 'db'}",
    }
    del environment["FIFTYONE_DATABASE_URI"]
    programs = []

    def program() -> "subprocess.Popen[str]":
        programs.append(
            subprocess.Popen(
                [sys.executable, "-P", "-c", CONNECTING],
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        return programs[-1]

    yield program
    for one in programs:
        one.kill()
        one.communicate()
    for process in (*services(), *databases(tmp_path)):
        process.kill()


def services() -> list[psutil.Process]:
    """Return FiftyOne's processes that end a database with the programs that use it."""
    found = psutil.process_iter(["cmdline"])
    return [one for one in found if "--51-service" in (one.info["cmdline"] or ())]


def databases(folder: Path) -> list[psutil.Process]:
    found = psutil.process_iter(["cmdline"])
    return [one for one in found if f"{folder / 'db'}" in (one.info["cmdline"] or ())]


def answer(program: "subprocess.Popen[str]") -> str:
    assert program.stdout is not None
    return program.stdout.readline().strip()


def test_two_programs_start_one_database_and_an_orphan_of_it_is_ended(
    start: Start, tmp_path: Path
) -> None:
    first, second = start(), start()
    assert (answer(first), answer(second)) == ("mine", "mine")
    [service] = [one for one in services() if "--multi" in one.info["cmdline"]]
    [orphan] = [one for one in databases(tmp_path) if "mongod" in one.name()]
    service.kill()
    third = start()  # two programs use the orphan still
    assert answer(third) == "mine"
    assert orphan.is_running()
    for program in (first, second, third):
        program.send_signal(signal.SIGKILL)
        program.wait()
    assert answer(start()) == "mine"  # what was in it is kept
    assert not orphan.is_running()


def test_a_database_that_is_gone_is_told_in_a_sentence(mongod: str) -> None:
    from pymongo.errors import AutoReconnect

    with (
        pytest.raises(ReviewError, match=r"does not answer any more \(connection closed\)"),
        connected(),
    ):
        raise AutoReconnect("connection closed, Timeout: 30s, Topology Description: <...>")
