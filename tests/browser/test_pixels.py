"""Segments corrected through the App's own interface come back exactly as they were meant."""

import numpy as np
import pytest

from frozenseg_label.review.review_run import save_review
from frozenseg_label.runs.run_folder import RunFolder
from tests.browser.app_page import App
from tests.browser.scene import BIRD, CAT, DISCS, DOG, GRASS, SIZES, SKY, distance_to, scene

STROKE = (185.0, 150.0), (250.0, 100.0)  # from the cat into the sky
LINE = (400.0, 440.0), (480.0, 440.0)  # a new segment on the grass


@pytest.mark.parametrize(
    "out", [(size, 1) for size in SIZES], ids=["640x480", "2560x1920"], indirect=True
)
def test_segments_corrected_in_the_app_come_back_pixel_by_pixel(app: App) -> None:
    app.annotate()
    start = app.steps
    app.edit(5)  # the bird is a dog
    app.choose_class("dog", 5)
    app.leave()
    assert app.steps - start == 4  # FiftyOne's own way; test_keys.py has ours
    app.edit(3)  # the cat reaches into the sky
    app.brush(*STROKE)
    app.wait_for_stroke(3)
    app.leave()
    start = app.steps
    app.edit(6)  # there is no dog
    app.delete()
    assert app.steps - start == 3
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
