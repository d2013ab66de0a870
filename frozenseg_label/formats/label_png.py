"""How labels are packed into a PNG: neighbours are mostly equal, so run lengths pack them best."""

import io

import PIL.Image

# zlib's own choice takes 1.4 times as long or more (tests/benchmarks/README.md), and its files of
# panoptic maps are a tenth larger.
_RUN_LENGTHS = {"compress_level": 1, "compress_type": 3}


def encode_label_png(image: PIL.Image.Image) -> bytes:
    """Return the PNG file of a label map or mask, of any mode."""
    file = io.BytesIO()
    image.save(file, "PNG", **_RUN_LENGTHS)
    return file.getvalue()
