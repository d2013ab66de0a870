"""One key does what people do most, and goes on; steps are keys and clicks."""

import pytest

from tests.browser.app_page import App
from tests.browser.scene import DISCS, SIZES

BIRD = DISCS[5][:2]


@pytest.mark.parametrize("out", [(SIZES[0], 2)], ids=["two images"], indirect=True)
def test_one_key_judges_and_goes_on(app: App) -> None:
    app.select(DISCS[4][:2])
    start = app.steps
    app.press("a")
    app.says("1 segment accepted")
    app.press("d")  # what came next: the most doubtful one
    app.says("1 segment rejected")
    app.press("2")
    app.says("1 segment changed to the second class")
    assert app.steps - start == 3
    assert app.segments()[4].tags == ["accepted"]
    app.press("u")
    app.says("1 action undone")
    app.press("n")
    app.says("the most doubtful segment is selected")
    app.press("m")
    app.type("seen twice")  # the form need not be there yet
    app.press("Enter")
    app.says("1 segment noted")
    assert [one.note for one in app.segments().values() if one.note] == ["seen twice"]
    app.select(DISCS[4][:2])
    start = app.steps
    app.press("c")
    app.type("cat")  # a bobcat comes before it in the list
    app.press("Enter")
    app.press("d")  # the next one, even before the form is gone
    app.says("1 segment changed to cat")
    assert app.steps - start == len("cat") + 3
    app.until(lambda: verdicts(app).count("rejected") == 2)
    assert app.segments()[4].label == "cat"
    app.press("Escape")  # what waits is not judged one by one
    app.has_selected(0)
    start = app.steps
    app.press("a")
    app.says("1 image accepted")
    app.until(lambda: f"id={app.sample.id}" not in app.page.url)  # the other image is open now
    assert app.steps - start == 1
    app.operate("accept_next", typed="ac")  # two letters, and ours comes first
    app.says("1 image accepted")
    app.sample.reload()
    assert app.sample.tags == ["accepted"]


@pytest.mark.parametrize("out", [(SIZES[0], 2)], ids=["two images"], indirect=True)
def test_a_quick_key_acts_on_what_the_key_before_it_selected(app: App) -> None:
    app.select(DISCS[4][:2])
    for key in "aad":
        app.press(key)
    app.until(lambda: verdicts(app).count("rejected") == 1)
    assert verdicts(app).count("accepted") == 2
    assert app.sample.tags == []


@pytest.mark.parametrize("out", [(SIZES[0], 5)], ids=["five images"], indirect=True)
def test_every_image_that_comes_shows_its_labels(app: App) -> None:
    said: list[str] = []
    app.page.on("console", lambda message: said.append(message.text))
    app.until(lambda: app.color(BIRD) != app.picture_color(BIRD))
    labelled = app.color(BIRD)
    for accepted in range(5):
        app.until(lambda: app.color(BIRD) == labelled)
        before = app.page.url
        app.press("a")
        app.until(lambda before=before: app.page.url != before)
        assert len(app.sample.dataset.match_tags("accepted")) == accepted + 1
    assert not [text for text in said if "posting message to worker" in text]


def test_a_click_chooses_only_what_is_clicked(app: App) -> None:
    app.press("n")
    app.has_selected(1)
    app.page.mouse.click(*app.at(DISCS[5][:2]))  # FiftyOne would add it to what n selected
    app.press("d")
    app.until(lambda: app.segments()[5].tags == ["rejected"])
    assert verdicts(app) == ["rejected"]


@pytest.mark.parametrize("out", [(SIZES[0], 2)], ids=["two images"], indirect=True)
def test_an_image_is_reviewed_from_the_grid_to_its_last_segment(app: App) -> None:
    app.page.goto(app.page.url.partition("?")[0])  # to the grid
    app.page.locator('[data-cy="looker"]').first.wait_for()

    def is_open() -> bool:
        """Press the key again where it came before the page had our plugin."""
        app.press("n")
        app.page.wait_for_timeout(4000)
        return f"id={app.sample.id}" in app.page.url

    app.until(is_open)
    app.press("n")
    for _ in app.segments():
        app.has_selected(1)
        count = len(verdicts(app))
        app.press("a")
        app.until(lambda count=count: len(verdicts(app)) > count)
    app.says("key a accepts the image")
    app.press("a")
    app.until(lambda: f"id={app.sample.id}" not in app.page.url)
    app.sample.reload()
    assert app.sample.tags == ["accepted"]
    assert verdicts(app) == ["accepted"] * 8


def verdicts(app: App) -> list[str]:
    """Return the verdicts on segments."""
    tags = (tag for one in app.segments().values() for tag in one.tags or ())
    return [tag for tag in tags if tag in ("accepted", "rejected")]
