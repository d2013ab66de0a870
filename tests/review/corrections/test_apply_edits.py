"""What people do to segments in the App, and the labels that follow from it."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest

from frozenseg_label.errors import ReviewError
from frozenseg_label.panoptic import PanopticMap, Segment, State
from frozenseg_label.review.corrections.apply_edits import Edited, apply_edits
from frozenseg_label.review.corrections.opened_labels import OpenedLabels
from frozenseg_label.review.corrections.regions import Region, ShownImage, is_untouched
from frozenseg_label.runs.journal_rows import Labels, StoredMap
from frozenseg_label.vocabulary import Vocabulary

CAT, DOG, SKY, GRASS = 1, 2, 3, 4
ROWS = [
    [1, 1, 1, 2, 2, 2],
    [1, 1, 1, 2, 2, 2],
    [3, 3, 3, 4, 4, 0],
    [3, 3, 3, 4, 4, 0],
]
CLASSES = {1: CAT, 2: DOG, 3: SKY, 4: GRASS}


def base(classes: dict[int, int] = CLASSES, states: dict[int, State] | None = None) -> PanopticMap:
    segments = (
        Segment(
            id_,
            class_,
            is_thing=class_ < SKY,
            score=0.5,
            margin=0.2,
            second=DOG,
            source="model:abc",
            state=(states or {}).get(id_, "proposed"),
        )
        for id_, class_ in classes.items()
    )
    return PanopticMap.of(np.array(ROWS, np.int32), segments)


def shown(panoptic: PanopticMap, vocabulary: Vocabulary) -> dict[int, Region]:
    """Return the regions of an App in which nobody did anything yet, by segment id."""
    regions = {}
    for segment in panoptic.segments:
        x, y, width, height = segment.bbox
        mask = panoptic.ids[y : y + height, x : x + width] == segment.id
        name = vocabulary.by_id(segment.category_id).name
        box = float(x), float(y), float(width), float(height)
        regions[segment.id] = Region(segment.id, name, mask, box)
    return regions


def opened(
    labels: PanopticMap, vocabulary: Vocabulary, proposed: StoredMap | None = None
) -> OpenedLabels:
    """Return labels of an image that nobody has looked at yet."""
    stored = StoredMap.of(b"", labels.segments, vocabulary)
    height, width = labels.ids.shape
    entry = Labels(
        file="a.png",
        width=width,
        height=height,
        state="unseen",
        current=stored,
        proposed=proposed,
    )
    return OpenedLabels(labels, entry, vocabulary)


def edit(
    labels: PanopticMap,
    regions: Iterable[Region],
    vocabulary: Vocabulary,
    tags: frozenset[str] = frozenset(),
) -> Edited:
    return apply_edits(opened(labels, vocabulary), ShownImage(tuple(regions), tags))


def region(label: str, rows: list[list[int]], x: int, y: int, id_: int | None = None) -> Region:
    mask = np.array(rows, bool)
    return Region(id_, label, mask, (x, y, mask.shape[1], mask.shape[0]))


def facts(edited: Edited) -> dict[int, tuple[int, str, str]]:
    return {s.id: (s.category_id, s.state, s.source) for s in edited.panoptic.segments}


def kinds(edited: Edited) -> list[tuple[str, int]]:
    return [(change.kind, change.segment) for change in edited.changes]


MODEL, HUMAN = "model:abc", "human"


def test_what_nobody_touched_is_untouched(vocabulary: Vocabulary) -> None:
    regions = tuple(shown(base(), vocabulary).values())
    labels = opened(base(), vocabulary)
    assert is_untouched(labels, ShownImage(regions))
    assert is_untouched(labels, ShownImage(regions[::-1], {"my own tag"}))
    assert not is_untouched(labels, ShownImage(regions, {"accepted"}))
    assert not is_untouched(labels, ShownImage(regions[1:]))


def test_another_class_makes_a_segment_a_persons_and_decides_thing_or_stuff(
    vocabulary: Vocabulary,
) -> None:
    regions = shown(base(), vocabulary)
    regions[1] = replace(regions[1], label="grass")
    edited = edit(base(), regions.values(), vocabulary)
    [changed] = [segment for segment in edited.panoptic.segments if segment.id == 1]
    assert (changed.category_id, changed.is_thing, changed.state) == (GRASS, False, "edited")
    assert (changed.source, changed.score, changed.second) == ("human", None, None)
    assert np.array_equal(edited.panoptic.ids, base().ids)
    assert edited.state == "in review"
    [change] = edited.changes
    assert (change.kind, change.label, change.before) == ("relabelled", "grass", "cat")


def test_accepted_segments_keep_source_and_score(vocabulary: Vocabulary) -> None:
    regions = shown(base(), vocabulary)
    regions[1] = replace(regions[1], tags=frozenset({"accepted"}))
    edited = edit(base(), regions.values(), vocabulary)
    assert edited.panoptic.segments[0] == replace(base().segments[0], state="accepted")
    assert facts(edited)[2] == (DOG, "proposed", MODEL)


def test_an_accepted_image_is_reviewed_and_all_its_proposals_accepted(
    vocabulary: Vocabulary,
) -> None:
    regions = shown(base(), vocabulary)
    regions[2] = replace(regions[2], tags=frozenset({"rejected"}))
    edited = edit(base(), regions.values(), vocabulary, frozenset({"accepted"}))
    assert edited.state == "reviewed"
    assert [facts(edited)[id_][1] for id_ in (1, 2, 3)] == ["accepted", "rejected", "accepted"]


def test_a_segment_that_was_drawn_takes_its_pixels_and_a_new_id(vocabulary: Vocabulary) -> None:
    regions = [*shown(base(), vocabulary).values(), region("dog", [[1, 1], [1, 1]], 2, 1)]
    edited = edit(base(), regions, vocabulary)
    assert edited.panoptic.ids.tolist() == [
        [1, 1, 1, 2, 2, 2],
        [1, 1, 5, 5, 2, 2],
        [3, 3, 5, 5, 4, 0],
        [3, 3, 3, 4, 4, 0],
    ]
    assert facts(edited)[5] == (DOG, "edited", HUMAN)
    assert facts(edited)[1] == (CAT, "proposed", MODEL)  # it only lost a pixel
    edited.panoptic.check()


def test_new_ids_are_higher_than_any_that_was_ever_given(vocabulary: Vocabulary) -> None:
    regions = (*shown(base(), vocabulary).values(), region("dog", [[1]], 5, 3))
    nine = StoredMap.of(b"", [replace(base().segments[0], id=9)], vocabulary)
    edited = apply_edits(opened(base(), vocabulary, proposed=nine), ShownImage(regions))
    assert facts(edited)[10] == (DOG, "edited", HUMAN)


def test_an_edited_segment_wins_its_pixels_and_what_it_leaves_is_void(
    vocabulary: Vocabulary,
) -> None:
    regions = shown(base(), vocabulary)
    regions[1] = region("cat", [[0, 1, 1, 1]], 0, 0, id_=1)
    edited = edit(base(), regions.values(), vocabulary)
    assert edited.panoptic.ids[:2].tolist() == [[0, 1, 1, 1, 2, 2], [0, 0, 0, 2, 2, 2]]
    [change] = edited.changes
    assert (change.kind, change.gained, change.lost) == ("reshaped", 1, 4)


def test_a_deleted_proposal_is_remembered_as_rejected_and_a_persons_own_is_only_gone(
    vocabulary: Vocabulary,
) -> None:
    own = base()
    own = PanopticMap(
        own.ids, (own.segments[0], replace(own.segments[1], source="human"), *own.segments[2:])
    )
    regions = shown(own, vocabulary)
    del regions[1], regions[2]
    edited = edit(own, regions.values(), vocabulary)
    assert facts(edited)[1][1] == "rejected"
    assert 2 not in facts(edited)
    assert edited.panoptic.ids[0].tolist() == [1, 1, 1, 0, 0, 0]


def test_a_merged_segment_is_not_a_rejected_one(vocabulary: Vocabulary) -> None:
    regions = shown(base(), vocabulary)
    del regions[2]
    regions[1] = region("cat", [[1] * 6, [1] * 6], 0, 0, id_=1)
    edited = edit(base(), regions.values(), vocabulary)
    assert edited.panoptic.ids[:2].tolist() == [[1] * 6, [1] * 6]
    assert facts(edited).keys() == {1, 3, 4}
    assert kinds(edited) == [("merged", 1)]


def test_stuff_of_one_class_that_a_person_owns_becomes_one_segment(
    vocabulary: Vocabulary,
) -> None:
    regions = shown(base(), vocabulary)
    regions[1] = replace(regions[1], label="sky")
    regions[3] = replace(regions[3], tags=frozenset({"accepted"}))
    edited = edit(base(), regions.values(), vocabulary)
    assert facts(edited)[1] == (SKY, "edited", HUMAN)
    assert 3 not in facts(edited)
    assert edited.panoptic.ids[2:, :3].tolist() == [[1, 1, 1], [1, 1, 1]]


def test_proposed_stuff_stays_beside_a_persons_stuff_of_its_class(vocabulary: Vocabulary) -> None:
    regions = shown(base(), vocabulary)
    regions[1] = replace(regions[1], label="sky")
    edited = edit(base(), regions.values(), vocabulary)
    assert facts(edited)[3] == (SKY, "proposed", MODEL)


def test_a_class_outside_the_vocabulary_is_told_with_its_place(vocabulary: Vocabulary) -> None:
    regions = [*shown(base(), vocabulary).values(), region("awning", [[1]], 5, 3)]
    with pytest.raises(ReviewError, match=r"at 5, 3 has the class 'awning'"):
        edit(base(), regions, vocabulary)


def test_a_box_without_a_mask_claims_no_pixel(vocabulary: Vocabulary) -> None:
    box = Region(None, "dog", None, (0, 0, 6, 4))
    regions = [*shown(base(), vocabulary).values(), box]
    assert is_untouched(opened(base(), vocabulary), ShownImage(tuple(regions)))
    edited = edit(base(), regions, vocabulary)
    assert np.array_equal(edited.panoptic.ids, base().ids)


def test_void_stays_void(vocabulary: Vocabulary) -> None:
    regions = shown(base(), vocabulary)
    regions[4] = replace(regions[4], label="dog")
    edited = edit(base(), regions.values(), vocabulary, frozenset({"accepted"}))
    assert (edited.panoptic.ids[2:, 5] == 0).all()


def test_what_a_machine_accepted_is_judged_with_the_image_or_by_its_own_tag(
    vocabulary: Vocabulary,
) -> None:
    made = base()
    by_machine = (replace(s, state="accepted", accepted_by="calibrate 0.98") for s in made.segments)
    start = opened(replace(made, segments=tuple(by_machine)), vocabulary)
    regions = shown(start.panoptic, vocabulary)
    regions[2] = replace(regions[2], tags=frozenset({"rejected"}))
    some = apply_edits(start, ShownImage((*regions.values(),)))
    assert [s.state for s in some.panoptic.segments] == ["accepted", "rejected", *["accepted"] * 2]
    assert [s.accepted_by is None for s in some.panoptic.segments] == [False] * 4
    whole = apply_edits(start, ShownImage((*regions.values(),), frozenset({"accepted"})))
    assert [s.accepted_by is None for s in whole.panoptic.segments] == [True, False, True, True]
    assert {change.kind for change in whole.changes} == {"accepted", "rejected"}


def test_stuff_that_a_machine_accepted_does_not_become_a_person_s(vocabulary: Vocabulary) -> None:
    made = base({1: SKY, 2: DOG, 3: SKY, 4: GRASS})
    machine = replace(made.segments[0], state="accepted", accepted_by="calibrate 0.98")
    mine = made.segments[2].owned_by("human")
    segments = (machine, made.segments[1], mine, made.segments[3])
    start = opened(replace(made, segments=segments), vocabulary)
    regions = shown(start.panoptic, vocabulary)
    regions[2] = replace(regions[2], tags=frozenset({"accepted"}))
    kept = apply_edits(start, ShownImage((*regions.values(),))).panoptic.segments
    assert kept[0] == machine
    assert kept[2] == mine
