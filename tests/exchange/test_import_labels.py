"""Labels corrected in another tool come in as a person's work, whole, once, and over nobody's."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from frozenseg_label.errors import FormatError, RunError
from frozenseg_label.exchange.import_labels import ImportSummary, import_labels
from frozenseg_label.formats.coco_panoptic import (
    PanopticAnnotation,
    png_name,
    read_panoptic_png,
    write_coco_panoptic,
    write_panoptic_png,
)
from frozenseg_label.formats.panoptic_dataset import read_coco_panoptic
from frozenseg_label.images import ImageRecord
from frozenseg_label.panoptic import PanopticMap
from frozenseg_label.runs.journal_rows import Labels
from frozenseg_label.runs.layout import CLASS_PNG
from frozenseg_label.runs.manifest import Manifest
from frozenseg_label.runs.run_folder import RunFolder
from frozenseg_label.vocabulary import Category, Vocabulary
from frozenseg_label.vocabulary_files import read_vocabulary
from tests.label_sets.published_names import COCO_PANOPTIC, published

MakeManifest = Callable[..., Manifest]
MakeImage = Callable[..., ImageRecord]
MakeMap = Callable[..., PanopticMap]

CAT, DOG, SKY = 1, 2, 3
PROPOSED = [[1, 1, 2, 2], [3, 3, 3, 3]]
# What another tool calls the run's classes: other numbers, other case.
ELSEWHERE = {10: "Dog", 20: "CAT", 30: "sky"}


@pytest.fixture
def out(
    tmp_path: Path, make_manifest: MakeManifest, make_image: MakeImage, make_map: MakeMap
) -> Path:
    """A run of two images, each with a proposed cat, dog and sky."""
    path = tmp_path / "out"
    with RunFolder.open_or_create(path, make_manifest()) as run:
        for record in run.plan([make_image("a/1.jpg"), make_image("b/2.jpg")]).todo:
            run.commit(record, proposal(make_map))
        run.finish()
    return path


def proposal(make_map: MakeMap) -> PanopticMap:
    return make_map(PROPOSED, {1: (CAT, "proposed"), 2: (DOG, "proposed"), 3: (SKY, "proposed")})


def elsewhere(
    folder: Path,
    images: Mapping[str, tuple[list[list[int]], Mapping[int, int]]],
    categories: Mapping[int, str] = ELSEWHERE,
) -> Path:
    """A set as other tools write it: file name -> rows of ids, category of each id."""
    document: dict[str, list[dict[str, Any]]] = {"images": [], "annotations": []}
    document["categories"] = [{"id": id_, "name": name} for id_, name in categories.items()]
    for number, (name, (rows, classes)) in enumerate(images.items()):
        png = f"{number}.png"
        write_panoptic_png(folder / "panoptic" / png, np.array(rows, dtype=np.int32))
        size = {"width": len(rows[0]), "height": len(rows)}
        document["images"].append({"id": number, "file_name": name, **size})
        infos = [{"id": id_, "category_id": category} for id_, category in classes.items()]
        document["annotations"].append(
            {"image_id": number, "file_name": png, "segments_info": infos}
        )
    (folder / "panoptic.json").write_text(json.dumps(document))
    return folder


def ours(folder: Path, name: str, panoptic_map: PanopticMap, vocabulary: Vocabulary) -> Path:
    """A set in our own form, sources and states among its fields."""
    write_panoptic_png(folder / "panoptic" / png_name(name), panoptic_map.ids)
    height, width = panoptic_map.ids.shape
    segments = panoptic_map.segments
    row = PanopticAnnotation(1, name, png_name(name), width, height, segments)
    write_coco_panoptic(folder / "panoptic.json", vocabulary, [row])
    return folder


def labels_of(out: Path, image: str) -> Labels:
    with RunFolder.read(out) as run:
        entry = run.entry(image)
    assert entry is not None
    assert entry.labels is not None
    return entry.labels


def states_of(out: Path, image: str) -> dict[int, tuple[int, str, str, float | None]]:
    with RunFolder.read(out) as run:
        segments = run.read_map(image).segments
    return {s.id: (s.category_id, s.source, s.state, s.score) for s in segments}


def counts(summary: ImportSummary) -> Sequence[int]:
    return [
        summary.accepted,
        summary.changed_class,
        summary.reshaped,
        summary.added,
        summary.removed,
    ]


@pytest.fixture
def corrected(tmp_path: Path) -> Path:
    """Of the first image: the cat as proposed, the dog a cat in truth, half of the sky new."""
    classes = {7: 20, 8: 20, 9: 30, 4: 10}
    return elsewhere(tmp_path / "theirs", {"a/1.jpg": ([[7, 7, 8, 8], [9, 9, 9, 4]], classes)})


def test_what_a_person_left_alone_is_accepted_and_all_else_is_imported(
    out: Path, corrected: Path
) -> None:
    summary = import_labels(out, corrected)
    assert (summary.images, summary.unchanged, summary.unknown) == (1, 0, 0)
    assert counts(summary) == [1, 1, 1, 1, 0]
    assert states_of(out, "a/1.jpg") == {
        1: (CAT, "model:abc", "accepted", 0.5),
        2: (CAT, "imported", "accepted", None),
        3: (SKY, "imported", "accepted", None),
        4: (DOG, "imported", "accepted", None),
    }
    assert labels_of(out, "a/1.jpg").state == "reviewed"
    assert labels_of(out, "b/2.jpg").state == "unseen"
    assert read_panoptic_png(out / "proposed/a/1.png").tolist() == PROPOSED
    dataset = read_coco_panoptic(out / "panoptic.json", trust_states=True)
    states = {a.file_name: a.state for a in dataset.annotations}
    assert states == {"a/1.jpg": "reviewed", "b/2.jpg": "unseen"}


def test_a_second_import_of_the_same_changes_nothing_and_says_so(
    out: Path, corrected: Path, caplog: pytest.LogCaptureFixture
) -> None:
    import_labels(out, corrected)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    with caplog.at_level("INFO"):
        summary = import_labels(out, corrected)
    assert (summary.images, summary.unchanged, counts(summary)) == (0, 1, [0] * 5)
    assert "nothing to do" in caplog.text
    assert before == {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}


def test_annotate_leaves_imported_images_alone(
    out: Path, corrected: Path, make_manifest: MakeManifest, make_image: MakeImage
) -> None:
    records = [make_image("a/1.jpg"), make_image("b/2.jpg")]
    with RunFolder.read(out) as run:
        seen = [(entry.size, entry.mtime_ns) for entry in run.entries()]
    records = [
        ImageRecord(record.path, record.relative, *facts)
        for record, facts in zip(records, seen, strict=True)
    ]
    import_labels(out, corrected)
    with RunFolder.open_or_create(out, make_manifest()) as run:
        assert run.plan(records).todo == ()
    with RunFolder.open_or_create(out, make_manifest(weights="large"), update=True) as run:
        assert [record.relative for record in run.plan(records).todo] == ["b/2.jpg"]


def test_unfinished_images_are_in_review(out: Path, corrected: Path) -> None:
    import_labels(out, corrected, in_review=True)
    assert labels_of(out, "a/1.jpg").state == "in review"
    assert import_labels(out, corrected).images == 1  # finished now
    assert labels_of(out, "a/1.jpg").state == "reviewed"


def test_base_names_and_paths_of_other_systems_find_their_images(out: Path, tmp_path: Path) -> None:
    rows = ([[1, 1, 1, 1], [1, 1, 1, 1]], {1: 20})
    theirs = elsewhere(tmp_path / "theirs", {"1.jpg": rows, "b\\2.jpg": rows, "9.jpg": rows})
    summary = import_labels(out, theirs)
    assert (summary.images, summary.unknown) == (2, 1)


def test_a_synonym_names_its_class(
    tmp_path: Path, make_manifest: MakeManifest, make_image: MakeImage, make_map: MakeMap
) -> None:
    words = Vocabulary("w", (Category("cat", 1, ("kitty", "pet")), Category("dog", 2, ("pet",))))
    out = tmp_path / "out"
    with RunFolder.open_or_create(out, make_manifest(vocabulary=words)) as run:
        run.commit(make_image("a.jpg"), make_map([[1, 1]], {1: (2, "proposed")}, words))
    image = {"a.jpg": ([[1, 2]], {1: 10, 2: 20})}
    import_labels(out, elsewhere(tmp_path / "good", image, {10: "Kitty", 20: "dog"}))
    assert {category for category, *_ in states_of(out, "a.jpg").values()} == {1, 2}
    with pytest.raises(FormatError, match="class 'pet' may be 'cat' or 'dog'"):
        import_labels(out, elsewhere(tmp_path / "bad", image, {10: "pet", 20: "dog"}))


def run_of_coco(
    tmp_path: Path, make_manifest: MakeManifest, make_image: MakeImage, make_map: MakeMap
) -> tuple[Path, Vocabulary]:
    """Return a run with COCO's vocabulary: an image of 133 pixels, each proposed as a person."""
    coco, out = read_vocabulary("coco-panoptic-133"), tmp_path / "coco"
    row = make_map([[1] * len(coco)], {1: (1, "proposed")}, coco)
    with RunFolder.open_or_create(out, make_manifest(vocabulary=coco)) as run:
        run.commit(make_image("a.jpg"), row)
    return out, coco


