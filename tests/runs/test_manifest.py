"""The manifest: what it records, and what makes two runs differ."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from frozenseg_label.errors import RunError
from frozenseg_label.runs.manifest import Manifest, read_manifest, write_manifest
from frozenseg_label.vocabulary import Category, Vocabulary

MakeManifest = Callable[..., Manifest]


def test_a_manifest_survives_its_file(tmp_path: Path, make_manifest: MakeManifest) -> None:
    manifest = make_manifest(sam_masks=True, odd="caf\udce9")
    write_manifest(tmp_path, manifest)
    back = read_manifest(tmp_path)
    assert back == manifest
    assert back.fingerprint == manifest.fingerprint


def test_the_vocabulary_comes_back_whole(make_manifest: MakeManifest) -> None:
    category = Category("cat", 5, ("kitten",), True, (1, 2, 3), 0.25)
    vocabulary = Vocabulary("one", (category,))
    manifest = make_manifest(vocabulary=vocabulary)
    assert manifest.vocabulary.vocabulary() == vocabulary
    assert manifest.vocabulary.fingerprint == vocabulary.fingerprint


def test_the_words_that_compete_come_back_too_and_unused_ones_take_no_room(
    tmp_path: Path, make_manifest: MakeManifest
) -> None:
    cup = Category("cup", 5, (), True, (1, 2, 3), 0.0, ("bowl",), ("a {}",), "dish", ("mug",))
    vocabulary = Vocabulary("one", (cup, Category("cat", 6)), background=("wall",))
    write_manifest(tmp_path, make_manifest(vocabulary=vocabulary))
    assert read_manifest(tmp_path).vocabulary.vocabulary() == vocabulary
    first, second = json.loads((tmp_path / "run.json").read_text())["vocabulary"]["categories"]
    assert first.keys() - second.keys() == {"not_names", "templates", "supercategory", "made_from"}


def test_what_changes_labels_changes_the_fingerprint_and_is_told(
    make_manifest: MakeManifest, vocabulary: Vocabulary
) -> None:
    here = make_manifest()
    fewer = Vocabulary("fewer", vocabulary.categories[1:])
    no_tiger = replace(vocabulary.categories[0], not_names=("tiger",)), *vocabulary.categories[1:]
    rivals = Vocabulary(vocabulary.name, no_tiger, background=("wall",))
    for other, told in (
        (make_manifest(weights="large"), "weights (nano fingerprint .* there, large"),
        (make_manifest(vocabulary=fewer), "3 classes there, fewer with 2 now; gone: cat"),
        (make_manifest(vocabulary=rivals), "with 3 now; changed: cat; another background"),
        (make_manifest(memory="3 segments, ab"), "memory (none there, 3 segments, ab now)"),
        (make_manifest(min_score=0.5), "min_score (0.0 there, 0.5 now)"),
        (make_manifest(sam_masks=True), "sam_masks (None there, True now)"),
    ):
        [difference] = here.differences(other)
        assert all(part in difference for part in told.split(" .* "))
        assert other.fingerprint != here.fingerprint


def test_colours_change_no_label(make_manifest: MakeManifest, vocabulary: Vocabulary) -> None:
    recoloured = tuple(replace(category, color=(9, 9, 9)) for category in vocabulary.categories)
    other = make_manifest(vocabulary=Vocabulary("animals", recoloured))
    assert make_manifest().differences(other) == []
    assert make_manifest().fingerprint == other.fingerprint


def test_a_manifest_of_a_later_version_is_refused(
    tmp_path: Path, make_manifest: MakeManifest
) -> None:
    write_manifest(tmp_path, make_manifest())
    path = tmp_path / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema_version": 9, "new": 1}))
    with pytest.raises(RunError, match=r"run\.json: written by .* form 9.*upgrade"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"schema_version": 1, "totals": 3}'])
def test_a_damaged_manifest_is_told_by_name(tmp_path: Path, content: str) -> None:
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(RunError, match=r"run\.json"):
        read_manifest(tmp_path)
