"""The page of pictures and labels: what is in its folder, and that nothing in it breaks it."""

import json
import re
import shutil
import weakref
import zlib
from base64 import b64decode
from collections.abc import Callable, Iterator, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from frozenseg_label.errors import RunError
from frozenseg_label.pages.html_report import write_html_report
from frozenseg_label.pages.report_image import Figure, ReportImage, ReportLayer
from frozenseg_label.pages.report_text import ReportTable
from frozenseg_label.panoptic import PanopticMap, Segment
from frozenseg_label.vocabulary import Category, Vocabulary

DASH = "\N{EN DASH}"
NASTY = '</script><b>x & "y"</b> {{data}} <!--'
VOCABULARY = Vocabulary(
    "two",
    (Category("cat", 30, color=(255, 0, 0)), Category(NASTY, 7, is_thing=False, color=(0, 0, 255))),
)
IDS = np.array([[0, 5, 5, 5], [9, 9, 5, 5]], dtype=np.int32)
SEGMENTS = (
    Segment(5, 30, True, 5, (1, 0, 3, 2), score=0.75, margin=0.5, second=7),
    Segment(9, 7, False, 2, (0, 1, 2, 1), state="edited"),
)
LABELS = ReportLayer("predicted", PanopticMap(IDS, SEGMENTS))


