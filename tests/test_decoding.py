"""Every picture comes out as people see it, or is named with the remedy."""

from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image, TiffImagePlugin

from frozenseg_label.decoding import decode_file, decode_image, read_image_file
from frozenseg_label.errors import ImageError
from frozenseg_label.images import find_images
from tests.pictures import BLUE, GREEN, RED, WHITE, corners, record, save

ORIENTATION = 0x0112
NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize("suffix", ["jpg", "JPEG", "png", "tif", "tiff", "WebP", "bmp", "gif"])
def test_an_image_comes_out_of_every_common_format(tmp_path: Path, suffix: str) -> None:
    save(tmp_path / f"picture.{suffix}")
    assert [found.relative for found in find_images([tmp_path])] == [f"picture.{suffix}"]
    image = decode_image(record(tmp_path))
    assert image.shape == (16, 32, 3)
    assert image.dtype == np.uint8
    for (y, x), color in {(2, 4): RED, (2, 27): GREEN, (13, 4): BLUE, (13, 27): WHITE}.items():
        np.testing.assert_allclose(image[y, x], color, atol=25)  # JPEG and WebP lose a little


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_photograph_stands_upright(tmp_path: Path, suffix: str, orientation: int) -> None:
    # What a camera stores for the upright picture (EXIF 2.3, tag 0x0112).
    stored = {
        1: corners(),
        2: corners().transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        3: corners().transpose(Image.Transpose.ROTATE_180),
        4: corners().transpose(Image.Transpose.FLIP_TOP_BOTTOM),
        5: corners().transpose(Image.Transpose.TRANSPOSE),
        6: corners().transpose(Image.Transpose.ROTATE_90),
        7: corners().transpose(Image.Transpose.TRANSVERSE),
        8: corners().transpose(Image.Transpose.ROTATE_270),
    }[orientation]
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    path = save(tmp_path / f"turned.{suffix}", stored, exif=exif)
    image = decode_image(record(path))
    assert image.shape == (16, 32, 3)
    np.testing.assert_allclose(image[3, 3], RED, atol=25)
    np.testing.assert_allclose(image[3, 28], GREEN, atol=25)
    np.testing.assert_allclose(image[12, 3], BLUE, atol=25)


def test_damaged_exif_data_do_not_cost_the_image(tmp_path: Path) -> None:
    path = save(tmp_path / "a.jpg", exif=b"Exif\x00\x00MM\x00*\x00\x00")
    assert decode_image(record(path)).shape == (16, 32, 3)


def test_transparent_pixels_show_white_paper(tmp_path: Path) -> None:
    pixels = np.zeros((2, 3, 4), np.uint8)
    pixels[0] = (255, 0, 0, 255)
    pixels[1] = (9, 9, 9, 0)
    sticker = Image.fromarray(pixels)
    palette = Image.new("P", (3, 2), 1)
    palette.putpalette([0, 0, 0, 255, 0, 0])
    palette.paste(0, (0, 1, 3, 2))
    save(tmp_path / "rgba.png", sticker)
    save(tmp_path / "grey.png", Image.fromarray(pixels[..., 2:]))
    save(tmp_path / "palette.png", palette, transparency=0)
    grey, palette_image, rgba = (decode_image(found) for found in find_images([tmp_path]))
    for image in (palette_image, rgba):
        assert image[0].tolist() == [[255, 0, 0]] * 3
        assert image[1].tolist() == [[255, 255, 255]] * 3
    assert grey[:, 0].tolist() == [[0, 0, 0], [255, 255, 255]]


def test_sixteen_bit_grey_is_scaled_and_not_cut_off(tmp_path: Path) -> None:
    levels = np.array([[0, 257, 32896, 65535]], np.uint16)
    save(tmp_path / "deep.png", Image.fromarray(levels))
    save(tmp_path / "deep.tif", Image.fromarray(levels))
    for found in find_images([tmp_path]):
        assert decode_image(found)[0].tolist() == [[v, v, v] for v in (0, 1, 128, 255)]


def test_grey_without_a_known_range_is_stretched(tmp_path: Path) -> None:
    save(tmp_path / "float.tif", Image.fromarray(np.array([[-1.0, 0.0, 1.0]], np.float32)))
    save(tmp_path / "flat.tif", Image.fromarray(np.full((1, 3), 7.0, np.float32)))
    flat, stretched = (decode_image(found)[0, :, 0].tolist() for found in find_images([tmp_path]))
    assert stretched == [0, 128, 255]
    assert flat == [255, 255, 255]


