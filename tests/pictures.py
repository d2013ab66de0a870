"""Small pictures on disk."""

from pathlib import Path

import numpy as np
from PIL import Image

from frozenseg_label.images import ImageRecord, find_images

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def corners() -> Image.Image:
    """A 32 x 16 picture: red and green above, blue and white below."""
    pixels = np.zeros((16, 32, 3), np.uint8)
    pixels[:8, :16], pixels[:8, 16:] = RED, GREEN
    pixels[8:, :16], pixels[8:, 16:] = BLUE, WHITE
    return Image.fromarray(pixels)


def save(path: Path, image: Image.Image | None = None, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    (image or corners()).save(path, **options)
    return path


def record(path: Path) -> ImageRecord:
    return find_images([path])[0]
