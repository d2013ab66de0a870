"""`frozenseg-label vocab`, as a person at a terminal meets it."""

import json
from pathlib import Path

import pytest

from frozenseg_label.cli import main
from frozenseg_label.vocabulary_files import read_vocabulary, shipped_vocabularies


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_list_names_every_shipped_vocabulary_with_its_counts(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["vocab", "list", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["vocabularies"]}
    assert set(rows) == set(shipped_vocabularies())
    for name, row in rows.items():
        categories = read_vocabulary(name).categories
        things = sum(category.is_thing for category in categories)
        assert (row["classes"], row["things"]) == (len(categories), things)
        assert row["stuff"] == len(categories) - things


def test_check_hints_at_stuff_among_things(capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine.txt").write_text("cat\nSky\nsoil\nwater: stuff\nwall\nperson\n")
    assert main(["vocab", "check", "mine.txt"]) == 0
    shown = capsys.readouterr().out
    assert "likely stuff, regions that nobody counts: Sky, soil, wall; write `Sky: stuff`" in shown
    assert main(["vocab", "check", "mine.txt", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["likely_stuff"] == ["Sky", "soil", "wall"]


def test_show_tells_seen_from_unseen_classes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["vocab", "show", "stickers"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + len(read_vocabulary("stickers"))
    assert next(line for line in lines if "monkey, ape" in line).split()[1:3] == ["thing", "seen"]
    assert next(line for line in lines if "cat, kitten" in line).split()[1:3] == ["thing", "unseen"]


def test_show_tells_words_that_compete_and_what_else_a_class_has(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("mine.yaml").write_text(
        "background: [wall]\n"
        "classes:\n- {name: cup, not: [bowl, vase], min_score: 0.3, supercategory: dish}\n- cat\n"
    )
    assert main(["vocab", "show", "mine.yaml"]) == 0
    cup, cat, wall = capsys.readouterr().out.splitlines()[1:]
    assert cup.endswith("cup; min_score: 0.3; not: bowl, vase; supercategory: dish")
    assert cat.endswith("  cat")
    assert wall.split() == ["background", "wall"]
    assert main(["vocab", "show", "mine.yaml", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["background"] == ["wall"]
    assert shown["classes"][0]["not"] == ["bowl", "vase"]


def test_check_names_the_words_that_the_weights_never_met(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("mine.txt").write_text("cat\nwombat | marsupial\ngrass: stuff\n")
    assert main(["vocab", "check", "mine.txt"]) == 0
    shown = capsys.readouterr().out
    assert "wombat: nano does not know 'wombat', 'marsupial'" in shown
    assert "cat:" not in shown


def test_check_names_what_belongs_to_several_classes(capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine.txt").write_text("cat | pet\ndog | Pet\n")
    assert main(["vocab", "check", "mine.txt", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["shared_names"] == {"pet": ["cat", "dog"]}


def test_check_has_no_doubts_about_the_words_of_the_nano_world(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["vocab", "check", "stickers"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "no problems found"


def test_check_says_below_a_finding_what_to_write_instead(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("mine.txt").write_text("sea: stuff\nwater: stuff\n")
    assert main(["vocab", "check", "mine.txt"]) == 0
    *_, message, suggestion = capsys.readouterr().out.splitlines()
    assert "'sea' (sea) and 'water' (water) are nearly the same to the text encoder" in message
    assert suggestion == "    sea | water: stuff"
    assert main(["vocab", "check", "mine.txt", "--json"]) == 0
    (finding,) = json.loads(capsys.readouterr().out)["findings"]
    assert (finding["kind"], finding["classes"]) == ("near names", ["sea", "water"])


def test_check_fails_on_a_file_that_cannot_be_used(capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine.txt").write_text("cat\nCat\n")
    assert main(["vocab", "check", "mine.txt"]) == 1
    assert "mine.txt" in capsys.readouterr().err


def test_init_writes_a_vocabulary_that_can_be_used_at_once() -> None:
    assert main(["vocab", "init", "mine.yaml"]) == 0
    assert [category.name for category in read_vocabulary("mine.yaml").categories] == [
        "cat",
        "dog",
        "grass",
    ]


def test_init_never_replaces_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine.yaml").write_text("my work")
    assert main(["vocab", "init", "mine.yaml"]) == 2
    assert "mine.yaml exists already" in capsys.readouterr().err
    assert Path("mine.yaml").read_text() == "my work"


def test_fine_classes_become_coarse_ones(capsys: pytest.CaptureFixture[str]) -> None:
    Path("farm.yaml").write_text("animal: [dog, horse, cow]\n")
    command = ["vocab", "map", "coco-panoptic-133", "--to", "farm.yaml", "-o", "coarse.yaml"]
    assert main(command) == 0
    assert "1 classes of the map, 130 as they were" in capsys.readouterr().out
    assert read_vocabulary("coarse.yaml").by_id(18).made_from == ("dog", "horse", "cow")
    assert main(command) == 1
    assert "coarse.yaml exists already" in capsys.readouterr().err


def test_vocabularies_become_one(capsys: pytest.CaptureFixture[str]) -> None:
    Path("a.txt").write_text("cat\nsky: stuff\n")
    Path("b.txt").write_text("dog\nsky: stuff\n")
    assert main(["vocab", "merge", "a.txt", "b.txt", "-o", "c.yaml"]) == 1
    assert "id 1 is 'cat' in a.txt and 'dog' in b.txt" in capsys.readouterr().err
    assert main(["vocab", "merge", "a.txt", "b.txt", "-o", "c.yaml", "--renumber"]) == 0
    assert [category.name for category in read_vocabulary("c.yaml").categories] == [
        "cat",
        "sky",
        "dog",
    ]
    assert main(["vocab", "merge", "a.txt", "-o", "d.yaml"]) == 2
