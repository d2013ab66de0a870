"""The commands on the pages of recipes/ are run as they are written, or say that they were not."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from frozenseg_label import annotate, write_demo
from frozenseg_label.cli import main
from frozenseg_label.vocabulary_files import parse_classes, read_vocabulary

RECIPES = Path(__file__).parents[2] / "recipes"
PAGES = (
    "photographs.md",
    "vocabularies.md",
    "continuous_integration.md",
    "many_machines.md",
    "reproduce_the_paper.md",
)
NOT_RUN = "# not run"


def blocks(page: str, language: str = "sh") -> list[str]:
    text = (RECIPES / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE)


def commands(page: str) -> str:
    """What a person would copy, with weights that are here."""
    found = [block for block in blocks(page) if not block.startswith(NOT_RUN)]
    assert found
    return "".join(found).replace("--weights convnext-large", "--weights nano")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three pictures, in the folder of the commands."""
    write_demo(tmp_path / "photos", count=3, size=96)
    return tmp_path / "photos"


def run_lines(page: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run each line of a page that needs no shell; torch is imported once for all of them."""
    monkeypatch.chdir(folder)
    for line in commands(page).splitlines():
        program, *arguments = shlex.split(line, comments=True)
        assert program == "frozenseg-label"
        assert main(arguments) == 0, line


def run_script(page: str, folder: Path) -> str:
    """Run all blocks in one shell, which stops at the first error; return what it printed."""
    shell = f'frozenseg-label() {{ "{sys.executable}" -m frozenseg_label "$@"; }}\n'
    shell += f'python() {{ "{sys.executable}" "$@"; }}\n'
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", shell + commands(page)],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_photographs_become_masks_for_another_tool(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_lines("photographs.md", photos.parent, monkeypatch)
    here = photos.parent
    assert len(list((here / "kitchen" / "overlay").glob("*.jpg"))) == 3
    assert (here / "kitchen-page" / "index.html").is_file()
    assert len((here / "queue.csv").read_text().splitlines()) == 4
    run = json.loads((here / "kitchen" / "panoptic.json").read_text())
    assert {image["state"] for image in run["annotations"]} == {"reviewed"}
    assert (here / "for-yolo" / "data.yaml").is_file()
    assert list((here / "for-detectron2").rglob("*.json"))


def test_a_vocabulary_with_all_keys_is_checked_on_a_run_mapped_and_merged(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = photos.parent
    [keys] = blocks("vocabularies.md", "yaml")
    (here / "kitchen.yaml").write_text(keys)
    (here / "farm.yaml").write_text("animal: [dog, horse, cow]\n")
    (here / "mine.txt").write_text("tram stop\n")
    annotate(photos, here / "labels", here / "kitchen.yaml")
    run_lines("vocabularies.md", here, monkeypatch)
    coarse = {category.name for category in read_vocabulary(here / "coarse.yaml").categories}
    assert coarse >= {"animal", "person"}
    assert not coarse & {"dog", "horse", "cow"}
    assert read_vocabulary(here / "street.yaml").categories[-1].name == "tram stop"


def test_a_job_of_a_ci_goes_on_beside_a_broken_picture_and_has_a_gate(photos: Path) -> None:
    words = "telephone|phone, ice cream, palm tree, brick wall: stuff"
    annotate(photos, photos.parent / "truth", parse_classes(words))  # so the gate is passed
    Image.new("RGB", (64, 64)).save(photos / "zz-broken.png")
    (photos / "zz-broken.png").write_bytes((photos / "zz-broken.png").read_bytes()[:60])
    said = run_script("continuous_integration.md", photos.parent)
    assert "3 labelled, 1 failed the weights nano are made for drawings" in said
    figures = json.loads((photos.parent / "figures.json").read_text())
    assert figures["groups"]["all"]["pq"] == 1.0
    assert '"labelled": 1' in said


def test_what_was_not_run_says_so() -> None:
    assert all(block.startswith(NOT_RUN) for block in blocks("reproduce_the_paper.md"))


@pytest.mark.parametrize("page", PAGES)
def test_a_page_names_commands_and_options_that_there_are(
    page: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also those that were not run: each option is in the help of its command."""
    for line in "".join(blocks(page)).splitlines():
        found = re.search(r"frozenseg-label ((?:weights |vocab )?[a-z]+) (.*)", line)
        if found is None or line.startswith("#"):
            continue
        assert main([*found[1].split(), "--help"]) == 0
        known = re.findall(r"--[a-z-]+", capsys.readouterr().out)
        assert set(re.findall(r" (--[a-z-]+)", f" {found[2]}")) <= set(known), line


@pytest.mark.parametrize("page", PAGES)
def test_the_readme_leads_to_each_page_and_each_links_only_to_files_that_exist(page: str) -> None:
    assert f"(recipes/{page})" in (RECIPES.parent / "README.md").read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#:]+)\)", (RECIPES / page).read_text(encoding="utf-8")):
        assert (RECIPES / target).is_file(), target