def test_cocos_own_names_are_known_and_how_is_told(
    tmp_path: Path,
    make_manifest: MakeManifest,
    make_image: MakeImage,
    make_map: MakeMap,
    caplog: pytest.LogCaptureFixture,
) -> None:
    out, coco = run_of_coco(tmp_path, make_manifest, make_image, make_map)
    theirs = published("coco-panoptic-133", COCO_PANOPTIC)
    flat = Vocabulary("flat", tuple(replace(c, is_thing=False) for c in theirs.categories))
    numbers = {place: c.id for place, c in enumerate(coco.categories, start=1)}
    states = {id_: (class_id, "accepted") for id_, class_id in numbers.items()}
    labels = make_map([[*numbers]], states, flat)
    with caplog.at_level("DEBUG", "frozenseg_label"):
        summary = import_labels(out, ours(tmp_path / "theirs", "a.jpg", labels, flat))
    assert (summary.images, summary.added, summary.left_out) == (1, 133, 0)
    assert summary.classes.counts == {"name": 101, "published": 32}
    with RunFolder.read(out) as run:
        imported = run.read_map("a.jpg")
    classes = {segment.id: segment.category_id for segment in imported.segments}
    assert [classes[id_] for id_ in imported.ids[0].tolist()] == [*numbers.values()]
    assert all(s.is_thing == coco.by_id(s.category_id).is_thing for s in imported.segments)
    assert len(summary.classes.other_kind) == 80  # the file calls all things stuff
    assert "80 classes are things in" in caplog.text
    assert "32 classes of" in caplog.text
    assert "class net is tennis net: by place in a published set" in caplog.messages


