"""What a person did stays; proposals take what is left, and the map stays panoptic."""

from collections.abc import Callable

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from frozenseg_label.panoptic import PanopticMap, Segment, State, measure
from frozenseg_label.runs.ownership import RejectedSegment, fuse, withdraw_rejected
from frozenseg_label.vocabulary import Category, Vocabulary

MakeMap = Callable[..., PanopticMap]

CAT, DOG, SKY = 1, 2, 3
VOCABULARY = Vocabulary(
    "animals", (Category("cat", CAT), Category("dog", DOG), Category("sky", SKY, is_thing=False))
)
NOTHING = PanopticMap(np.zeros((2, 4), dtype=np.int32), ())


def classes(panoptic_map: PanopticMap) -> dict[int, int]:
    return {segment.id: segment.category_id for segment in panoptic_map.segments}


def test_owned_segments_keep_pixels_class_and_id(make_map: MakeMap) -> None:
    existing = make_map(
        [[7, 7, 0, 0], [9, 9, 4, 4]],
        {7: (CAT, "accepted"), 9: (DOG, "edited"), 4: (SKY, "proposed")},
    )
    proposal = make_map([[1, 1, 1, 1], [1, 1, 1, 1]], {1: (SKY, "proposed")})
    fused = fuse(proposal, existing, (), VOCABULARY)
    fused.check()
    assert fused.ids.tolist() == [[7, 7, 1, 1], [9, 9, 1, 1]]
    assert classes(fused) == {7: CAT, 9: DOG, 1: SKY}
    kept = {segment for segment in existing.segments if segment.id != 4}
    assert kept < set(fused.segments)  # score and source of the model as well
    assert fused.segments[-1].area == 4
    assert fused.segments[-1].bbox == (2, 0, 2, 2)


def test_earlier_proposals_give_way(make_map: MakeMap) -> None:
    existing = make_map([[4, 4, 4, 4], [4, 4, 4, 4]], {4: (DOG, "proposed")})
    fused = fuse(NOTHING, existing, (), VOCABULARY)
    assert fused.segments == ()
    assert not fused.ids.any()


def test_a_proposal_whose_id_is_taken_gets_another(make_map: MakeMap) -> None:
    existing = make_map([[1, 0, 0, 0], [0, 0, 0, 0]], {1: (CAT, "edited")})
    proposal = make_map([[0, 0, 1, 2], [0, 0, 1, 2]], {1: (DOG, "proposed"), 2: (CAT, "proposed")})
    fused = fuse(proposal, existing, (), VOCABULARY)
    assert fused.ids.tolist() == [[1, 0, 3, 2], [0, 0, 3, 2]]
    assert classes(fused) == {1: CAT, 3: DOG, 2: CAT}


def test_the_rim_around_a_persons_outline_is_no_object(make_map: MakeMap) -> None:
    existing = make_map([[7, 7, 7, 0], [0, 0, 0, 0]], {7: (DOG, "edited")})
    proposal = make_map([[1, 1, 1, 1], [0, 0, 0, 0]], {1: (DOG, "proposed")})
    assert classes(fuse(proposal, existing, (), VOCABULARY)) == {7: DOG}


def test_a_stuff_region_of_a_class_that_a_person_owns_stays_apart(make_map: MakeMap) -> None:
    existing = make_map([[7, 7, 7, 0], [0, 0, 0, 0]], {7: (SKY, "edited")})
    proposal = make_map([[1, 1, 1, 1], [0, 0, 0, 0]], {1: (SKY, "proposed")})
    fused = fuse(proposal, existing, (), VOCABULARY)
    assert fused.ids[0].tolist() == [7, 7, 7, 1]
    assert classes(fused) == {7: SKY, 1: SKY}


def test_a_rejected_segment_becomes_void_and_does_not_come_back(make_map: MakeMap) -> None:
    reviewed = make_map([[5, 5, 5, 6], [0, 0, 0, 6]], {5: (DOG, "rejected"), 6: (CAT, "accepted")})
    left, rejected = withdraw_rejected(reviewed, VOCABULARY)
    left.check()
    assert left.ids.tolist() == [[0, 0, 0, 6], [0, 0, 0, 6]]
    [memory] = rejected
    assert (memory.category, memory.source, memory.score) == ("dog", "model:abc", 0.5)
    assert memory.mask().tolist() == [[True, True, True, False], [False] * 4]

    again = make_map([[1, 1, 1, 0], [1, 0, 0, 0]], {1: (DOG, "proposed")})  # IoU 3/4
    assert classes(fuse(again, left, rejected, VOCABULARY)) == {6: CAT}
    other_class = make_map([[1, 1, 1, 0], [0, 0, 0, 0]], {1: (SKY, "proposed")})
    assert classes(fuse(other_class, left, rejected, VOCABULARY)) == {6: CAT, 1: SKY}
    elsewhere = make_map([[0, 0, 1, 0], [1, 1, 1, 0]], {1: (DOG, "proposed")})  # IoU 1/6
    assert classes(fuse(elsewhere, left, rejected, VOCABULARY)) == {6: CAT, 1: DOG}


