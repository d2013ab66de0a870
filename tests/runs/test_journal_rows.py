"""Labels outlive a change of the vocabulary: names are what lasts."""

from dataclasses import replace

from frozenseg_label.panoptic import Segment
from frozenseg_label.runs.journal_rows import Labels, StoredMap
from frozenseg_label.vocabulary import Category, Vocabulary

OLD = Vocabulary("old", (Category("cat", 1), Category("dog", 2), Category("sky", 3)))
NEW = Vocabulary("new", (Category("bird", 1), Category("cat", 2), Category("sky", 3, (), False)))

CAT = Segment(5, 1, True, 9, (1, 2, 3, 4), 0.5, 0.25, 2, state="accepted")
SKY = Segment(6, 3, True, 1, (0, 0, 1, 1), 0.5, 0.25, 1)
DOG = Segment(7, 2, True, 1, (0, 0, 1, 1), state="edited")


def test_segments_take_the_ids_that_their_names_have_now() -> None:
    cat, sky = StoredMap.of(b"aa", [CAT, SKY], OLD).segments(NEW)
    assert (cat.id, cat.category_id, cat.second) == (5, 2, None)  # dog is no more
    assert (sky.category_id, sky.is_thing, sky.second) == (3, False, 2)
    assert (cat.score, cat.state, cat.area, cat.bbox) == (0.5, "accepted", 9, (1, 2, 3, 4))


def test_classes_that_are_no_more_are_told() -> None:
    stored = StoredMap.of(b"aa", [CAT, DOG], OLD)
    assert stored.class_names() == {"cat", "dog"}
    assert stored.lost_classes(NEW) == {"dog"}
    assert [segment.id for segment in stored.segments(NEW)] == [5]


def test_a_class_that_is_a_synonym_now_is_part_of_the_other_one() -> None:
    puppies = Vocabulary("new", (Category("cat", 2), Category("puppy", 4, synonyms=("dog",))))
    stored = StoredMap.of(b"aa", [CAT, DOG], OLD)
    assert stored.lost_classes(puppies) == set()
    assert [segment.category_id for segment in stored.segments(puppies)] == [2, 4]
    both = replace(
        puppies, categories=(Category("cat", 2, synonyms=("dog",)), *puppies.categories[1:])
    )
    assert stored.lost_classes(both) == {"dog"}  # which of the two is meant, nobody said


def test_labels_know_what_a_person_did() -> None:
    def labels(*segments: Segment, state: str = "unseen") -> Labels:
        current = StoredMap.of(b"aa", segments, OLD)
        row = {"file": "a.png", "width": 4, "height": 3, "state": state, "current": current}
        return Labels.model_validate(row)

    assert labels(CAT, DOG, SKY).lost_classes_of_people(NEW) == {"dog"}
    assert labels(DOG).is_corrected()
    assert labels(state="reviewed").is_corrected()  # "nothing here" is a person's word, too
    assert not labels(SKY).is_corrected()