def test_a_class_map_names_classes_or_leaves_them_out(out: Path, tmp_path: Path) -> None:
    rows = ([[1, 1, 2, 2], [3, 3, 3, 3]], {1: 40, 2: 50, 3: 30})
    theirs = elsewhere(tmp_path / "t", {"a/1.jpg": rows}, {30: "sky", 40: "cats", 50: "ufo"})
    with pytest.raises(FormatError) as caught:
        import_labels(out, theirs)
    assert "class 'cats' is not in the run's vocabulary animals" in str(caught.value)
    assert "(like 'cat'?)" in str(caught.value)
    assert "--class-map FILE" in str(caught.value)
    (tmp_path / "map.json").write_text('{"cats": "cat", "ufo": null}')
    summary = import_labels(out, theirs, class_map=tmp_path / "map.json")
    assert (summary.images, summary.left_out) == (1, 1)
    assert {id_: class_id for id_, (class_id, *_) in states_of(out, "a/1.jpg").items()} == {
        1: CAT,
        3: SKY,
    }
    assert import_labels(out, theirs, class_map=tmp_path / "map.json").unchanged == 1


def test_two_classes_of_a_set_may_be_one_of_the_run_and_are_told(
    out: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = ([[1, 1, 2, 2], [3, 3, 3, 3]], {1: 40, 2: 50, 3: 30})
    theirs = elsewhere(tmp_path / "t", {"a/1.jpg": rows}, {30: "sky", 40: "cat", 50: "Kitten"})
    with caplog.at_level("INFO", "frozenseg_label"):
        summary = import_labels(out, theirs, class_map={"kitten": "cat"})
    assert summary.classes.merged == {"cat": ("cat", "Kitten")}
    assert "are one class of the run: cat, Kitten = cat" in caplog.text
    assert [class_id for class_id, *_ in states_of(out, "a/1.jpg").values()] == [CAT, CAT, SKY]


def test_all_that_is_wrong_is_told_at_once_and_nothing_is_written(
    out: Path, tmp_path: Path, make_manifest: MakeManifest, make_image: MakeImage, make_map: MakeMap
) -> None:
    with RunFolder.open_or_create(out, make_manifest()) as run:
        for name in ("c/1.jpg", "d.jpg", "e.jpg", "f.jpg"):
            run.commit(make_image(name), proposal(make_map))
    good = [[1, 1, 1, 1], [2, 2, 2, 2]]
    theirs = elsewhere(
        tmp_path / "theirs",
        {
            "a/1.jpg": (good, {1: 20, 2: 10}),  # nothing wrong
            "b/2.jpg": (good, {1: 20, 3: 20}),  # ids that do not meet
            "1.jpg": (good, {1: 20, 2: 20}),  # one of two images
            "d.jpg": ([[1, 1]], {1: 20}),  # another size
            "e.jpg": (good, {1: 20, 2: 40}),  # a class that the run has not
            "f.jpg": (good, {1: 20, 2: 20}),  # no PNG
        },
        ELSEWHERE | {40: "bird"},
    )
    (theirs / "panoptic" / "5.png").unlink()
    before = (out / "journal.jsonl").read_bytes()
    with pytest.raises(FormatError) as caught:
        import_labels(out, theirs)
    said = str(caught.value)
    for wrong in (
        "b/2.jpg: id 2 is in the PNG only",
        "b/2.jpg: id 3 is in the JSON only",
        "1.jpg: may be 'a/1.jpg' or 'c/1.jpg'",
        "d.jpg: is 2 x 1, and 4 x 2 in the run",
        "class 'bird' is not in the run's vocabulary animals (segments: 1, first in e.jpg)",
        "5.png is missing",
    ):
        assert wrong in said
    assert "\n  a/1.jpg" not in said
    assert (out / "journal.jsonl").read_bytes() == before


def test_two_labels_of_one_image_are_refused(out: Path, tmp_path: Path) -> None:
    rows = ([[1, 1, 1, 1], [1, 1, 1, 1]], {1: 20})
    theirs = elsewhere(tmp_path / "theirs", {"a/1.jpg": rows, "1.jpg": rows})
    with pytest.raises(FormatError, match=r"a/1\.jpg: .*0\.png and .*1\.png are both labels of it"):
        import_labels(out, theirs)


def test_no_common_image_shows_names_of_both_sides(out: Path, tmp_path: Path) -> None:
    theirs = elsewhere(tmp_path / "theirs", {"x.jpg": ([[1]], {1: 20})})
    with pytest.raises(FormatError, match=r"there: 'x\.jpg'; in the run: 'a/1\.jpg', 'b/2\.jpg'"):
        import_labels(out, theirs)


def test_a_json_file_without_its_pngs_is_one_sentence(out: Path, corrected: Path) -> None:
    moved = corrected.parent / "labels.json"
    (corrected / "panoptic.json").rename(moved)
    with pytest.raises(FormatError, match=r"no folder .*labels of its PNGs.* with --pngs"):
        import_labels(out, moved)
    assert import_labels(out, moved, pngs=corrected / "panoptic").images == 1


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path, corrected: Path) -> None:
    with pytest.raises(RunError, match="is no run folder"):
        import_labels(tmp_path, corrected)


