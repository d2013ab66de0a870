"""The grid follows our operators, other people, and saves in a terminal."""

from frozenseg_label.review.app import buttons
from frozenseg_label.review.review_run import save_review
from tests.browser.app_page import App
from tests.browser.scene import DISCS

CAT, DOG, BIRD = (DISCS[id_][:2] for id_ in (3, 4, 5))


def test_the_grid_follows_operators_others_and_saves_without_an_error(app: App) -> None:
    said: list[str] = []
    app.page.on("console", lambda message: said.append(message.text))
    app.page.goto(app.page.url.partition("?")[0])  # to the grid
    shown = app.new_tile_color(BIRD, app.picture_color(BIRD))  # labels come after the picture
    segment = app.segments()[5]
    segment.label = "dog"
    app.sample.save()
    assert len(save_review(app.out).images) == 1  # as in a terminal
    app.new_tile_color(BIRD, shown)
    shown = app.tile_color(DOG)
    buttons.tag_segments(app.sample.dataset, [app.segments()[4].id], "rejected")  # somebody else
    app.new_tile_color(DOG, shown)
    shown = app.tile_color(CAT)
    app.operate("accept_above")
    app.page.get_by_role("spinbutton").fill("0.4")
    app.says("6 proposed segments")
    app.go()
    app.says("6 segments accepted")
    app.new_tile_color(CAT, shown)  # accepted ones have a colour of their own
    app.by_name("new-panel-btn").click()
    app.by_name("new-panel-option-review_progress").click()
    app.says("8 of 8 segments")
    app.says("decided today")
    assert not [text for text in said if "DataCloneError" in text]
    app.page.route("**/graphql", lambda route: route.abort())  # as when the command has ended
    app.shows("review-ended", "reload this page")