class Page(HTMLParser):
    """The tags of a page, its text, and the data that its script reads."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self._open = ""
        self._data = ""
        self.feed(path.read_text("utf-8"))
        self.data: dict[str, Any] = json.loads(self._data)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._open = dict(attrs).get("id") or tag

    def handle_data(self, data: str) -> None:
        if self._open == "data":
            self._data += data
        elif self._open not in ("script", "style"):
            self.text.append(data)

    def handle_endtag(self, tag: str) -> None:
        self._open = ""


@pytest.fixture
def picture(tmp_path: Path) -> Callable[..., Path]:
    def write(name: str = "a.png", size: tuple[int, int] = (4, 2), orientation: int = 1) -> Path:
        exif = Image.Exif()
        exif[0x0112] = orientation
        path = tmp_path / "pictures" / name
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", size, (10, 200, 30)).save(path, exif=exif)
        return path

    return write


def report(
    folder: Path, *images: ReportImage, tables: Sequence[ReportTable] = (), max_side: int = 1280
) -> Page:
    index = write_html_report(
        folder, "a title", VOCABULARY, images, tables=tables, max_side=max_side
    )
    return Page(index)


def test_an_image_has_a_row_a_picture_and_the_pixels_of_its_layers(
    tmp_path: Path, picture: Callable[..., Path]
) -> None:
    image = ReportImage("dog/a.png", picture(), (LABELS,), notes=("well done",), state="reviewed")
    [row] = report(tmp_path / "out", image).data["images"]
    assert (row["name"], row["state"], row["notes"]) == ("dog/a.png", "reviewed", ["well done"])
    assert (row["width"], row["height"]) == (4, 2)
    assert picture_size(tmp_path / "out" / row["picture"]) == (4, 2)
    [layer] = pixels_of(tmp_path / "out" / row["pixels"])
    assert np.frombuffer(layer, np.uint8).reshape(2, 4).tolist() == [[0, 1, 1, 1], [2, 3, 0, 0]]


def test_a_segment_is_told_with_class_score_state_and_a_spot_for_its_name(tmp_path: Path) -> None:
    page = report(tmp_path / "out", ReportImage("a.png", None, (LABELS,)))
    assert [entry["color"] for entry in page.data["classes"]] == [[255, 0, 0], [0, 0, 255]]
    [layer] = page.data["images"][0]["layers"]
    assert layer["name"] == "predicted"
    cat, other = layer["segments"]
    x, y, _radius = cat.pop("spot")
    assert IDS[y, x] == 5
    assert cat == {
        "class": 0, "score": 0.75, "margin": 0.5, "second": 1, "state": "proposed", "note": "",
        "share": 0.625,
    }  # fmt: skip
    assert (other["class"], other["score"], other["second"]) == (1, None, None)
    assert other["state"] == "edited"


def test_pictures_stand_upright_and_are_scaled_with_their_labels(
    tmp_path: Path, picture: Callable[..., Path]
) -> None:
    lying = picture("lying.jpg", size=(40, 20), orientation=6)  # shown 20 wide and 40 high
    labels = PanopticMap(np.repeat(np.repeat(IDS.T, 10, axis=0), 10, axis=1), SEGMENTS)
    image = ReportImage("lying.jpg", lying, (ReportLayer("labels", labels),))
    [row] = report(tmp_path / "out", image, max_side=8).data["images"]
    assert (row["width"], row["height"]) == (4, 8)
    assert picture_size(tmp_path / "out" / row["picture"]) == (4, 8)
    [layer] = pixels_of(tmp_path / "out" / row["pixels"])
    assert len(layer) == 4 * 8
    assert row["notes"] == []


def test_an_image_that_cannot_be_shown_says_why_and_shows_its_labels(
    tmp_path: Path, picture: Callable[..., Path]
) -> None:
    broken, other = picture("broken.png"), picture("other.png", size=(3, 3))
    broken.write_bytes(b"no picture")
    images = [ReportImage(f"x/{path.name}", path, (LABELS,)) for path in (broken, other)]
    rows = report(tmp_path / "out", *images).data["images"]
    assert [row["picture"] for row in rows] == [None, None]
    assert all((tmp_path / "out" / row["pixels"]).is_file() for row in rows)
    [[unreadable], [changed]] = [row["notes"] for row in rows]
    assert unreadable.startswith("x/broken.png: cannot be read as an image")
    assert changed == "x/other.png: is 3 x 3 pixels now, but its labels are 4 x 2"
    assert str(tmp_path) not in (tmp_path / "out" / "index.html").read_text("utf-8")


def test_layers_of_two_sizes_are_refused(tmp_path: Path) -> None:
    small = ReportLayer("truth", PanopticMap(np.zeros((1, 1), np.int32), ()))
    with pytest.raises(ValueError, match="one size"):
        report(tmp_path / "out", ReportImage("a.png", None, (LABELS, small)))
    assert not (tmp_path / "out" / "index.html").exists()


def test_figures_keep_their_number_and_an_empty_one_is_a_dash(tmp_path: Path) -> None:
    figures = (
        Figure("PQ", 12.345, worst="lowest"),
        Figure("missed", 3, digits=0, worst="highest"),
        Figure("IoU", float("nan")),
    )
    page = report(tmp_path / "out", ReportImage("a.png", None, (LABELS,), figures))
    found = [(f["name"], f["value"], f["text"]) for f in page.data["images"][0]["figures"]]
    assert found == [("PQ", 12.345, "12.3"), ("missed", 3.0, "3"), ("IoU", None, DASH)]


def test_no_name_breaks_the_page(tmp_path: Path) -> None:
    odd = b"caf\xe9 ".decode("utf-8", "surrogateescape") + NASTY  # a file's name that is no Unicode
    image = ReportImage(odd, None, (ReportLayer(NASTY, LABELS.labels),), notes=(NASTY,))
    plain = write_html_report(tmp_path / "plain", "a", VOCABULARY, [])
    table = ReportTable(NASTY, (NASTY, odd), ((NASTY, 1.0),), note=NASTY)
    page = Page(write_html_report(tmp_path / "out", NASTY, VOCABULARY, [image], [table], NASTY))
    assert page.data["classes"][1]["name"] == page.data["order"] == NASTY
    assert page.data["images"][0]["name"] == f"caf\\udce9 {NASTY}"
    assert page.data["images"][0]["layers"][0]["name"] == NASTY
    tags = [tag for tag, _ in page.tags]
    assert "b" not in tags
    assert tags.count("script") == [tag for tag, _ in Page(plain).tags].count("script")
    # Twice the title; of the table its title, a heading, a cell and the note.
    assert page.text.count(NASTY) == 6
    assert page.text.count(f"caf\\udce9 {NASTY}") == 1


def test_tables_stand_in_the_page_itself(tmp_path: Path) -> None:
    rows = (("all", 1234, 29.04, None), ("unseen", 5, float("nan"), "few"))
    tables = [
        ReportTable("Quality", ("classes", "segments", "PQ", "remark"), rows, note="In percent."),
        ReportTable("Per class", ("class",), (("cat",),), folded=True),
    ]
    page = report(tmp_path / "out", tables=tables)
    cells = ["all", "1,234", "29.0", DASH, "unseen", "5", DASH, "few"]
    words = [text.strip() for text in page.text if text.strip()]
    start = words.index("all")
    assert words[start : start + 8] == cells
    folds = [
        attrs for tag, attrs in page.tags if tag == "details" and attrs.get("class") == "table"
    ]
    assert ["open" in attrs for attrs in folds] == [True, False]


def test_the_page_asks_nothing_of_any_other_place(
    tmp_path: Path, picture: Callable[..., Path]
) -> None:
    page = report(tmp_path / "out", ReportImage("a.png", picture(), (LABELS,)))
    named = [attrs[key] for _, attrs in page.tags for key in ("src", "href") if key in attrs]
    assert named == ["data:,"]  # the icon: without it, browsers ask for one
    text = (tmp_path / "out" / "index.html").read_text("utf-8")
    assert not re.search(r"https?:|\bfetch\(|XMLHttpRequest|@import|url\(", text)
    files = [page.data["images"][0][key] for key in ("picture", "pixels")]
    assert files == ["report-files/00001.jpg", "report-files/00001.js"]


def test_images_are_taken_one_at_a_time_and_not_kept(tmp_path: Path) -> None:
    made: list[weakref.ref[PanopticMap]] = []
    most = 0

    def images() -> Iterator[ReportImage]:
        nonlocal most
        for number in range(6):
            labels = PanopticMap(IDS.copy(), SEGMENTS)
            made.append(weakref.ref(labels))
            most = max(most, sum(one() is not None for one in made))
            yield ReportImage(f"{number}.png", None, (ReportLayer("labels", labels),))

    write_html_report(tmp_path / "out", "a title", VOCABULARY, images())
    assert most <= 2  # the one that is being made, and the one before


def test_the_same_input_writes_the_same_bytes(tmp_path: Path, picture: Callable[..., Path]) -> None:
    image = ReportImage("a.png", picture(), (LABELS,), (Figure("PQ", 1.0),))
    first, second = tmp_path / "first", tmp_path / "second"
    report(first, image)
    report(second, image)
    assert contents(first) == contents(second)


def test_a_report_takes_the_place_of_an_earlier_one(
    tmp_path: Path, picture: Callable[..., Path]
) -> None:
    image = ReportImage("a.png", picture(), (LABELS,))
    report(tmp_path / "out", image, image, image)
    (tmp_path / "out" / ".frozenseg-0123.tmp").touch()  # a killed run left it
    report(tmp_path / "out", image)
    report(tmp_path / "fresh", image)
    assert contents(tmp_path / "out") == contents(tmp_path / "fresh")


@pytest.mark.parametrize("name", ["index.html", "holiday.jpg"])
def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("<html>mine</html>")
    with pytest.raises(RunError, match=f"has {name} in it"):
        report(tmp_path)
    assert contents(tmp_path) == {name: b"<html>mine</html>"}


def test_the_folder_can_be_moved(tmp_path: Path, picture: Callable[..., Path]) -> None:
    report(tmp_path / "out", ReportImage("a.png", picture(), (LABELS,)))
    moved = shutil.move(tmp_path / "out", tmp_path / "elsewhere")
    shutil.rmtree(tmp_path / "pictures")
    [row] = Page(Path(moved) / "index.html").data["images"]
    assert (Path(moved) / row["picture"]).is_file()
    assert (Path(moved) / row["pixels"]).is_file()


def picture_size(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


def pixels_of(path: Path) -> list[bytes]:
    """The layers in a script, each row of pixels still XOR the one above it."""
    found = re.fullmatch(r"receivePixels\(\d+, (.*)\);\n", path.read_text("utf-8"))
    assert found is not None
    return [zlib.decompress(b64decode(layer)) for layer in json.loads(found[1])]


def contents(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
