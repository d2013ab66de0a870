"""One picture in any of the forms in which programs have it."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from frozenseg_label.decoding import decode_image
from frozenseg_label.errors import ImageError
from frozenseg_label.images import ImageRecord
from frozenseg_label.pixels import upright_pixels

GivenImage = str | Path | Image.Image | NDArray[np.uint8]


def pixels_of(image: GivenImage) -> NDArray[np.uint8]:
    """Return a picture as RGB, uint8 [H, W, 3]; ImageError for a file that cannot be read.

    Args:
        image: path of a file, a Pillow image, or the pixels themselves, RGB [H, W, 3].
    """
    if isinstance(image, Image.Image):
        return upright_pixels(image)
    if isinstance(image, np.ndarray):
        return image
    path = Path(image)
    if path.is_dir():
        raise ImageError(f"{path}: is a folder; give one picture, or label it with `annotate`")
    return decode_image(ImageRecord(path, path.name, size=0, mtime_ns=0))
