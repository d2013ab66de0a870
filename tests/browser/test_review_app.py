"""Segments corrected through the App's own interface come back as what was meant, and no more."""

import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from frozenseg_label.formats.coco_panoptic import measure
from frozenseg_label.images import find_images
from frozenseg_label.panoptic import PanopticMap, Segment
from frozenseg_label.review.review_run import review_server, save_review
from frozenseg_label.runs.manifest import Manifest
from frozenseg_label.runs.run_folder import RunFolder
from frozenseg_label.vocabulary import Category, Vocabulary

CAT, DOG, BIRD, SKY, GRASS = 1, 2, 3, 4, 5
VOCABULARY = Vocabulary(
    "animals",
    (
        Category("cat", CAT, ("kitten",)),
        Category("dog", DOG),
        Category("bird", BIRD),
        Category("sky", SKY, is_thing=False),
        Category("grass", GRASS, is_thing=False),
    ),
)
# Of 640 x 480; other sizes show the same.
DISCS = {3: (150, 150, 60), 4: (330, 300, 60), 5: (500, 150, 60), 6: (130, 350, 40)}
DISCS |= {7: (480, 340, 35), 8: (570, 340, 35)}
CLASSES = {1: SKY, 2: GRASS, 3: CAT, 4: DOG, 5: BIRD, 6: DOG, 7: CAT, 8: CAT}
SIZES = [(640, 480), (2560, 1920)]

Point = tuple[float, float]


def scene(size: tuple[int, int]) -> PanopticMap:
    """Wobbly things on sky and grass, a thin line, and a corner of void."""
    k = size[0] / 640
    y, x = np.mgrid[: size[1], : size[0]] / k
    ids = np.where(y < 220 + 20 * np.sin(x / 37), 1, 2).astype(np.int32)
    for id_, (across, down, radius) in DISCS.items():
        angle = np.arctan2(y - down, x - across)
        ids[np.hypot(x - across, y - down) < radius * (1 + 0.15 * np.sin(5 * angle))] = id_
    ids[(x > 60) & (x < 240) & (y > 419) & (y < 422)] = 3
    ids[(x > 590) & (y > 420)] = 0
    segments = tuple(
        Segment(id_, CLASSES[id_], CLASSES[id_] < SKY, area, bbox, 0.5, 0.2, source="model:abc")
        for id_, (area, bbox) in measure(ids).items()
    )
    return PanopticMap(ids, segments)


