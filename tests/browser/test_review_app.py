"""Segments corrected through the App's own interface come back exactly as they were meant."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from frozenseg_label.images import find_images
from frozenseg_label.panoptic import PanopticMap, Segment
from frozenseg_label.review.review_run import save_review
from frozenseg_label.runs.manifest import Manifest
from frozenseg_label.runs.run_folder import RunFolder
from frozenseg_label.vocabulary import Category, Vocabulary

if TYPE_CHECKING:
    from tests.browser.conftest import App

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
    """Return wobbly things on sky and grass, a thin line, and a corner of void."""
    k = size[0] / 640
    y, x = np.mgrid[: size[1], : size[0]] / k
    ids = np.where(y < 220 + 20 * np.sin(x / 37), 1, 2).astype(np.int32)
    for id_, (across, down, radius) in DISCS.items():
        angle = np.arctan2(y - down, x - across)
        ids[np.hypot(x - across, y - down) < radius * (1 + 0.15 * np.sin(5 * angle))] = id_
    ids[(x > 60) & (x < 240) & (y > 419) & (y < 422)] = 3
    ids[(x > 590) & (y > 420)] = 0
    segments = (
        Segment(id_, class_, is_thing=class_ < SKY, score=0.5, margin=0.2, source="model:abc")
        for id_, class_ in CLASSES.items()
    )
    return PanopticMap.of(ids, segments)


def make_run(folder: Path, size: tuple[int, int]) -> Path:
    """Make a run of one image of this size."""
    labels = scene(size)
    (folder / "photos").mkdir()
    colors = np.random.default_rng(0).integers(60, 200, (9, 3), dtype=np.uint8)
    Image.fromarray(colors[labels.ids]).save(folder / "photos" / "a.png")
    manifest = Manifest.of(
        tool_version="0.1",
        arguments={},
        weights="nano",
        weights_fingerprint="nano",
        vocabulary=VOCABULARY,
        seen_names=["cat"],
        options={},
    )
    with RunFolder.open_or_create(folder / "out", manifest) as run:
        [record] = find_images([folder / "photos"])
        run.plan([record])
        run.commit(record, labels)
        run.finish()
    return folder / "out"


@pytest.fixture
def out(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """Return a run of one image; the test gives its size."""
    return make_run(tmp_path, request.param)


def distance_to(size: tuple[int, int], start: Point, end: Point) -> np.ndarray:
    """Return each pixel's distance to a line of the scene, in pixels of the scene."""
    k = size[0] / 640
    y, x = (np.mgrid[: size[1], : size[0]] + 0.5) / k
    across, down = end[0] - start[0], end[1] - start[1]
    along = ((x - start[0]) * across + (y - start[1]) * down) / (across**2 + down**2)
    along = along.clip(0, 1)
    return np.hypot(x - start[0] - along * across, y - start[1] - along * down)


STROKE = (185.0, 150.0), (250.0, 100.0)  # from the cat into the sky
LINE = (400.0, 440.0), (480.0, 440.0)  # a new segment on the grass


@pytest.mark.parametrize("out", SIZES, ids=lambda size: f"{size[0]}x{size[1]}", indirect=True)
def test_segments_corrected_in_the_app_come_back_pixel_by_pixel(app: "App") -> None:
    app.annotate()
    app.edit(5)  # the bird is a dog
    app.choose_class("dog", 5)
    app.leave()
    app.edit(3)  # the cat reaches into the sky
    app.brush(*STROKE)
    app.wait_for_stroke(3)
    app.leave()
    app.edit(6)  # there is no dog
    app.delete()
    app.draw_new(*LINE)  # but a bird on the grass
    app.choose_class("bird", None)
    app.leave()
    app.edit(7)  # two cats are one
    app.merge(7, DISCS[7][:2], DISCS[8][:2])
    scale = app.frame()[2]
    [image] = save_review(app.out).images
    assert {(change.kind, change.segment) for change in image.changes} == {
        ("relabelled", 5),
        ("reshaped", 3),
        ("removed", 6),
        ("added", 9),
        ("merged", 7),
    }
    with RunFolder.read(app.out) as run:
        after = run.read_map("a.png")
    assert {s.id: (s.category_id, s.state) for s in after.segments} == {
        1: (SKY, "proposed"),
        2: (GRASS, "proposed"),
        3: (CAT, "edited"),
        4: (DOG, "proposed"),
        5: (DOG, "edited"),
        7: (CAT, "edited"),
        9: (BIRD, "edited"),
    }
    size = after.ids.shape[1], after.ids.shape[0]
    old, new = scene(size).ids, after.ids
    stroke, line = distance_to(size, *STROKE), distance_to(size, *LINE)
    # The brush is 16 pixels of the page wide; a pixel of the page, and one for the App's rounding.
    inner, outer = (8 - 2) / scale, (8 + 2) / scale
    # What must have changed: the strokes but for their rims, the deleted and the merged segment.
    assert (new[stroke < inner] == 3).all()
    assert (new[line < inner] == 9).all()
    assert (new[old == 6] == 0).all()
    assert (new[(old == 7) | (old == 8)] == 7).all()
    # What must not: every pixel farther than a pixel of the page from the strokes.
    far = (stroke > outer) & (line > outer) & ~np.isin(old, (6, 8))
    assert np.array_equal(new[far], old[far])


