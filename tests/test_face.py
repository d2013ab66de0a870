"""What Python programs are given: functions with examples, and one picture's way in memory."""

import doctest
import inspect
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

import frozenseg_label
from frozenseg_label.errors import ImageError
from frozenseg_label.panoptic import PanopticMap

FUNCTIONS = {
    name: found
    for name in frozenseg_label.__all__
    if inspect.isfunction(found := getattr(frozenseg_label, name))
}
# In an order in which each finds what the one before wrote.
ORDER = ("write_demo", "annotate", "evaluate", "queue_csv", "review_page", "export_labels")


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_each_function_says_what_it_returns_and_has_an_example(name: str) -> None:
    said = inspect.getdoc(FUNCTIONS[name]) or ""
    assert "\nReturns:\n" in said
    assert "\n    >>> " in said.partition("\nExample:")[2]
    assert f"frozenseg_label.{name}(" in said


def test_the_examples_work_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names = [*ORDER, *sorted(FUNCTIONS.keys() - set(ORDER))]
    texts = [inspect.getdoc(FUNCTIONS[name]) or "" for name in names]
    texts.append(inspect.getdoc(frozenseg_label.RunFolder.read) or "")
    runner = doctest.DocTestRunner()
    for name, text in zip([*names, "RunFolder.read"], texts, strict=True):
        case = doctest.DocTestParser().get_doctest(
            text, {"frozenseg_label": frozenseg_label}, name, None, None
        )
        assert case.examples
        assert not runner.run(case).failed, name


def test_one_picture_is_labelled_as_a_file_a_pillow_image_and_pixels(tmp_path: Path) -> None:
    [path] = frozenseg_label.write_demo(tmp_path / "pictures", count=1, size=96)
    words = frozenseg_label.parse_classes("dog, tree, snow: stuff")
    frozenseg_label.annotate(path, tmp_path / "out", words)
    with frozenseg_label.RunFolder.read(str(tmp_path / "out")) as run:
        expected = run.read_map(path.name)

    predictor = frozenseg_label.load_predictor(words)
    image = Image.open(path)
    for given in (path, str(path), image, np.asarray(image.convert("RGB"))):
        found = predictor.label(given)
        assert isinstance(found, PanopticMap)
        assert np.array_equal(found.ids, expected.ids)
        assert [s.category_id for s in found.segments] == [s.category_id for s in expected.segments]


def test_a_pillow_image_is_turned_upright_and_what_is_no_picture_is_refused(
    tmp_path: Path,
) -> None:
    predictor = frozenseg_label.load_predictor(frozenseg_label.parse_classes("dog"))
    lying = Image.new("RGB", (64, 32), "white")
    lying.getexif()[ExifTags.Base.Orientation] = 6
    assert predictor.label(lying).ids.shape == (64, 32)
    with pytest.raises(ImageError, match="is a folder; give one picture"):
        predictor.label(tmp_path)
    with pytest.raises(ImageError, match=r"absent\.jpg: cannot be read as an image"):
        predictor.label(tmp_path / "absent.jpg")
    with pytest.raises(ValueError, match=r"image must be uint8 \[H, W, 3\]"):
        predictor.label(np.zeros((4, 4), dtype=np.uint8))
