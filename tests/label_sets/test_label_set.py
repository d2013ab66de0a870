"""Sets of labels in every form that `evaluate` takes."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from frozenseg_label.errors import FormatError
from frozenseg_label.evaluation.segment_overlap import one_segment_per_stuff
from frozenseg_label.formats.class_png import class_indices, classes_file, encode_class_png
from frozenseg_label.label_sets.open_label_set import open_label_set
from frozenseg_label.panoptic import PanopticMap
from frozenseg_label.vocabulary import Vocabulary

MakeMap = Callable[..., PanopticMap]
MakeSet = Callable[..., Path]
CAT, DOG, SKY = 1, 2, 3


def test_a_folder_and_its_json_are_one_set(
    tmp_path: Path, make_map: MakeMap, make_set: MakeSet
) -> None:
    made = make_map([[1, 2]], {1: CAT, 2: SKY})
    folder = make_set(tmp_path / "set", {"a.jpg": made})
    for path in (folder, folder / "panoptic.json"):
        with open_label_set(path) as labels:
            assert labels.images == ("a.jpg",)
            assert labels.read_map("a.jpg").ids.tolist() == [[1, 2]]
            assert labels.labels_of("a.jpg").png == folder / "panoptic" / "a.png"
            assert labels.seen is None


def test_predictions_alone_take_names_and_classes_from_the_truth(golden: Path) -> None:
    with (
        open_label_set(golden / "panoptic_gt.json") as truth,
        open_label_set(golden / "panoptic_pred.json", like=truth) as predicted,
    ):
        assert predicted.images == truth.images
        assert predicted.vocabulary.categories == truth.vocabulary.categories


def test_predictions_alone_cannot_be_read_alone(golden: Path) -> None:
    with (
        pytest.raises(FormatError, match="has no `images`; a file that has only predictions"),
        open_label_set(golden / "panoptic_pred.json"),
    ):
        pass


def test_pngs_may_lie_beside_the_json(tmp_path: Path, make_map: MakeMap, make_set: MakeSet) -> None:
    folder = make_set(tmp_path / "set", {"a.jpg": make_map([[1, 2]], {1: CAT, 2: SKY})})
    (folder / "panoptic" / "a.png").rename(folder / "a.png")
    (folder / "panoptic").rmdir()
    with open_label_set(folder) as labels:
        assert labels.read_map("a.jpg").ids.tolist() == [[1, 2]]


def test_class_pngs_have_a_segment_a_class(
    tmp_path: Path, make_map: MakeMap, vocabulary: Vocabulary
) -> None:
    made = make_map([[1, 2, 3, 0]], {1: CAT, 2: CAT, 3: SKY})
    (tmp_path / "sub").mkdir()
    png = encode_class_png(class_indices(made, vocabulary), vocabulary)
    (tmp_path / "sub" / "a.png").write_bytes(png)
    (tmp_path / "classes.json").write_bytes(classes_file(vocabulary))
    pictures = tmp_path / "pictures"
    (pictures / "sub").mkdir(parents=True)
    (pictures / "sub" / "a.jpg").write_bytes(b"a picture")
    with open_label_set(tmp_path, pictures) as labels:
        assert labels.picture("sub/a") == pictures / "sub" / "a.jpg"
        assert labels.images == ("sub/a",)
        assert not labels.has_segments
        read = labels.read_map("sub/a")
        assert labels.labels_of("sub/a").png is None
    assert read.ids.tolist() == [[1, 1, 3, 0]]
    assert [(s.category_id, s.area) for s in read.segments] == [(CAT, 2), (SKY, 1)]


def test_two_images_of_one_name_are_refused(
    tmp_path: Path, make_map: MakeMap, make_set: MakeSet
) -> None:
    one = make_map([[1]], {1: CAT})
    folder = make_set(tmp_path / "set", {"a.jpg": one, "b.jpg": one})
    document = json.loads((folder / "panoptic.json").read_text())
    document["images"][1]["file_name"] = "a.jpg"
    (folder / "panoptic.json").write_text(json.dumps(document))
    with (
        pytest.raises(FormatError, match=r"two images are called 'a\.jpg'"),
        open_label_set(folder),
    ):
        pass


@pytest.mark.parametrize(
    ("name", "said"), [("absent", "there is no such file or folder"), (".", "has none of these")]
)
def test_what_is_no_set_is_told(tmp_path: Path, name: str, said: str) -> None:
    with pytest.raises(FormatError, match=said), open_label_set(tmp_path / name):
        pass


def test_regions_of_one_kind_of_stuff_become_one_segment_and_things_stay(
    make_map: MakeMap,
) -> None:
    made = make_map([[1, 1, 2, 3, 4]], {1: SKY, 2: CAT, 3: CAT, 4: SKY})
    merged = one_segment_per_stuff(made)
    merged.check()
    assert merged.ids.tolist() == [[1, 1, 2, 3, 1]]
    assert [s.area for s in merged.segments] == [3, 1, 1]
    assert one_segment_per_stuff(merged) is merged