@pytest.mark.parametrize("out", SIZES[:1], ids=["640x480"], indirect=True)
def test_our_operators_are_reached_from_the_keyboard(app: "App") -> None:
    app.select(DISCS[4][:2])
    app.operate("accept_segments")
    app.says("1 segment accepted")
    app.select(DISCS[8][:2])
    app.operate("reject_segments")
    app.says("1 segment rejected")
    app.select(DISCS[5][:2])
    app.operate("relabel")
    app.pick("kit", "kitten = cat")
    app.says("1 segment changed to cat")
    app.select(DISCS[6][:2], DISCS[7][:2])
    app.operate("merge")
    app.says("merged into 1 segment")
    app.annotate()  # the App knows what the operators did, and does not bring back what is gone
    app.edit(5)
    app.choose_class("dog", 5)
    assert sorted(app.segments()) == [1, 2, 3, 4, 5, 6, 8]
    app.leave()
    app.explore()
    app.select(DISCS[3][:2])
    app.operate("split")
    app.says("1 segment split off")
    app.select((300, 440))
    app.operate("change_kind")
    app.pick("d", "dog")
    app.says("1 segment changed to dog")
    app.operate("accept_above")
    app.page.get_by_role("spinbutton").fill("0.4")
    app.says("3 proposed segments")  # what was relabelled is decided
    app.go()
    app.says("3 segments accepted")
    app.operate("accept_image")
    app.says("1 image accepted")
    app.operate("save_corrections")
    app.says("of 1 image saved")
    with RunFolder.read(app.out) as run:
        [entry] = run.entries()
        after = run.read_map("a.png")
    assert entry.event == "reviewed"
    assert entry.labels is not None
    assert entry.labels.state == "reviewed"
    assert {s.id: (s.category_id, s.state) for s in after.segments} == {
        1: (SKY, "accepted"),
        2: (DOG, "edited"),
        3: (CAT, "edited"),
        4: (DOG, "accepted"),
        5: (DOG, "edited"),
        6: (DOG, "edited"),
        9: (CAT, "edited"),  # split off
    }


@pytest.mark.parametrize("out", SIZES[:1], ids=["640x480"], indirect=True)
def test_the_grid_follows_operators_and_saves_in_a_terminal_without_an_error(app: "App") -> None:
    said: list[str] = []
    app.page.on("console", lambda message: said.append(message.text))
    app.page.goto(app.page.url.partition("?")[0])  # to the grid
    bird = DISCS[5][:2]
    app.new_tile_color(bird, ())
    app.page.wait_for_timeout(2000)  # first the picture, then its labels
    shown = app.tile_color(bird)
    app.segments()
    segment = next(one for one in app.sample.segments.detections if one.segment_id == 5)
    segment.label = "dog"
    app.sample.save()
    assert len(save_review(app.out).images) == 1  # as in a terminal
    app.new_tile_color(bird, shown)
    cat = app.tile_color(DISCS[3][:2])
    app.operate("accept_above")
    app.page.get_by_role("spinbutton").fill("0.4")
    app.says("7 proposed segments")
    app.go()
    app.says("7 segments accepted")
    app.new_tile_color(DISCS[3][:2], cat)  # accepted ones have a colour of their own
    app.page.get_by_text("Dismiss", exact=True).click()  # FiftyOne's pop-up lies over the page
    app.by_name("new-panel-btn").click()
    app.by_name("new-panel-option-review_progress").click()
    app.says("8 of 8 segments")
    assert not [text for text in said if "DataCloneError" in text]


@pytest.mark.parametrize("out", SIZES[:1], ids=["640x480"], indirect=True)
def test_one_key_judges_and_goes_on(app: "App") -> None:
    press = app.page.keyboard.press
    app.select(DISCS[4][:2])
    press("a")
    app.says("1 segment accepted")
    app.until(lambda: app.segments()[4].tags == ["accepted"])
    press("d")  # what came next: the most doubtful one
    app.says("1 segment rejected")
    press("u")
    app.says("1 action undone")
    press("n")
    app.says("the most doubtful segment is selected")
    press("m")
    app.page.get_by_role("textbox").last.fill("seen twice")
    app.go()
    app.says("1 segment noted")
    app.operate("accept_next", typed="ac")  # two letters, and ours comes first
    app.says("1 image accepted")
    notes = [one.note for one in app.segments().values() if one.note]
    assert notes == ["seen twice"]
    assert app.sample.tags == ["accepted"]
