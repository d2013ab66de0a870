"""Finding and decoding images: real small files, written by Pillow."""

import contextlib
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image, TiffImagePlugin

from frozenseg_label.errors import ImageError
from frozenseg_label.image_formats import image_suffixes
from frozenseg_label.images import (
    ImageRecord,
    decode_image,
    find_images,
    has_deep_grey,
)

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
ORIENTATION = 0x0112


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


def names(*sources: Path) -> list[str]:
    return [found.relative for found in find_images(sources)]


@pytest.mark.parametrize("suffix", ["jpg", "JPEG", "png", "tif", "tiff", "WebP", "bmp", "gif"])
def test_an_image_comes_out_of_every_common_format(tmp_path: Path, suffix: str) -> None:
    save(tmp_path / f"picture.{suffix}")
    assert names(tmp_path) == [f"picture.{suffix}"]
    image = decode_image(record(tmp_path))
    assert image.shape == (16, 32, 3)
    assert image.dtype == np.uint8
    for (y, x), color in {(2, 4): RED, (2, 27): GREEN, (13, 4): BLUE, (13, 27): WHITE}.items():
        np.testing.assert_allclose(image[y, x], color, atol=25)  # JPEG and WebP lose a little


def test_no_film_document_or_container_counts_as_an_image() -> None:
    assert {".jpg", ".png", ".mpo", ".avif"} <= image_suffixes()
    assert not {".pdf", ".mpg", ".eps", ".hdf", ".wmf", ".flc"} & image_suffixes()


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


NAN, INF = float("nan"), float("inf")


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
        assert has_deep_grey(path.read_bytes())
        assert decode_image(record(path))[0].tolist() == [[level] * 3 for level in shown]


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


def test_folders_are_searched_to_the_bottom_in_sorted_order(tmp_path: Path) -> None:
    for name in ("b.png", "a/2.JPG", "a/10.png", "c/d/e.gif"):
        save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no image")
    assert names(tmp_path) == ["a/10.png", "a/2.JPG", "b.png", "c/d/e.gif"]


