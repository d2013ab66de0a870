"""labelme's JSON: a mask for each segment within its box."""

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

from frozenseg_label.formats.labelme import labelme_files
from tests.formats.small_image import ROWS, VOCABULARY, small_image


def test_the_masks_are_those_of_the_segments() -> None:
    ((path, data),) = labelme_files(small_image(part="train"), VOCABULARY)
    document = json.loads(data)
    assert path == "train/a/1.json"
    assert (document["imageHeight"], document["imageWidth"], document["imageData"]) == (3, 5, None)
    assert [shape["label"] for shape in document["shapes"]] == ["cat", "dogs & 'co'", "sky"]
    for shape, id_ in zip(document["shapes"], (1, 7, 300), strict=True):
        # labelme's rule: the mask goes from the first point to the second, both included.
        (left, top), (right, bottom) = shape["points"]
        canvas = np.zeros((3, 5), dtype=bool)
        with Image.open(io.BytesIO(base64.b64decode(shape["mask"]))) as png:
            canvas[top : bottom + 1, left : right + 1] = np.asarray(png).astype(bool)
        assert shape["shape_type"] == "mask"
        assert np.array_equal(canvas, np.array(ROWS) == id_)


@pytest.mark.parametrize(
    ("picture", "seen"),
    [
        ("a/1.jpg", "1.jpg"),  # in the export, beside the JSON
        ("../photos/a/1.jpg", "../../photos/a/1.jpg"),
        (None, "1.jpg"),
    ],
)
def test_the_picture_is_named_as_the_json_sees_it(picture: str | None, seen: str) -> None:
    ((_, data),) = labelme_files(small_image(picture=picture), VOCABULARY)
    assert json.loads(data)["imagePath"] == seen