@pytest.mark.parametrize(
    ("levels", "shown"),
    [
        (np.array([[0, 2048, 4095]], np.uint16), [0, 128, 255]),  # 12 bits in a file of 16
        (np.array([[0, 512, 1000]], np.uint16), [0, 128, 249]),  # of 10 bits, none used to the end
        (np.array([[4095, 4095]], np.uint16), [255, 255]),
        (np.array([[0, 0]], np.uint16), [0, 0]),
        (np.array([[0, 70000, 131071]], np.int32), [0, 136, 255]),
        (np.array([[-100, 0, 100]], np.int32), [0, 128, 255]),
        (np.array([[0.0, 0.25, 0.5]], np.float32), [0, 64, 128]),  # 0..1 fits
        (np.array([[0.0, 0.001, 0.002]], np.float32), [0, 128, 255]),  # too faint for it
        (np.array([[0.0, 500.0, 1000.0]], np.float32), [0, 128, 255]),
        (np.array([[0.5, 0.5]], np.float32), [128, 128]),
        (np.array([[1000.0, 1000.0]], np.float32), [255, 255]),
        (np.array([[NAN, 0.0, 1000.0]], np.float32), [0, 0, 255]),
        (np.array([[INF, -INF, -1.0, 1.0]], np.float32), [255, 0, 0, 255]),
        (np.array([[3e38, -3e38]], np.float32), [255, 0]),
    ],
)
@pytest.mark.filterwarnings("error")
def test_deep_grey_is_never_shown_black_where_it_is_not(
    tmp_path: Path, levels: np.ndarray, shown: list[int]
) -> None:
    suffixes = ["tif"] if levels.dtype != np.uint16 else ["tif", "png"]
    for suffix in suffixes:
        path = save(tmp_path / f"deep.{suffix}", Image.fromarray(levels))
        decoded = decode_file(record(path), read_image_file(record(path)))
        assert decoded.is_scaled
        assert decoded.pixels[0].tolist() == [[level] * 3 for level in shown]


def test_a_picture_without_any_number_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "void.tif", Image.fromarray(np.full((2, 2), NAN, np.float32)))
    with pytest.raises(ImageError, match=r"void\.tif: .* \(none of its pixels is a number\)"):
        decode_image(record(path))


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr"])
def test_every_colour_mode_becomes_rgb(tmp_path: Path, mode: str) -> None:
    suffix = "tif" if mode in ("CMYK", "YCbCr") else "png"
    path = save(tmp_path / f"mode.{suffix}", corners().convert(mode))
    image = decode_image(record(path))
    assert image.shape == (16, 32, 3)
    np.testing.assert_allclose(image[13, 27], WHITE, atol=2)


def test_a_film_strip_gives_its_first_frame(tmp_path: Path) -> None:
    other = Image.new("RGB", (32, 16), BLUE)
    path = save(tmp_path / "frames.tif", save_all=True, append_images=[other])
    assert decode_image(record(path))[2, 4].tolist() == list(RED)


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp", "bmp", "gif"])
def test_a_half_written_image_is_named_with_the_remedy(tmp_path: Path, suffix: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    path = save(tmp_path / f"half.{suffix}", Image.fromarray(noise))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    told = rf"half\.{suffix}: cannot be read .* replace or remove the file"
    with pytest.raises(ImageError, match=told):
        decode_image(record(path))


@pytest.mark.parametrize("content", [b"", b"not an image at all", b"\x89PNG\r\n\x1a\n"])
def test_a_file_that_is_no_image_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "no.png"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=r"no\.png: cannot be read as an image \(.+\)"):
        decode_image(record(path))


def test_a_file_that_went_away_is_named(tmp_path: Path) -> None:
    found = record(save(tmp_path / "gone.png"))
    found.path.unlink()
    with pytest.raises(ImageError, match=r"gone\.png: cannot be read"):
        decode_image(found)


def test_an_image_of_too_many_pixels_is_refused_undecoded(tmp_path: Path) -> None:
    found = record(save(tmp_path / "big.png"))
    with pytest.raises(ImageError, match=r"big\.png: 32 x 16 pixels .* 511 .* raise --max-pixels"):
        decode_image(found, max_pixels=511)
    assert decode_image(found, max_pixels=512).shape == (16, 32, 3)


def test_max_pixels_stands_in_for_pillows_own_guard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = record(save(tmp_path / "big.png"))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert decode_image(found).shape == (16, 32, 3)
    assert Image.MAX_IMAGE_PIXELS == 10


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_jpeg_is_decoded_no_larger_than_is_needed(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    path = save(tmp_path / "large.jpg", corners().resize((800, 600)), exif=exif)
    whole = decode_image(record(path))
    height, width = whole.shape[:2]
    file = read_image_file(record(path))
    small = decode_file(record(path), file, lambda size: (size[0] // 4, size[1] // 4))
    assert small.size == (height, width)
    assert small.pixels.shape[:2] == (height // 4, width // 4)
    expected = np.asarray(Image.fromarray(whole).reduce(4), dtype=int)
    assert np.abs(expected - small.pixels).mean() < 3
    assert decode_file(record(path), file, lambda size: size).pixels.shape == whole.shape


def test_a_tiff_that_is_no_picture_says_how_it_becomes_one(tmp_path: Path) -> None:
    path = tmp_path / "map.tif"
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[258] = (16,) * 5  # five bands of 16 bits, as satellites have them
    tags[277] = 5
    save(path, Image.new("L", (8, 8)), tiffinfo=tags)
    with pytest.raises(ImageError, match=r"replace or remove the file; a GeoTIFF .*gdal_translate"):
        decode_image(record(path))
