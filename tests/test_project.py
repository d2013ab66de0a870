"""What README, CI and pyproject.toml promise each other."""

import ast
import hashlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

import frozenseg_label
from frozenseg_label.training.settings import shipped_recipes

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "frozenseg_label"
README = (ROOT / "README.md").read_text(encoding="utf-8")
RECIPES = ROOT / "recipes" / "nano"
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
APACHE_2 = "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"  # apache.org's file

BENCHMARKS = {path.stem for path in (ROOT / "tests" / "benchmarks").glob("*.py")}
OWN = BENCHMARKS | {"frozenseg_label", "recipes", "tests"}  # what this repository is imported as

# Where the name on the package index is not the name that is imported.
DISTRIBUTIONS = {
    "bson": "pymongo",
    "PIL": "pillow",
    "cv2": "opencv_python_headless",
    "open_clip": "open_clip_torch",
    "sklearn": "scikit_learn",
    "yaml": "pyyaml",
}

# What a module of another package imports for us.
BEHIND = {"torch.utils.tensorboard": "tensorboard"}


def commands_of_the_readme() -> list[str]:
    return re.findall(r"^```\w*\n(.*?)\n```$", README, flags=re.DOTALL | re.MULTILINE)


def requirement_names(requirements: list[str]) -> set[str]:
    names = (re.split(r"[\s\[<>=!~;]", requirement)[0] for requirement in requirements)
    return {name.lower().replace("-", "_") for name in names}


def imported_packages(folder: Path) -> set[str]:
    """Return the top-level names of all that the modules import, inside functions too."""
    names = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names.update(alias.name.split(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module.split(".")[0])
                names.add(BEHIND.get(node.module, node.module).split(".")[0])
    return names - sys.stdlib_module_names - OWN


def needed_distributions(folder: Path) -> set[str]:
    """Return what to install for the modules of a folder."""
    return {DISTRIBUTIONS.get(name, name).lower() for name in imported_packages(folder)}


def test_the_readmes_first_line_installs_and_labels_and_another_runs_the_tests() -> None:
    first, *others = commands_of_the_readme()
    assert re.fullmatch(
        r"pip install \. && frozenseg-label demo \S+ && frozenseg-label annotate \S+ .*", first
    )
    assert 'pip install -e ".[test]" && pytest' in others


def test_ci_takes_both_commands_from_the_readme() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert script.startswith("#!/usr/bin/env bash\n")
    assert "set -euo pipefail" in script
    assert r'first=$(readme_command "pip install \\.")' in script
    assert 'bash -euc "$(readme_command pytest)"' in script


def test_all_that_the_package_imports_is_among_its_dependencies() -> None:
    extras = PROJECT["optional-dependencies"]
    asked = PROJECT["dependencies"] + extras["hf"] + extras["ray"]
    missing = needed_distributions(PACKAGE) - requirement_names(asked)
    assert not missing


def test_all_that_the_tests_import_comes_with_the_test_extra() -> None:
    foreign = (ROOT / "tests" / "foreign" / "requirements.txt").read_text(encoding="utf-8")
    extras = PROJECT["optional-dependencies"]
    installed = PROJECT["dependencies"] + extras["test"] + extras["hf"] + extras["ray"]
    installed += [line for line in foreign.splitlines() if not line.startswith("#")]
    assert not needed_distributions(ROOT / "tests") - requirement_names(installed)


def test_all_that_the_recipes_import_comes_with_the_package_or_with_their_readmes_command() -> None:
    readme = (RECIPES / "README.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^ +pip install -e \. ([^#\n]*)", readme, flags=re.MULTILINE)
    installed = PROJECT["dependencies"] + command.split()
    assert not needed_distributions(RECIPES) - requirement_names(installed)


def test_nothing_is_asked_for_that_the_package_does_not_import() -> None:
    assert not requirement_names(PROJECT["dependencies"]) - needed_distributions(PACKAGE)


def test_of_the_recipes_only_those_of_train_travel_in_the_wheel() -> None:
    wheel = PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel.keys() == {"include", "sources"}
    assert wheel["sources"]["recipes"] == "frozenseg_label/recipes"
    found = [path for pattern in wheel["include"] for path in ROOT.glob(pattern.removeprefix("/"))]
    travelling = {path for path in found if path.is_relative_to(ROOT / "recipes")}
    assert travelling == {*shipped_recipes().values()}
    assert all(path.suffix == ".yaml" for path in travelling)


def test_every_file_that_the_readmes_point_to_exists() -> None:
    for page in (ROOT / "README.md", RECIPES / "README.md", RECIPES / "checkpoints" / "LOG.md"):
        text = page.read_text(encoding="utf-8")
        links = re.findall(r"\]\((?!https?:)([^)#]+)\)", text)
        assert links
        assert not [link for link in links if not (page.parent / link).exists()]


def test_the_licence_is_apache_2_and_the_notice_names_every_set_of_drawings() -> None:
    assert hashlib.sha256((ROOT / "LICENSE").read_bytes()).hexdigest() == APACHE_2
    assert PROJECT["license"] == "Apache-2.0"
    notice = (ROOT / "NOTICE").read_text(encoding="utf-8")
    for name in ("Noto", "Fluent", "EmojiTwo", "FxEmojis", "Streamline", "Twemoji"):
        assert name in notice


def test_the_changelog_speaks_of_this_version() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert frozenseg_label.__version__ in changelog


def test_the_face_imports_nothing_of_third_parties() -> None:
    program = (
        "import sys; before = set(sys.modules); import frozenseg_label; "
        "print({name.split('.')[0] for name in set(sys.modules) - before} "
        "- sys.stdlib_module_names - {'frozenseg_label'})"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert said.stdout.strip() == b"set()"


def test_the_face_has_what_it_names_and_says_so_of_nothing_else() -> None:
    for name in frozenseg_label.__all__:
        assert getattr(frozenseg_label, name)
    assert set(frozenseg_label.__all__) <= set(dir(frozenseg_label))
    with pytest.raises(AttributeError, match="no attribute 'anotate'"):
        frozenseg_label.anotate  # type: ignore[attr-defined]  # noqa: B018


def test_nothing_inside_imports_the_face() -> None:
    face = set(frozenseg_label.__all__)
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module == "frozenseg_label":
                assert not face & {alias.name for alias in node.names}, path


def test_the_citation_names_the_paper_as_the_source_and_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == frozenseg_label.__version__
    assert citation["license"] == PROJECT["license"]
    paper = citation["preferred-citation"]
    assert paper["url"] in README
    assert paper["title"] in " ".join((ROOT / "NOTICE").read_text(encoding="utf-8").split())


def test_the_dockerfile_says_that_it_was_not_built() -> None:
    said = (ROOT / "recipes" / "Dockerfile").read_text(encoding="utf-8")
    assert "was not built" in said.partition("FROM")[0]
    assert "docker build -f recipes/Dockerfile" in said


def test_the_ci_builds_the_api_pages_with_what_dev_installs() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "python .ci/api_pages.py" in script
    assert "pdoc" in requirement_names(PROJECT["optional-dependencies"]["dev"])
