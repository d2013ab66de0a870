"""Time how label maps are packed: our way beside zlib's own choice.

    python tests/benchmarks/label_png.py

A map of 3000 x 4000 with 39 wavy ellipses, as RGB (panoptic), grey and palette (class PNG). Prints
the seconds and kilobytes of both ways and our share of the other's; the better of two turns.
"""

import io
import time
from collections.abc import Callable

import numpy as np
from PIL import Image

from frozenseg_label.formats.coco_panoptic import ids_to_rgb
from frozenseg_label.formats.label_png import encode_label_png


def main() -> None:
    """Pack one map in three modes, both ways."""
    ids = wavy_ellipses(3000, 4000)
    grey = Image.fromarray(ids.astype(np.uint8))
    palette = grey.copy()
    palette.putpalette([level for level in range(256) for _ in "RGB"])
    for name, image in (("RGB", Image.fromarray(ids_to_rgb(ids))), ("L", grey), ("P", palette)):
        (own_s, own), (zlib_s, zlib) = timed(encode_label_png, image), timed(by_zlib, image)
        print(  # noqa: T201
            f"{name}: {own_s:.3f} s, {own / 1000:.0f} kB; zlib's choice {zlib_s:.3f} s, "
            f"{zlib / 1000:.0f} kB; time {own_s / zlib_s:.2f}, size {own / zlib:.2f}"
        )


def timed(encode: Callable[[Image.Image], bytes], image: Image.Image) -> tuple[float, int]:
    """Return the seconds of the processor, and the bytes."""
    seconds = []
    for _ in range(2):
        start = time.process_time()
        size = len(encode(image))
        seconds.append(time.process_time() - start)
    return min(seconds), size


def by_zlib(image: Image.Image) -> bytes:
    """Pack as Pillow does when it is not told how."""
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def wavy_ellipses(height: int, width: int) -> np.ndarray[tuple[int, int], np.dtype[np.int32]]:
    """Return a map of ids 0..39."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:height, :width]
    ids = np.zeros((height, width), np.int32)
    wave = 1 + 0.03 * np.sin(x / 7.3) + 0.02 * np.sin(y / 5.1)
    for number in range(1, 40):
        top, left = rng.uniform(0, height), rng.uniform(0, width)
        tall, wide = rng.uniform(50, 800, size=2)
        ids[((y - top) / tall) ** 2 + ((x - left) / wide) ** 2 < wave] = number
    return ids


if __name__ == "__main__":
    main()
