"""A real Chromium on a real App, and nothing of either left when the tests are done."""

import io
import os
import re
import shutil
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import numpy as np
import psutil
import pytest
from PIL import Image

from frozenseg_label.review.review_run import review_server

with suppress(ModuleNotFoundError):  # the tests skip without it
    from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

if TYPE_CHECKING:
    import fiftyone as fo

Point = tuple[float, float]  # of the scene, 640 x 480, whatever the image's size

NEEDED = "FROZENSEG_LABEL_NEEDS_BROWSER"  # set where a missing Chromium is no excuse
PATIENCE = 60.0  # seconds for anything that a busy machine takes its time over
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
EIGHT_PICTURES_A_SECOND = """
    const soon = window.requestAnimationFrame.bind(window);
    window.requestAnimationFrame = (draw) => window.setTimeout(() => soon(draw), 125);
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


@pytest.fixture
def page(browser: "Browser") -> Iterator["Page"]:
    context = browser.new_context(viewport={"width": 1180, "height": 700})
    context.set_default_timeout(1000 * PATIENCE)
    context.add_init_script(EIGHT_PICTURES_A_SECOND)
    yield context.new_page()
    context.close()


@pytest.fixture
def app(page: "Page", out: Path) -> Iterator["App"]:
    """Yield the image of a run, open in the App."""
    import fiftyone as fo

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with review_server(out, port=port) as address:
        sample = fo.load_dataset(address.rpartition("/")[2]).first()
        page.goto(f"{address}?id={sample.id}")
        app = App(page, out, sample)
        app.wait_for_picture()
        yield app
        page.goto("about:blank")  # a server waits for those who listen
    fo.delete_datasets("frozenseg-*")


@dataclass
class App:
    """An image that is open in the App. Every step waits until the App has answered it.

    Attributes:
        out: the run folder.
        sample: the image in FiftyOne.
    """

    page: "Page"
    out: Path
    sample: "fo.Sample"

    def segments(self) -> dict[int | None, "fo.Detection"]:
        """Return what the database has now, by segment id; None is the new one."""
        self.sample.reload()
        detections = self.sample["segments"].detections
        return {getattr(one, "segment_id", None): one for one in detections}

    def until(self, is_so: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE
        while not is_so():
            assert time.monotonic() < end, "waited in vain"
            self.page.wait_for_timeout(200)

    def by_name(self, name: str) -> "Locator":
        return self.page.locator(f'[data-cy="{name}"]').first

    def canvas(self) -> "Locator":
        return self.page.locator('[data-cy="modal-content"] canvas').first

    def frame(self) -> tuple[float, float, float]:
        """Return where the scene begins on the page, and its scale there."""
        box = self.canvas().bounding_box()
        assert box is not None
        scale = min(box["width"] / 640, box["height"] / 480)
        left = box["x"] + (box["width"] - 640 * scale) / 2
        return left, box["y"] + (box["height"] - 480 * scale) / 2, scale

    def at(self, point: Point) -> Point:
        """Return where a point of the scene is on the page."""
        left, top, scale = self.frame()
        return left + point[0] * scale, top + point[1] * scale

    def wait_for_picture(self) -> None:
        """Wait until the sky is drawn; before, the page is dark."""
        expect(self.canvas()).to_be_visible()

        def is_light() -> bool:
            x, y = self.at((320, 60))
            picture = self.page.screenshot(clip={"x": x, "y": y, "width": 1, "height": 1})
            return max(Image.open(io.BytesIO(picture)).convert("RGB").getpixel((0, 0))) > 100

        self.until(is_light)

    def tile_color(self, point: Point) -> tuple[int, ...]:
        """Return the colour of a point of the scene in the first tile of the grid, coarsely.

        While the tile is not drawn: nothing.
        """
        tile = self.page.locator('[data-cy="looker"]').first
        box = tile.bounding_box() if tile.is_visible() else None
        if box is None:
            return ()
        x = box["x"] + box["width"] * point[0] / 640
        y = box["y"] + box["height"] * point[1] / 480
        picture = self.page.screenshot(clip={"x": x, "y": y, "width": 1, "height": 1})
        color = Image.open(io.BytesIO(picture)).convert("RGB").getpixel((0, 0))
        return tuple(value // 8 for value in color) if max(color) > 50 else ()

    def new_tile_color(self, point: Point, before: tuple[int, ...]) -> tuple[int, ...]:
        """Wait until a point of the first tile has another colour; return it."""
        self.until(lambda: self.tile_color(point) not in (before, ()))
        return self.tile_color(point)

    def annotate(self) -> None:
        self.page.get_by_text("Annotate", exact=True).first.click()
        rows = self.page.locator('[data-cy^="annotate-label-"]')
        expect(rows).to_have_count(len(self.segments()))
        self.wait_for_picture()

    def explore(self) -> None:
        self.page.get_by_text("Explore", exact=True).first.click()
        expect(self.by_name("annotate-edit-back")).to_be_hidden()
        self.wait_for_picture()

    def edit(self, segment: int) -> None:
        """Choose a segment in the list of the Annotate tab."""
        self.by_name(f"annotate-label-{self.segments()[segment].id}").click()
        expect(self.by_name("brush")).to_be_visible()

    def leave(self) -> None:
        """Go back to the list."""
        self.by_name("annotate-edit-back").click()
        expect(self.page.locator('[data-cy^="annotate-label-"]').first).to_be_visible()

    def brush(self, start: Point, end: Point) -> None:
        self.by_name("brush").click()
        expect(self.by_name("circle")).to_be_visible()
        self.page.mouse.move(*self.at(start))
        self.page.mouse.down()
        self.page.mouse.move(*self.at(end), steps=4)
        self.page.mouse.up()

    def wait_for_stroke(self, segment: int) -> None:
        """Wait for the mask that the App writes after a stroke or a merge."""
        self.until(lambda: self.segments()[segment].mask.dtype == np.uint8)

    def choose_class(self, name: str, segment: int | None) -> None:
        field = self.by_name("root_label_container").locator("input[role=combobox]")
        field.press("ArrowDown")  # a click would lose the focus again
        self.page.get_by_role("option", name=name, exact=True).click()
        self.until(lambda: self.segments()[segment].label == name)

    def delete(self) -> None:
        count = len(self.segments())
        self.by_name("label-menu-trigger").click()
        self.page.get_by_text("Delete label", exact=True).first.click()
        self.until(lambda: len(self.segments()) == count - 1)

    def draw_new(self, start: Point, end: Point) -> None:
        self.by_name("select-action").click()  # a second click on a mode would end it
        expect(self.by_name("brush")).to_be_hidden()
        self.by_name("segmentation-mode").click()
        self.brush(start, end)
        self.until(lambda: None in self.segments())

    def merge(self, segment: int, primary: Point, other: Point) -> None:
        count = len(self.segments())
        self.by_name("merge").click()
        expect(self.by_name("modal-status-bar")).to_contain_text("Click the primary")
        self.page.mouse.click(*self.at(primary))
        expect(self.by_name("modal-status-bar")).to_contain_text("Primary set")
        self.page.mouse.click(*self.at(other))
        self.until(lambda: len(self.segments()) == count - 1)
        self.wait_for_stroke(segment)

    def select(self, *points: Point) -> None:
        """Select the segments at points of the scene, in the Explore tab."""
        self.wait_for_picture()
        for count, point in enumerate(points, start=1):
            self.page.mouse.click(*self.at(point))
            chosen = self.page.locator('[data-cy="action-manage-selected"]').last
            expect(chosen).to_have_text(f"{count}")

    def operate(self, name: str, typed: str | None = None) -> None:
        """Start an operator from the keyboard.

        Args:
            typed: what is typed to find it; None: its name.
        """
        self.page.keyboard.press("`")
        search = self.page.get_by_placeholder(re.compile("Search"))
        expect(search).to_be_visible()
        search.fill(typed or name)
        expect(self.page.get_by_text(name, exact=True).first).to_be_visible()
        self.page.keyboard.press("Enter")

    def pick(self, typed: str, choice: str) -> None:
        """Type a text, choose what completes it, and execute."""
        self.page.get_by_role("combobox").last.fill(typed)
        self.page.get_by_role("option", name=choice).click()
        self.go()

    def go(self) -> None:
        self.page.get_by_role("button", name="Execute").click()

    def says(self, answer: str) -> None:
        expect(self.page.get_by_text(answer)).to_be_visible()