def test_what_people_did_in_the_run_is_overwritten_on_demand_alone(
    out: Path, corrected: Path, make_image: MakeImage, make_map: MakeMap
) -> None:
    human = make_map([[1, 1, 5, 5], [5, 5, 5, 5]], {1: (CAT, "accepted"), 5: (DOG, "edited")})
    with RunFolder.open_to_correct(out) as run:
        run.correct(make_image("a/1.jpg"), human, state="reviewed")
    with pytest.raises(FormatError, match=r"a/1\.jpg: a person corrected it.*\n.*--overwrite"):
        import_labels(out, corrected)
    with RunFolder.read(out) as run:
        assert np.array_equal(run.read_map("a/1.jpg").ids, human.ids)
    assert import_labels(out, corrected, overwrite=True).images == 1
    assert labels_of(out, "a/1.jpg").current.class_names() == {"cat", "dog", "sky"}


def test_a_reviewed_image_is_not_filled_up_unasked(
    out: Path, corrected: Path, make_image: MakeImage, make_map: MakeMap
) -> None:
    with RunFolder.open_to_correct(out) as run:
        nothing = make_map([[0, 0, 0, 0], [0, 0, 0, 0]], {})
        run.correct(make_image("a/1.jpg"), nothing, state="reviewed")
    with pytest.raises(FormatError, match="it is reviewed, and its labels would change"):
        import_labels(out, corrected)


