"""What a person does in the App, step by step; each step waits until the App has answered it."""

import io
import re
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

with suppress(ModuleNotFoundError):  # the tests skip without it
    from playwright.sync_api import Locator, Page, expect

if TYPE_CHECKING:
    import fiftyone as fo

Point = tuple[float, float]  # of the scene, 640 x 480, whatever the image's size
PATIENCE = 120.0  # seconds for anything that a busy machine takes its time over


@dataclass
class App:
    """An image that is open in the App. Every step waits until the App has answered it.

    Attributes:
        out: the run folder.
        sample: the image in FiftyOne.
        steps: keys and clicks until now; a letter of a typed text is a key.
    """

    page: "Page"
    out: Path
    sample: "fo.Sample"
    steps: int = 0

    def click(self, target: "Locator") -> None:
        target.click()
        self.steps += 1

    def press(self, key: str) -> None:
        self.page.keyboard.press(key)
        self.steps += 1

    def type(self, text: str) -> None:
        self.page.keyboard.type(text)
        self.steps += len(text)

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

        self.until(lambda: max(self._page_color(*self.at((320, 60)))) > 100)

    def color(self, point: Point) -> tuple[int, ...]:
        """Return the colour of a point of the scene in the open image, coarsely.

        While another image opens: nothing.
        """
        if not self.canvas().is_visible():
            return ()
        return tuple(value // 8 for value in self._page_color(*self.at(point)))

    def _page_color(self, x: float, y: float) -> tuple[int, ...]:
        picture = self.page.screenshot(clip={"x": x, "y": y, "width": 1, "height": 1})
        color: tuple[int, ...] = Image.open(io.BytesIO(picture)).convert("RGB").getpixel((0, 0))
        return color

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
        color = self._page_color(x, y)
        return tuple(value // 8 for value in color) if max(color) > 50 else ()

    def picture_color(self, point: Point) -> tuple[int, ...]:
        """Return the colour of a point of the scene in the picture itself, as coarsely."""
        with Image.open(self.sample.filepath) as picture:
            scale = picture.width / 640
            color = picture.convert("RGB").getpixel((point[0] * scale, point[1] * scale))
        return tuple(value // 8 for value in color)

    def new_tile_color(self, point: Point, before: tuple[int, ...]) -> tuple[int, ...]:
        """Wait until a point of the first tile has another colour; return it."""
        self.until(lambda: self.tile_color(point) not in (before, ()))
        return self.tile_color(point)

    def annotate(self) -> None:
        self.click(self.page.get_by_text("Annotate", exact=True).first)
        rows = self.page.locator('[data-cy^="annotate-label-"]')
        expect(rows).to_have_count(len(self.segments()))
        self.wait_for_picture()

    def explore(self) -> None:
        self.click(self.page.get_by_text("Explore", exact=True).first)
        expect(self.by_name("annotate-edit-back")).to_be_hidden()
        self.wait_for_picture()

    def edit(self, segment: int) -> None:
        """Choose a segment in the list of the Annotate tab."""
        self.click(self.by_name(f"annotate-label-{self.segments()[segment].id}"))
        expect(self.by_name("brush")).to_be_visible()

    def leave(self) -> None:
        """Go back to the list."""
        self.click(self.by_name("annotate-edit-back"))
        expect(self.page.locator('[data-cy^="annotate-label-"]').first).to_be_visible()

    def brush(self, start: Point, end: Point) -> None:
        self.click(self.by_name("brush"))
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
        self.steps += 1
        self.click(self.page.get_by_role("option", name=name, exact=True))
        self.until(lambda: self.segments()[segment].label == name)

    def delete(self) -> None:
        count = len(self.segments())
        self.click(self.by_name("label-menu-trigger"))
        self.click(self.page.get_by_text("Delete label", exact=True).first)
        self.until(lambda: len(self.segments()) == count - 1)

    def draw_new(self, start: Point, end: Point) -> None:
        self.by_name("select-action").click()  # a second click on a mode would end it
        expect(self.by_name("brush")).to_be_hidden()
        self.click(self.by_name("segmentation-mode"))
        self.brush(start, end)
        self.until(lambda: None in self.segments())

    def merge(self, segment: int, primary: Point, other: Point) -> None:
        count = len(self.segments())
        self.click(self.by_name("merge"))
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
            self.steps += 1
            self.has_selected(count)

    def has_selected(self, count: int) -> None:
        """Wait until as many segments are selected."""
        chosen = self.page.locator('[data-cy="action-manage-selected"]').last
        expect(chosen).to_have_text(f"{count}")

    def operate(self, name: str, typed: str | None = None) -> None:
        """Start an operator from the keyboard.

        Args:
            typed: what is typed to find it; None: its name.
        """
        self.press("`")
        search = self.page.get_by_placeholder(re.compile("Search"))
        expect(search).to_be_visible()
        search.fill(typed or name)
        self.steps += len(typed or name)
        expect(self.page.get_by_text(name, exact=True).first).to_be_visible()
        self.press("Enter")

    def pick(self, typed: str, choice: str) -> None:
        """Type a text, choose what completes it, and execute."""
        self.page.get_by_role("combobox").last.fill(typed)
        self.steps += len(typed)
        self.click(self.page.get_by_role("option", name=choice))
        self.go()

    def go(self) -> None:
        self.click(self.page.get_by_role("button", name="Execute"))

    def says(self, answer: str) -> None:
        expect(self.page.get_by_text(answer)).to_be_visible()

    def shows(self, name: str, text: str) -> None:
        expect(self.by_name(name)).to_contain_text(text)
