"""A real Chromium on a real App, and nothing of either left when the tests are done."""

import os
import shutil
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

import psutil
import pytest

from frozenseg_label.review.app.fiftyone_dataset import open_dataset
from frozenseg_label.review.review_run import review_server
from frozenseg_label.runs.run_reader import RunReader
from tests.browser.app_page import PATIENCE, App
from tests.browser.scene import SIZES, make_run

with suppress(ModuleNotFoundError):  # the tests skip without it
    from playwright.sync_api import Browser, BrowserContext, expect, sync_playwright

NEEDED = "FROZENSEG_LABEL_NEEDS_BROWSER"  # set where a missing Chromium is no excuse
MARK = "FROZENSEG_LABEL_BROWSER_TESTS"  # in the environment of all processes that the tests start
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# The App redraws its canvas all the time; without a GPU that leaves little time for anything else.
TWO_PICTURES_A_SECOND = """
    const soon = window.requestAnimationFrame.bind(window);
    window.requestAnimationFrame = (draw) => window.setTimeout(() => soon(draw), 500);
    window.cancelAnimationFrame = window.clearTimeout.bind(window);
"""


@pytest.fixture(scope="session")
def no_process_is_left() -> Iterator[None]:
    """Check that every browser, database and App that these tests start is gone afterwards."""
    with pytest.MonkeyPatch.context() as patch:
        mark = uuid.uuid4().hex
        patch.setenv(MARK, mark)
        yield
        patch.undo()
        until = time.monotonic() + PATIENCE / 4
        while (left := marked_processes(mark)) and time.monotonic() < until:
            time.sleep(0.2)
    assert not left, f"still running: {left}"


def marked_processes(mark: str) -> list[str]:
    """Return command lines of all processes that came from here, however they were started."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get(MARK) == mark:
                found.append(" ".join(process.cmdline())[:120])
        except psutil.Error:  # of somebody else, or gone by now
            continue
    return found


@pytest.fixture(scope="session")
def browser(no_process_is_left: None, mongod: str) -> Iterator["Browser"]:
    if find_spec("playwright") is None:
        _go_without("there is no playwright: pip install playwright")
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        _go_without("there is no Chromium: apt-get install chromium")
    expect.set_options(timeout=1000 * PATIENCE)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=FLAGS)
        started = " ".join(marked_processes(os.environ[MARK]))
        assert "chromium" in started, "the search for what is left would see nothing"
        yield chromium
        chromium.close()


def _go_without(reason: str) -> NoReturn:
    if os.environ.get(NEEDED):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def context(browser: "Browser") -> Iterator["BrowserContext"]:
    """Yield one window for all tests: it loads the App's program only once."""
    context = browser.new_context(viewport={"width": 1180, "height": 700})
    context.set_default_timeout(1000 * PATIENCE)
    context.add_init_script(TWO_PICTURES_A_SECOND)
    yield context
    context.close()


@pytest.fixture(scope="session")
def place(browser: "Browser", tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the address of one App for all tests; each opens a run of its own in it."""
    import fiftyone as fo

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with review_server(make_run(tmp_path_factory.mktemp("first"), SIZES[0]), port=port) as address:
        yield address.partition("/datasets/")[0]
    fo.delete_datasets("frozenseg-*")


@pytest.fixture
def out(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """Return a run; the test may give the size and the number of its images."""
    size, images = getattr(request, "param", (SIZES[0], 1))
    return make_run(tmp_path, size, images)


@pytest.fixture
def app(context: "BrowserContext", place: str, out: Path) -> Iterator[App]:
    """Yield the first image of a run, open in the App."""
    with RunReader.read(out) as run:
        dataset = open_dataset(run).dataset
    sample = dataset.first()
    page = context.new_page()
    page.goto(f"{place}/datasets/{dataset.name}?id={sample.id}")
    app = App(page, out, sample)
    app.wait_for_picture()
    yield app
    page.evaluate("localStorage.clear()")  # in it the App keeps which operators were used last
    page.goto("about:blank")  # a server waits for those who listen
    page.close()
