"""Imported labels find their counterparts, and no pixel of them is changed."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from frozenseg_label.exchange.adopt_labels import Changes, adopt
from frozenseg_label.panoptic import PanopticMap, Segment, measure

MakeMap = Callable[..., PanopticMap]

CAT, DOG, SKY = 1, 2, 3
MODEL = "model:abc"


def classes_of(panoptic_map: PanopticMap) -> dict[int, int]:
    return {segment.id: segment.category_id for segment in panoptic_map.segments}


def test_each_segment_finds_its_counterpart(make_map: MakeMap) -> None:
    current = make_map(
        [[1, 1, 1, 2, 2, 2], [4, 4, 4, 5, 5, 6]],
        {id_: (DOG if id_ == 5 else CAT, "proposed") for id_ in (1, 2, 4, 5, 6)},
    )
    imported = make_map(
        [[8, 8, 8, 7, 7, 0], [6, 6, 6, 0, 1, 1]],
        {8: (CAT, "accepted"), 7: (CAT, "accepted"), 6: (DOG, "accepted"), 1: (SKY, "accepted")},
    )
    adoption = adopt(imported, current)
    assert adoption.panoptic_map.ids.tolist() == [[1, 1, 1, 2, 2, 0], [4, 4, 4, 0, 3, 3]]
    assert classes_of(adoption.panoptic_map) == {1: CAT, 2: CAT, 4: DOG, 3: SKY}
    assert adoption.changes == Changes(accepted=1, changed_class=1, reshaped=1, added=1, removed=2)
    assert adoption.overwritten == 0


def test_half_an_overlap_is_no_counterpart(make_map: MakeMap) -> None:
    current = make_map([[1, 1]], {1: (CAT, "edited")})
    imported = make_map([[1, 0]], {1: (CAT, "accepted")})
    adoption = adopt(imported, current)
    assert adoption.changes == Changes(added=1, removed=1)
    assert adoption.panoptic_map.ids.tolist() == [[2, 0]]
    assert adoption.overwritten == 1


@st.composite
def maps(draw: st.DrawFn) -> PanopticMap:
    ids: NDArray[np.int32] = draw(arrays(np.int32, (3, 4), elements=st.integers(0, 4)))
    segments = []
    for id_, (area, bbox) in measure(ids).items():
        state = draw(st.sampled_from(["proposed", "accepted", "edited"]))
        source = draw(st.sampled_from([MODEL, "model:other", "human", "imported"]))
        score = 0.5 if source == MODEL else None
        category = draw(st.integers(1, 3))
        segments.append(Segment(id_, category, True, area, bbox, score, source=source, state=state))
    return PanopticMap(ids, tuple(segments))


@given(imported=maps(), current=maps())
def test_regions_and_classes_stay_and_a_second_time_changes_nothing(
    imported: PanopticMap, current: PanopticMap
) -> None:
    first = adopt(imported, current)
    adopted = first.panoptic_map
    adopted.check()
    before, after = classes_of(imported), classes_of(adopted)
    for segment in imported.segments:
        [id_] = np.unique(adopted.ids[imported.ids == segment.id])
        assert after[int(id_)] == before[segment.id]
        assert (adopted.ids == id_).sum() == segment.area
    assert all(segment.state in ("accepted", "edited") for segment in adopted.segments)
    again = adopt(imported, adopted)
    assert again.changes == Changes()
    assert np.array_equal(again.panoptic_map.ids, adopted.ids)
    assert again.panoptic_map.segments == adopted.segments


@given(imported=maps(), current=maps())
def test_every_segment_is_counted_once(imported: PanopticMap, current: PanopticMap) -> None:
    adoption = adopt(imported, current)
    changes = adoption.changes
    met = len(imported.segments) - changes.added
    assert len(current.segments) == met + changes.removed
    assert 0 <= changes.accepted + changes.changed_class + changes.reshaped <= met
    assert 0 <= adoption.overwritten <= len(current.segments)


def test_what_a_machine_accepted_is_no_person_s_work_until_it_comes_back(make_map: MakeMap) -> None:
    current = make_map([[1, 1, 2, 2]], {1: (CAT, "accepted"), 2: (DOG, "accepted")})
    by_machine = (replace(s, accepted_by="calibrate 0.98") for s in current.segments)
    current = replace(current, segments=tuple(by_machine))
    imported = make_map([[1, 1, 0, 0]], {1: (CAT, "accepted")})
    adoption = adopt(imported, current)
    assert adoption.changes == Changes(accepted=1, removed=1)
    assert adoption.overwritten == 0
    assert [segment.accepted_by for segment in adoption.panoptic_map.segments] == [None]
