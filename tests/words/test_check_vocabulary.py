"""What is doubtful in a vocabulary, and what to write instead."""

from pathlib import Path

import numpy as np
import pytest

from frozenseg_label.images import ImageRecord
from frozenseg_label.panoptic import PanopticMap, Segment
from frozenseg_label.runs.manifest import Manifest
from frozenseg_label.runs.run_folder import RunFolder
from frozenseg_label.vocabulary import Category, Vocabulary
from frozenseg_label.vocabulary_files import read_vocabulary
from frozenseg_label.words.check_vocabulary import Finding, check_vocabulary
from frozenseg_label.words.run_evidence import read_evidence

RIVER, LAKE, BOAT = Category("river", 1), Category("lake", 2), Category("boat", 3)


def found(folder: Path, text: str, name: str = "mine.yaml", run: Path | None = None) -> Finding:
    """Check a vocabulary of which one thing is doubtful."""
    (folder / name).write_text(text)
    (finding,) = check_vocabulary(folder / name, run=run).findings
    return finding


def pasted(folder: Path, finding: Finding) -> Vocabulary:
    """Read a vocabulary of what a finding suggests."""
    (folder / "pasted.yaml").write_text(f"classes:\n{finding.suggestion}\n")
    return read_vocabulary(folder / "pasted.yaml")


def test_a_synonym_of_two_classes_is_taken_from_the_one_whose_name_it_is_not(
    tmp_path: Path,
) -> None:
    finding = found(
        tmp_path,
        "classes:\n- {name: cat, synonyms: [fox, kitten]}\n- fox\n- {name: sea, kind: stuff}",
    )
    assert finding.kind == "shared name"
    assert finding.classes == ("cat", "fox")
    assert finding.suggestion == "- {name: cat, kind: thing, synonyms: [kitten]}"
    finding = found(tmp_path, "cat | fox | kitten\nfox\nsea: stuff\n", "mine.txt")
    assert finding.suggestion == "cat | kitten"


def test_names_that_the_text_encoder_hardly_tells_apart_are_found(tmp_path: Path) -> None:
    text = "classes:\n- {id: 4, name: sea, kind: stuff}\n- {id: 6, name: water, kind: stuff}\n"
    finding = found(tmp_path, text + "- {id: 7, name: tiger}\n")
    assert finding.kind == "near names"
    assert finding.classes == ("sea", "water")
    (joined,) = pasted(tmp_path, finding).categories
    assert (joined.id, joined.names, joined.is_thing) == (4, ("sea", "water"), False)


def test_synonyms_that_the_weights_never_met_are_left_out(tmp_path: Path) -> None:
    finding = found(tmp_path, "lion | wombat\nsky: stuff\n", "mine.txt")
    assert (finding.kind, finding.suggestion) == ("unknown word", "lion")


def test_things_without_regions_around_them_get_a_background_to_paste(tmp_path: Path) -> None:
    finding = found(tmp_path, "classes: [lion, tiger]\n")
    assert finding.kind == "no stuff"
    text = f"{finding.suggestion}\nclasses: [lion, tiger]\n"
    (tmp_path / "mine.yaml").write_text(text)
    assert read_vocabulary(tmp_path / "mine.yaml").background
    assert check_vocabulary(tmp_path / "mine.yaml").findings == []


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Four images, half labelled: rivers, of which the model each time thought of a lake too."""
    manifest = Manifest.of(
        tool_version="0.1",
        arguments={},
        weights="nano",
        weights_fingerprint="nano",
        vocabulary=Vocabulary("water", (RIVER, LAKE, BOAT)),
        seen_names=[],
        options={},
    )
    ids = np.zeros((4, 4), np.int32)
    ids[:2] = 1
    with RunFolder.open_or_create(tmp_path / "out", manifest) as run:
        for number in range(4):
            path = tmp_path / f"{number}.jpg"
            path.write_bytes(b"pixels")
            second = LAKE.id if number else BOAT.id
            segment = Segment(
                id=1,
                category_id=RIVER.id,
                is_thing=True,
                area=8,
                bbox=(0, 0, 4, 2),
                score=0.6,
                margin=0.1,
                second=second,
                source="model:a",
            )
            run.commit(ImageRecord(path, path.name, 6, 1), PanopticMap(ids, (segment,)))
    return tmp_path / "out"


def test_a_class_that_always_loses_to_another_is_found_in_a_run(tmp_path: Path, run: Path) -> None:
    text = "background: [tiger]\nclasses:\n- {name: castle}\n- {name: Lake}\n- {name: river}\n"
    (tmp_path / "mine.yaml").write_text(text)
    check = check_vocabulary(tmp_path / "mine.yaml", run=run)
    finding = check.findings[-1]
    assert finding.kind == "always loses"
    assert finding.classes == ("Lake", "river")
    assert "came second 3 times, 3 of them to river, by 0.10" in finding.message
    assert pasted(tmp_path, finding).categories[0].names == ("river", "Lake")


def test_a_run_tells_how_much_area_stays_unlabelled(tmp_path: Path, run: Path) -> None:
    evidence = read_evidence(run)
    assert (evidence.images, evidence.unlabelled_share) == (4, 0.5)
    finding = found(tmp_path, "classes: [lion, tiger]\n", run=run)
    assert "(50% of the run's area)" in finding.message


def test_a_few_likely_regions_do_not_hide_that_most_of_a_run_has_no_word(run: Path) -> None:
    (run.parent / "mine.txt").write_text("lion\ngrass\n")
    assert [f.kind for f in check_vocabulary(run.parent / "mine.txt", run=run).findings] == [
        "likely stuff"
    ]
    with RunFolder.open_to_correct(run) as opened:  # half of the area is enough to be silent
        for entry in opened.entries():
            gone = PanopticMap(np.zeros((4, 4), np.int32), ())
            opened.commit(opened.record(entry), gone)
    assert [f.kind for f in check_vocabulary(run.parent / "mine.txt", run=run).findings] == [
        "likely stuff",
        "no stuff",
    ]


def test_a_class_that_wins_once_is_no_loser(run: Path) -> None:
    evidence = read_evidence(run)
    assert [loser.name for loser in evidence.losers()] == ["lake"]
    evidence.wins["lake"] += 1
    assert evidence.losers() == []
