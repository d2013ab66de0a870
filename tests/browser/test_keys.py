"""One key does what people do most, and goes on; steps are keys and clicks."""

import pytest

from tests.browser.app_page import App
from tests.browser.scene import DISCS, SIZES


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
    app.select(DISCS[5][:2])
    start = app.steps
    app.press("c")
    app.type("kit")
    app.press("Enter")
    app.says("1 segment changed to cat")
    assert app.steps - start == len("kit") + 2
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
    app.until(lambda: [one.tags for one in app.segments().values()].count(["rejected"]) == 1)
    assert [one.tags for one in app.segments().values()].count(["accepted"]) == 2
    assert app.sample.tags == []