def test_a_proposal_that_hides_behind_a_persons_segment_is_known_again(make_map: MakeMap) -> None:
    # What was refused was the part beside the cat; the proposal reaches under the cat.
    rejected = make_map([[6, 6, 6, 6], [0, 0, 5, 0]], {5: (DOG, "rejected"), 6: (CAT, "edited")})
    left, memory = withdraw_rejected(rejected, VOCABULARY)
    proposal = make_map([[0, 0, 1, 0], [0, 0, 1, 0]], {1: (DOG, "proposed")})
    assert classes(fuse(proposal, left, memory, VOCABULARY, min_visible=0.0)) == {6: CAT}


def remembered(mask: NDArray[np.bool_]) -> RejectedSegment:
    segments = (Segment(1, CAT, True, int(mask.sum()), (0, 0, 1, 1), state="rejected"),)
    [memory] = withdraw_rejected(PanopticMap(mask.astype(np.int32), segments), VOCABULARY)[1]
    return memory


def test_a_remembered_mask_is_cocos_run_lengths_by_columns() -> None:
    assert remembered(np.array([[0, 1, 0], [0, 1, 1]], dtype=np.bool_)).counts == (2, 2, 1, 1)
    assert remembered(np.array([[1, 1, 0]], dtype=np.bool_)).counts == (0, 2, 1)


@settings(max_examples=60, deadline=None)
@given(arrays.arrays(np.bool_, (3, 5)))
def test_a_remembered_mask_is_the_mask(mask: NDArray[np.bool_]) -> None:
    if mask.any():
        assert np.array_equal(remembered(mask).mask(), mask)


@st.composite
def maps(draw: st.DrawFn, states: tuple[State, ...]) -> PanopticMap:
    ids = draw(arrays.arrays(np.int32, (4, 5), elements=st.integers(0, 5))) * draw(
        st.sampled_from([1, 1, 3_000_000])
    )
    segments = []
    for id_, (area, bbox) in measure(ids.astype(np.int32)).items():
        category = draw(st.sampled_from(VOCABULARY.categories))
        state = draw(st.sampled_from(states))
        segments.append(Segment(id_, category.id, category.is_thing, area, bbox, 0.5))
        segments[-1] = Segment(**{**vars(segments[-1]), "state": state})
    return PanopticMap(ids.astype(np.int32), tuple(segments))


@settings(max_examples=60, deadline=None)
@given(maps(("proposed",)), maps(("proposed", "accepted", "edited", "rejected")))
def test_fusing_keeps_the_map_panoptic_and_human_work_untouched(
    proposal: PanopticMap, reviewed: PanopticMap
) -> None:
    existing, rejected = withdraw_rejected(reviewed, VOCABULARY)
    fused = fuse(proposal, existing, rejected, VOCABULARY)
    fused.check()
    by_id = {segment.id: segment for segment in fused.segments}
    owned = [segment for segment in existing.segments if segment.is_owned]
    for segment in owned:
        assert by_id[segment.id] == segment
        assert np.array_equal(fused.ids == segment.id, existing.ids == segment.id)
    human = {segment.id for segment in owned}
    for segment in fused.segments:
        if segment.id not in human:
            [source] = set(np.unique(proposal.ids[fused.ids == segment.id]).tolist())
            assert segment.state == "proposed"
            assert source in {other.id for other in proposal.segments}
    for memory in rejected:
        assert not _comes_back(memory, proposal, fused, human)


@settings(max_examples=60, deadline=None)
@given(maps(("proposed",)), maps(("accepted", "edited", "rejected")))
def test_fusing_twice_changes_nothing(proposal: PanopticMap, reviewed: PanopticMap) -> None:
    existing, rejected = withdraw_rejected(reviewed, VOCABULARY)
    once = fuse(proposal, existing, rejected, VOCABULARY)
    twice = fuse(proposal, once, rejected, VOCABULARY)
    assert np.array_equal(once.ids, twice.ids)
    assert set(once.segments) == set(twice.segments)


def _comes_back(
    memory: RejectedSegment, proposal: PanopticMap, fused: PanopticMap, human: set[int]
) -> bool:
    """Whether a proposed segment of the fused map covers half of what was refused, or more."""
    refused = memory.mask()
    for segment in fused.segments:
        mask = fused.ids == segment.id
        same_class = VOCABULARY.by_id(segment.category_id).name == memory.category
        iou = (mask & refused).sum() / (mask | refused).sum()
        if segment.id not in human and same_class and iou >= 0.5:
            return True
    return False