def test_a_record_tells_size_and_time(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png")
    status = path.stat()
    assert record(tmp_path) == ImageRecord(path, "a.png", status.st_size, status.st_mtime_ns)


def test_hidden_files_and_folders_are_passed_over(tmp_path: Path) -> None:
    for name in ("seen.png", "._seen.png", ".thumbnails/small.png"):
        save(tmp_path / name)
    assert names(tmp_path) == ["seen.png"]


def test_labels_of_an_earlier_run_are_no_images(tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    save(tmp_path / "out" / "panoptic" / "a.png.png")
    assert len(names(tmp_path)) == 2  # any folder may be called panoptic
    (tmp_path / "out" / "run.json").write_text("{}")
    assert names(tmp_path) == ["a.png"]
    with pytest.raises(ImageError, match=r"out: was written by this program"):
        find_images([tmp_path / "out"])


def test_a_file_named_itself_is_taken_whatever_its_suffix(tmp_path: Path) -> None:
    path = tmp_path / "upload"
    save(tmp_path / "a.png").rename(path)
    assert names(path) == ["upload"]
    assert decode_image(record(path)).shape == (16, 32, 3)


def test_several_sources_meet_at_their_common_parent(tmp_path: Path) -> None:
    cat, dog = save(tmp_path / "x" / "cat" / "1.png"), save(tmp_path / "x" / "dog" / "1.png")
    assert names(cat.parent, dog.parent) == ["cat/1.png", "dog/1.png"]
    assert names(cat, dog.parent) == ["cat/1.png", "dog/1.png"]


def test_an_image_in_two_sources_comes_once(tmp_path: Path) -> None:
    path = save(tmp_path / "a" / "1.png")
    assert names(tmp_path, tmp_path / "a", path, path) == ["a/1.png"]


def test_relative_and_dotted_paths_give_the_same_identity(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path / "a" / "1.png")
    monkeypatch.chdir(tmp_path)
    assert names(Path("a")) == names(Path("a/../a")) == ["1.png"]
    assert names(Path("a"), Path("a/../a")) == ["1.png"]


def test_linked_folders_are_followed_without_going_in_circles(tmp_path: Path) -> None:
    save(tmp_path / "in" / "1.png")
    save(tmp_path / "elsewhere" / "2.png")
    (tmp_path / "in" / "circle").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "self").symlink_to(tmp_path / "in" / "self")
    (tmp_path / "in" / "other").symlink_to(tmp_path / "elsewhere")
    assert names(tmp_path / "in") == ["1.png", "other/2.png"]


def test_a_broken_link_is_found_and_then_fails_to_decode(tmp_path: Path) -> None:
    (tmp_path / "lost.png").symlink_to(tmp_path / "nowhere.png")
    assert names(tmp_path) == ["lost.png"]
    with pytest.raises(ImageError, match=r"lost\.png: cannot be read"):
        decode_image(record(tmp_path))


def test_no_images_and_no_such_folder_are_errors(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="0 images found"):
        find_images([tmp_path])
    with pytest.raises(ImageError, match="0 images found"):
        find_images([])
    with pytest.raises(ImageError, match="there is no such file or folder"):
        find_images([tmp_path / "nowhere"])


LOCKED_OUT = """
import sys
from pathlib import Path
from frozenseg_label.errors import ImageError
from frozenseg_label.images import decode_image, find_images
for found in find_images([Path(sys.argv[1])]):
    try:
        print(found.relative, decode_image(found).shape)
    except ImageError as error:
        print(found.relative, error)
try:
    find_images([Path(sys.argv[1], "locked", "1.png")])
except ImageError as error:
    print(error)
"""


def without_root() -> list[str]:
    """What makes a program one that locked folders stop, even where root runs the tests."""
    return ["unshare", "--user"] if os.geteuid() == 0 else []


def may_be_locked_out() -> bool:
    try:
        subprocess.run([*without_root(), "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


@pytest.mark.skipif(not may_be_locked_out(), reason="root may list every folder (unshare --user)")
def test_a_locked_folder_is_one_image_that_fails(tmp_path: Path) -> None:
    save(tmp_path / "in" / "seen.png")
    save(tmp_path / "in" / "locked" / "1.png")
    (tmp_path / "in" / "behind").symlink_to(tmp_path / "in" / "locked" / "below")
    (tmp_path / "in" / "lost.png").symlink_to(tmp_path / "in" / "locked" / "1.png")
    (tmp_path / "in" / "locked").chmod(0)
    try:
        command = [*without_root(), sys.executable, "-c", LOCKED_OUT, str(tmp_path / "in")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    finally:
        (tmp_path / "in" / "locked").chmod(0o700)
    assert done.returncode == 0, done.stderr
    locked, lost, seen, named = done.stdout.splitlines()
    assert locked.startswith("locked ")
    assert "a folder that cannot be listed; make it readable" in locked
    assert lost.startswith("lost.png ")
    assert "permission denied" in lost.lower()
    assert seen == "seen.png (16, 32, 3)"
    assert "there is no such file or folder" in named


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes with a name")
def test_what_is_no_file_fails_at_once_and_is_never_opened(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    os.mkfifo(folder / "pipe.png")
    os.mkfifo(tmp_path / "far")
    (folder / "linked-pipe.png").symlink_to(tmp_path / "far")
    (folder / "device.png").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as listener, contextlib.chdir(folder):
        listener.bind("socket.png")  # relative: such a name has 107 bytes at most
        found = find_images([folder])
        assert [image.path.stem for image in found] == ["device", "linked-pipe", "pipe", "socket"]
        for image in found:
            with pytest.raises(ImageError, match=f"{image.path.name}: no regular file"):
                decode_image(image)


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_jpeg_is_decoded_no_larger_than_is_needed(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    path = save(tmp_path / "large.jpg", corners().resize((800, 600)), exif=exif)
    whole = decode_image(record(path))
    height, width = whole.shape[:2]
    small = decode_image(record(path), least=(height // 4, width // 4))
    assert small.shape[:2] == (height // 4, width // 4)
    expected = np.asarray(Image.fromarray(whole).reduce(4), dtype=int)
    assert np.abs(expected - small).mean() < 3
    assert decode_image(record(path), least=(height, width)).shape == whole.shape


def test_a_tiff_that_is_no_picture_says_how_it_becomes_one(tmp_path: Path) -> None:
    path = tmp_path / "map.tif"
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[258] = (16,) * 5  # five bands of 16 bits, as satellites have them
    tags[277] = 5
    save(path, Image.new("L", (8, 8)), tiffinfo=tags)
    with pytest.raises(ImageError, match=r"replace or remove the file; a GeoTIFF .*gdal_translate"):
        decode_image(record(path))


def test_pictures_of_other_programs_are_counted_with_the_way_to_convert_them(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    save(tmp_path / "a.png")
    for name in ("a.czi", "b.CZI", "c.heic"):
        (tmp_path / name).write_bytes(b"pixels")
    assert names(tmp_path) == ["a.png"]
    told = sorted(message.partition(": ")[2] for message in caplog.messages)
    assert told == [
        "1 .heic files are left out, they cannot be read here; convert them to JPEG or PNG",
        "2 .czi files are left out, they cannot be read here; convert them to PNG, by "
        "`bfconvert IN OUT.png` (Bio-Formats)",
    ]
