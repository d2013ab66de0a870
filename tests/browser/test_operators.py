"""Our operators, in the App: from the keyboard, and the grid that follows them."""

from frozenseg_label.runs.run_folder import RunFolder
from tests.browser.app_page import App
from tests.browser.scene import CAT, DISCS, DOG, SKY


def test_our_operators_are_reached_from_the_keyboard(app: App) -> None:
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
    app.press("Escape")  # the next one was selected
    app.has_selected(0)
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
    app.operate("save_corrections", typed="sa")  # as "propo-sa-l" has, too
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
