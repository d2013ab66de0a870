"""Segments that people own are truth, all others unknown, and faults are reported."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frozenseg_label.errors import FormatError, ImageError, TrainingError
from frozenseg_label.formats.coco_panoptic import write_panoptic_png
from frozenseg_label.training.data.collect import split_images
from frozenseg_label.training.data.labelled_images import (
    LabelledImage,
    LabelledSegment,
    check_images,
    read_labelled_images,
)
from frozenseg_label.training.data.targets import FIRST_REFUSED, IGNORED
from frozenseg_label.training.data.words import join_vocabularies
from frozenseg_label.vocabulary import Category, Vocabulary
from frozenseg_label.vocabulary_files import parse_classes
from tests.training.small_sets import ANIMALS, map_of, write_picture, write_run, write_set

LABELS = {"cat": 0, "dog": 1, "sky": 2}
CORRECTED = map_of([[1, 1, 2, 2], [3, 3, 3, 0]], states={1: "accepted", 2: "edited", 3: "proposed"})


def read_one(source: Path) -> LabelledImage:
    images, vocabulary, _ = read_labelled_images(source, None)
    (image,) = check_images(images, vocabulary)
    return image


def problems_of(source: Path, pictures: Path | None = None) -> list[str]:
    with pytest.raises((TrainingError, FormatError)) as caught:
        check_images(*read_labelled_images(source, pictures))
    return str(caught.value).splitlines()


# What is truth.


def test_in_a_run_the_accepted_and_the_edited_are_targets_and_the_proposed_unknown(
    tmp_path: Path,
) -> None:
    image = read_one(write_run(tmp_path / "out", {"a/1.png": CORRECTED}))
    assert image.name == "a/1.png"
    assert image.truth(LABELS, {}).labels == {1: 0, 2: 1}
    assert image.read_ids().tolist() == [[1, 1, 2, 2], [IGNORED, IGNORED, IGNORED, 0]]
    assert image.read_picture().shape == (2, 4, 3)


def test_what_a_machine_accepted_is_unknown(tmp_path: Path) -> None:
    first, *others = CORRECTED.segments
    by_machine = replace(first, accepted_by="calibrate 0.98")
    labels = replace(CORRECTED, segments=(by_machine, *others))
    image = read_one(write_run(tmp_path / "out", {"a/1.png": labels}))
    assert image.truth(LABELS, {}).labels == {2: 1}
    assert image.read_ids().tolist() == [[IGNORED, IGNORED, 2, 2], [IGNORED, IGNORED, IGNORED, 0]]


def test_unlabelled_pixels_are_truth_in_reviewed_images_only(tmp_path: Path) -> None:
    run = write_run(tmp_path / "out", {"1.png": CORRECTED}, state="in review")
    assert read_one(run).read_ids()[1].tolist() == [IGNORED] * 4
    theirs = write_set(tmp_path / "set", {"1.png": CORRECTED}, state="in review")
    assert IGNORED not in read_one(theirs).read_ids()[1].tolist()
    images, _, _ = read_labelled_images(theirs, None, trust_states=True)
    assert images[0].read_ids()[1].tolist() == [IGNORED] * 4


def test_images_that_nobody_touched_are_left_out(tmp_path: Path) -> None:
    labels = {"1.png": map_of([[1]], states="proposed"), "2.png": map_of([[1]])}
    run = write_run(tmp_path / "out", labels, state="unseen")
    images, vocabulary, _ = read_labelled_images(run, None)
    assert [image.name for image in images if image.teaches] == ["2.png"]
    assert vocabulary == ANIMALS


def test_in_an_image_under_review_a_refused_segment_is_not_of_its_class_and_else_unknown(
    tmp_path: Path,
) -> None:
    labels = map_of(
        [[1, 1, 2, 2], [3, 3, 3, 0]], states={1: "accepted", 2: "rejected", 3: "edited"}
    )
    image = read_one(write_run(tmp_path / "out", {"1.png": labels}, state="in review"))
    refused = FIRST_REFUSED
    assert image.read_ids().tolist() == [[1, 1, refused, refused], [3, 3, 3, IGNORED]]
    truth = image.truth(LABELS, {})
    assert truth.refused == {refused: LABELS["dog"]}
    assert truth.labels == {1: LABELS["cat"], 3: LABELS["sky"]}


def test_in_a_reviewed_image_a_refused_segment_is_nothing(tmp_path: Path) -> None:
    labels = map_of([[1, 2]], states={1: "accepted", 2: "rejected"})
    image = read_one(write_run(tmp_path / "out", {"1.png": labels}))
    assert image.read_ids().tolist() == [[1, 0]]


def test_where_all_segments_were_refused_there_is_something_to_learn_but_no_target(
    tmp_path: Path,
) -> None:
    labels = map_of([[1, 2]], states="rejected")
    image = read_one(write_run(tmp_path / "out", {"1.png": labels}, state="in review"))
    assert image.teaches
    assert not image.has_targets


def test_a_set_of_another_tool_counts_as_accepted_and_reviewed_and_its_crowds_as_unknown(
    tmp_path: Path,
) -> None:
    folder = write_set(tmp_path / "set", {"1.png": map_of([[1, 2, 0]])})
    document = json.loads((folder / "panoptic.json").read_text())
    (row,) = document["annotations"]
    del row["state"]
    row["segments_info"] = [
        {"id": 1, "category_id": 1, "iscrowd": 0},
        {"id": 2, "category_id": 2, "iscrowd": 1},
    ]
    for size in ("width", "height"):  # some tools do not tell
        del document["images"][0][size]
    (folder / "panoptic.json").write_text(json.dumps(document))

    image = read_one(folder / "panoptic.json")

    assert image.size == (1, 3)
    assert image.read_ids().tolist() == [[1, IGNORED, 0]]
    assert image.truth(LABELS, {}).labels == {1: 0}


def test_pictures_lie_where_one_says(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "set", {"1.png": map_of([[1]])})
    (folder / "images").rename(tmp_path / "elsewhere")
    images, vocabulary, _ = read_labelled_images(folder, tmp_path / "elsewhere")
    assert check_images(images, vocabulary)[0].path == tmp_path / "elsewhere" / "1.png"


# What is wrong.


def test_a_folder_without_labels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"a run folder .*, a COCO JSON"):
        read_labelled_images(tmp_path, None)


def test_all_that_is_wrong_is_listed_at_once(tmp_path: Path) -> None:
    names = ("lost", "size", "extra", "short", "png", "fine")
    folder = write_set(tmp_path / "set", {f"{name}.png": CORRECTED for name in names})
    (folder / "images" / "lost.png").unlink()
    write_picture(folder / "images" / "size.png", (3, 4))
    pngs = folder / "panoptic"
    write_panoptic_png(pngs / "extra.png", np.array([[1, 1, 2, 9], [3, 3, 3, 0]], np.int32))
    write_panoptic_png(pngs / "short.png", np.array([[1, 1, 1, 1], [3, 3, 3, 0]], np.int32))
    (pngs / "png.png").write_bytes(b"no picture")

    head, *lines, tail = problems_of(folder)

    assert head == "these labels cannot be trained on:"
    told = [line.replace(f"{folder}/", "").strip() for line in lines]
    assert told[0].startswith("images/lost.png: cannot be read, no such file or directory")
    assert "--images" in told[0]
    assert told[1:4] == [
        "images/size.png: 4 x 3 pixels, but its labels are for 4 x 2",
        "panoptic/extra.png: ids [9] are in the PNG, not in the list of segments",
        "panoptic/short.png: ids [2] are in the list of segments, not in the PNG",
    ]
    assert told[4].startswith("panoptic/png.png: no whole PNG file")
    assert len(told) == 5
    assert "nothing has been trained" in tail


def test_a_class_that_the_vocabulary_lost_is_named_with_each_image(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "set", {"1.png": map_of([[1, 2]]), "2.png": map_of([[1]])})
    images, _, _ = read_labelled_images(folder, None)
    with pytest.raises(TrainingError) as caught:
        check_images(images, parse_classes("Dog"))
    assert str(caught.value).splitlines()[1:3] == [
        "  1.png: class 'cat' is not in the vocabulary",
        "  2.png: class 'cat' is not in the vocabulary",
    ]


def test_a_long_list_of_problems_is_cut_with_their_number(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "set", {f"{i:02}.png": map_of([[1]]) for i in range(23)})
    lines = problems_of(folder, tmp_path / "nowhere")
    assert lines[-2].strip() == "and 3 more"
    assert len(lines) == 1 + 20 + 1 + 1


def test_a_picture_that_changed_its_size_is_noticed_when_it_is_read(tmp_path: Path) -> None:
    image = read_one(write_set(tmp_path / "set", {"1.png": map_of([[1, 2]])}))
    write_picture(image.path, (5, 5))
    with pytest.raises(ImageError, match="5 x 5 pixels, but its labels are for 2 x 1"):
        image.read_picture()


def test_a_png_that_broke_meanwhile_is_noticed_when_it_is_read(tmp_path: Path) -> None:
    image = read_one(write_set(tmp_path / "set", {"1.png": map_of([[1, 2]])}))
    image.png.write_bytes(image.png.read_bytes()[:40])
    with pytest.raises(FormatError, match="not the file whose hash was recorded"):
        image.read_ids()


# Words.


def test_vocabularies_are_joined_by_name_and_synonyms_gathered() -> None:
    other = Vocabulary(
        "farm",
        (Category("Cat", 9, ("KITTEN", "tom")), Category("cow", 3), Category("sky", 5, (), False)),
    )
    joined = join_vocabularies([ANIMALS, other, ANIMALS])
    assert joined.name == "animals + farm"
    assert [c.names for c in joined.categories] == [
        ("cat", "kitten", "tom"),
        ("dog",),
        ("sky",),
        ("cow",),
    ]
    assert [c.id for c in joined.categories] == [1, 2, 3, 4]


def test_a_class_that_is_a_thing_here_and_stuff_there_is_refused() -> None:
    with pytest.raises(TrainingError, match="'Sky' is a thing in one of the sets and stuff in"):
        join_vocabularies([ANIMALS, parse_classes("Sky")])


# The split.


def image_of(digest: int) -> LabelledImage:
    nowhere, segment = Path("nowhere"), LabelledSegment(1, "cat", "accepted")
    hexadecimal = f"{digest:08x}" + 56 * "0"
    return LabelledImage(nowhere, "", nowhere, (1, 1), (segment,), True, (), hexadecimal)


digests = st.sets(st.integers(0, 2**32 - 1), min_size=2, max_size=40)


@given(digests, st.integers(0, 2**32 - 1), st.floats(0.05, 0.95))
def test_an_image_stays_on_its_side_when_another_comes(
    before: set[int], new: int, share: float
) -> None:
    # With the lowest and the highest digest, chance already puts an image on each side.
    images = [image_of(digest) for digest in (0, 2**32 - 1, *sorted(before))]
    _, held = split_images(images, share)
    train_now, held_now = split_images([*images, image_of(new)], share)
    assert {i.digest for i in held} <= {i.digest for i in held_now}
    assert {i.digest for i in images} - {i.digest for i in held} <= {i.digest for i in train_now}


@given(digests, st.floats(0.01, 0.99))
def test_at_least_one_image_is_held_out_and_one_is_not(some: set[int], share: float) -> None:
    images = [image_of(digest) for digest in some]
    train, held = split_images(images, share)
    assert train
    assert held
    assert sorted([*train, *held], key=lambda i: i.digest) == sorted(images, key=lambda i: i.digest)


def test_about_the_share_is_held_out() -> None:
    rng = np.random.default_rng(0)
    images = [image_of(int(digest)) for digest in rng.integers(0, 2**32, 2000)]
    assert len(split_images(images, 0.2)[1]) == pytest.approx(400, abs=60)


def test_nothing_is_held_out_where_nothing_shall_be_or_only_one_image_is() -> None:
    assert split_images([image_of(1), image_of(2)], 0.0)[1] == []
    assert split_images([image_of(1)], 0.5)[1] == []


def test_the_same_picture_in_two_sets_is_on_one_side() -> None:
    twice = [image_of(1), replace(image_of(1), name="again"), image_of(2**32 - 1)]
    train, held = split_images(twice, 0.5)
    assert [image.name for image in held] == ["", "again"]
    assert len(train) == 1
    assert split_images(twice[:2], 0.5) == (twice[:2], [])


# Sets of other tools.


def coco_instances(folder: Path, categories: list[dict[str, object]]) -> Path:
    """A set of one picture of 4 x 2 pixels: a cat at the left, drawn as a polygon."""
    write_picture(folder / "1.png", (2, 4))
    cat = {"image_id": 1, "category_id": 5, "segmentation": [[0, 0, 2, 0, 2, 2, 0, 2]]}
    document = {
        "images": [{"id": 1, "file_name": "1.png", "height": 2, "width": 4}],
        "categories": categories,
        "annotations": [cat],
    }
    (folder / "instances.json").write_text(json.dumps(document))
    return folder / "instances.json"


def test_coco_instances_are_trained_on_as_they_are(tmp_path: Path) -> None:
    path = coco_instances(tmp_path, [{"id": 5, "name": "cat"}])
    image = read_one(path)
    assert image.truth(LABELS, {}).labels == {1: 0}
    assert image.read_ids().tolist() == [[1, 1, 0, 0], [1, 1, 0, 0]]
    assert len(image.label_digest) == 64
    with pytest.raises(FormatError, match="have changed"):
        replace(image, label_digest="0" * 64).read_ids()


def test_kinds_that_a_form_does_not_tell_are_those_of_the_other_sets() -> None:
    run, shapes = Vocabulary("a", (Category("sky", 1, is_thing=False),)), parse_classes("sky, cat")
    joined = join_vocabularies([run], [shapes])
    assert {c.name: c.is_thing for c in joined.categories} == {"sky": False, "cat": True}
    with pytest.raises(TrainingError, match="'sky' is a thing in one of the sets"):
        join_vocabularies([run, shapes])