@pytest.fixture(params=SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def size(request: pytest.FixtureRequest) -> tuple[int, int]:
    asked: tuple[int, int] = request.param
    return asked


@pytest.fixture
def out(tmp_path: Path, mongod: str, size: tuple[int, int]) -> Iterator[Path]:
    """A run of one image of this size."""
    labels = scene(size)
    (tmp_path / "photos").mkdir()
    colors = np.random.default_rng(0).integers(60, 200, (9, 3), dtype=np.uint8)
    Image.fromarray(colors[labels.ids]).save(tmp_path / "photos" / "a.png")
    manifest = Manifest.of(
        tool_version="0.1",
        arguments={},
        weights="nano",
        weights_fingerprint="nano",
        vocabulary=VOCABULARY,
        seen_names=["cat"],
        options={},
    )
    with RunFolder.open_or_create(tmp_path / "out", manifest) as run:
        [record] = find_images([tmp_path / "photos"])
        run.plan([record])
        run.commit(record, labels)
        run.finish()
    yield tmp_path / "out"
    import fiftyone as fo

    fo.delete_datasets("frozenseg-*")


@dataclass
class App:
    """An image that is open in the App."""

    page: Page
    size: tuple[int, int]

    @classmethod
    def open(cls, page: Page, address: str, size: tuple[int, int]) -> "App":
        import fiftyone as fo

        sample = fo.load_dataset(address.rpartition("/")[2]).first()
        page.goto(f"{address}?id={sample.id}")
        expect(page.get_by_text("Annotate", exact=True).first).to_be_visible()
        return cls(page, size)

    def by_name(self, name: str):  # noqa: ANN201 - a locator
        return self.page.locator(f'[data-cy="{name}"]').first

    def at(self, point: Point) -> Point:
        """Where a point of the 640 x 480 scene is on the page."""
        self.page.wait_for_timeout(500)
        box = self.by_name("lighter-sample-renderer-canvas").bounding_box()
        assert box is not None
        scale = min(box["width"] / 640, box["height"] / 480)
        left = box["x"] + (box["width"] - 640 * scale) / 2
        top = box["y"] + (box["height"] - 480 * scale) / 2
        return left + point[0] * scale, top + point[1] * scale

    def drag(self, start: Point, end: Point) -> None:
        self.page.mouse.move(*self.at(start))
        self.page.mouse.down()
        self.page.mouse.move(*self.at(end), steps=20)
        self.page.mouse.up()
        self.page.wait_for_timeout(500)

    def annotate(self) -> None:
        self.page.get_by_text("Annotate", exact=True).first.click()
        expect(self.page.locator('[data-cy^="annotate-label-"]').first).to_be_visible()

    def edit(self, segment: int) -> None:
        """Choose a segment in the list of the Annotate tab."""
        import fiftyone as fo

        [name] = fo.list_datasets("frozenseg-*")
        sample = fo.load_dataset(name).first()
        sample.reload()
        [id_] = [d.id for d in sample.segments.detections if d.segment_id == segment]
        self.by_name(f"annotate-label-{id_}").click()

    def leave(self) -> None:
        """Back to the list."""
        self.by_name("annotate-edit-back").click()
        expect(self.page.locator('[data-cy^="annotate-label-"]').first).to_be_visible()

    def choose(self, point: Point) -> None:
        """Select the segment at a point of the scene, in the Explore tab."""
        box = self.page.locator("canvas").last.bounding_box()
        assert box is not None
        scale = min(box["width"] / 640, box["height"] / 480)
        left = box["x"] + (box["width"] - 640 * scale) / 2
        top = box["y"] + (box["height"] - 480 * scale) / 2
        self.page.mouse.click(left + point[0] * scale, top + point[1] * scale)
        self.page.wait_for_timeout(500)

    def operate(self, name: str) -> None:
        """Run an operator from the keyboard."""
        self.page.keyboard.press("`")
        expect(self.page.get_by_placeholder(re.compile("Search"))).to_be_visible()
        self.page.keyboard.type(name)
        expect(self.page.get_by_text(name, exact=True).first).to_be_visible()
        self.page.wait_for_timeout(300)
        self.page.keyboard.press("Enter")

    def choose_class(self, name: str) -> None:
        self.page.wait_for_timeout(1000)
        field = self.by_name("root_label_container").locator("input[role=combobox]")
        field.press("ArrowDown")  # a click would lose the focus again
        self.page.get_by_role("option", name=name, exact=True).click()
        self.page.wait_for_timeout(500)

    def click(self, point: Point) -> None:
        self.page.mouse.click(*self.at(point))
        self.page.wait_for_timeout(700)


def near(size: tuple[int, int], start: Point, end: Point) -> np.ndarray:
    """Distance of every pixel of the image to a line of the scene, in pixels of the scene."""
    k = size[0] / 640
    y, x = (np.mgrid[: size[1], : size[0]] + 0.5) / k
    across, down = end[0] - start[0], end[1] - start[1]
    along = ((x - start[0]) * across + (y - start[1]) * down) / (across**2 + down**2)
    along = along.clip(0, 1)
    return np.hypot(x - start[0] - along * across, y - start[1] - along * down)


BRUSH = 8 / 1.6  # radius in pixels of the scene: half of 16 on the page, which shows it 1.6 : 1
SLACK = 2.0  # of the App's line, and a screen pixel
STROKE = (185.0, 150.0), (250.0, 100.0)  # from the cat into the sky
LINE = (400.0, 440.0), (480.0, 440.0)  # a new segment on the grass


def test_segments_corrected_in_the_app_come_back_pixel_by_pixel(
    page: Page, out: Path, size: tuple[int, int]
) -> None:
    before = scene(size)
    with review_server(out, port=free_port()) as address:
        app = App.open(page, address, size)
        app.annotate()
        app.edit(5)  # the bird is a dog
        app.choose_class("dog")
        app.leave()
        app.edit(3)  # the cat reaches into the sky
        app.by_name("brush").click()
        app.drag(*STROKE)
        app.leave()
        app.edit(6)  # there is no dog
        app.by_name("label-menu-trigger").click()
        page.get_by_text("Delete label", exact=True).first.click()
        page.wait_for_timeout(500)
        app.by_name("segmentation-mode").click()  # but a bird on the grass
        app.by_name("brush").click()
        app.drag(*LINE)
        app.choose_class("bird")
        app.leave()
        app.edit(7)  # two cats are one
        app.by_name("merge").click()
        app.click(DISCS[7][:2])
        app.click(DISCS[8][:2])
        app.leave()
        page.wait_for_timeout(1500)
        report = save_review(out)
    [image] = report.images
    found = {(change.kind, change.segment) for change in image.changes}
    assert found == {
        ("relabelled", 5),
        ("reshaped", 3),
        ("removed", 6),
        ("added", 9),
        ("merged", 7),
    }
    with RunFolder.read(out) as run:
        after = run.read_map("a.png")
    facts = {s.id: (s.category_id, s.state) for s in after.segments}
    assert facts == {
        1: (SKY, "proposed"),
        2: (GRASS, "proposed"),
        3: (CAT, "edited"),
        4: (DOG, "proposed"),
        5: (DOG, "edited"),
        7: (CAT, "edited"),
        9: (BIRD, "edited"),
    }
    old, new = before.ids, after.ids
    stroke, line = near(size, *STROKE), near(size, *LINE)
    # What must have changed: the strokes but for their rims, the deleted and the merged segment.
    assert (new[stroke < BRUSH - SLACK] == 3).all()
    assert (new[line < BRUSH - SLACK] == 9).all()
    assert (new[old == 6] == 0).all()
    assert (new[(old == 7) | (old == 8)] == 7).all()
    # What must not: every pixel farther than a screen pixel from the strokes.
    far = (stroke > BRUSH + SLACK) & (line > BRUSH + SLACK) & ~np.isin(old, (6, 8))
    assert np.array_equal(new[far], old[far])


def test_our_operators_are_reached_from_the_keyboard(page: Page, out: Path) -> None:
    size = scene_size(out)
    with review_server(out, port=free_port()) as address:
        app = App.open(page, address, size)
        page.wait_for_timeout(1500)
        app.choose(DISCS[4][:2])
        app.operate("accept_segments")
        expect(page.get_by_text("1 segments accepted")).to_be_visible()
        app.choose(DISCS[5][:2])
        app.operate("relabel")
        page.get_by_role("combobox").last.fill("kit")
        page.get_by_role("option", name="kitten = cat").click()
        page.get_by_role("button", name="Execute").click()
        expect(page.get_by_text("1 segments are cat now")).to_be_visible()
        app.operate("accept_image")
        expect(page.get_by_text("1 images accepted")).to_be_visible()
        app.operate("save_corrections")
        done = page.get_by_text(re.compile("corrections of 1 images saved"))
        expect(done).to_be_visible(timeout=30_000)
    with RunFolder.read(out) as run:
        [entry] = run.entries()
        states = [s.state for s in run.read_map("a.png").segments]
        classes = [s.category_id for s in run.read_map("a.png").segments]
    assert entry.event == "reviewed"
    assert entry.labels is not None
    assert entry.labels.state == "reviewed"
    assert sorted(set(states)) == ["accepted", "edited"]
    assert sum(state == "edited" for state in states) == 1
    assert CAT in {c for c, state in zip(classes, states, strict=True) if state == "edited"}


def scene_size(out: Path) -> tuple[int, int]:
    with RunFolder.read(out) as run:
        [entry] = run.entries()
    assert entry.labels is not None
    return entry.labels.width, entry.labels.height


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