def test_the_same_set_corrected_further_comes_in_again(out: Path, corrected: Path) -> None:
    import_labels(out, corrected)
    elsewhere(corrected, {"a/1.jpg": ([[1, 1, 1, 1], [0, 0, 0, 0]], {1: 10})})
    assert import_labels(out, corrected).images == 1
    [segment] = states_of(out, "a/1.jpg").values()
    assert segment == (DOG, "imported", "accepted", None)


def test_another_set_does_not_replace_an_imported_one_unasked(
    out: Path, corrected: Path, tmp_path: Path
) -> None:
    import_labels(out, corrected)
    rows = ([[1, 1, 1, 1], [0, 0, 0, 0]], {1: 10})
    with pytest.raises(FormatError, match="4 of its segments would not stay as they are"):
        import_labels(out, elsewhere(tmp_path / "others", {"a/1.jpg": rows}))


def test_our_own_form_keeps_who_made_a_segment(
    out: Path, tmp_path: Path, make_map: MakeMap, vocabulary: Vocabulary
) -> None:
    edited = make_map(
        [[1, 1, 2, 2], [3, 3, 3, 5]],
        {1: (DOG, "proposed"), 2: (DOG, "rejected"), 3: (SKY, "proposed"), 5: (CAT, "edited")},
    )
    theirs = ours(tmp_path / "ours", "a/1.jpg", edited, vocabulary)
    assert counts(import_labels(out, theirs, trust_states=True)) == [0, 1, 1, 1, 1]
    assert states_of(out, "a/1.jpg") == {
        1: (
            DOG,
            "imported",
            "accepted",
            None,
        ),  # of another class: the model's score is no more true
        3: (SKY, "imported", "accepted", None),
        5: (CAT, "human", "edited", None),
    }
    [memory] = labels_of(out, "a/1.jpg").rejected
    assert (memory.category, memory.source) == ("dog", "model:abc")
    assert import_labels(out, theirs, trust_states=True).images == 0


def test_label_images_of_other_formats_follow(
    tmp_path: Path, make_manifest: MakeManifest, make_image: MakeImage, make_map: MakeMap
) -> None:
    out, manifest = tmp_path / "out", make_manifest()
    asked = manifest.model_copy(update={"arguments": {"formats": [CLASS_PNG]}})
    with RunFolder.open_or_create(out, asked, formats=[CLASS_PNG]) as run:
        run.commit(make_image("a.jpg"), proposal(make_map))
        run.finish()
    before = (out / CLASS_PNG / "a.png").read_bytes()
    rows = ([[1, 1, 1, 1], [1, 1, 1, 1]], {1: 20})
    import_labels(out, elsewhere(tmp_path / "theirs", {"a.jpg": rows}))
    assert (out / CLASS_PNG / "a.png").read_bytes() != before


def test_an_interrupted_import_leaves_whole_images_and_goes_on(
    out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = ([[1, 1, 1, 1], [1, 1, 1, 1]], {1: 20})
    theirs = elsewhere(tmp_path / "theirs", {"a/1.jpg": rows, "b/2.jpg": rows})
    correct = RunFolder.correct

    def interrupted(
        run: RunFolder, record: ImageRecord, *args: PanopticMap, **options: object
    ) -> None:
        if record.relative == "b/2.jpg":
            raise KeyboardInterrupt
        correct(run, record, *args, **options)

    monkeypatch.setattr(RunFolder, "correct", interrupted)
    with pytest.raises(KeyboardInterrupt):
        import_labels(out, theirs)
    monkeypatch.undo()
    dataset = read_coco_panoptic(out / "panoptic.json", trust_states=True)
    states = {a.file_name: a.state for a in dataset.annotations}
    assert states == {"a/1.jpg": "reviewed", "b/2.jpg": "unseen"}
    summary = import_labels(out, theirs)
    assert (summary.images, summary.unchanged) == (1, 1)
    assert labels_of(out, "b/2.jpg").state == "reviewed"
