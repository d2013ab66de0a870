"""Recipes are read whole or refused, and schedules can be stretched."""

from pathlib import Path

import pytest

from frozenseg_label.errors import SettingsError
from frozenseg_label.training.settings import TrainSettings, read_settings

NANO = Path(__file__).parents[2] / "recipes" / "nano" / "decoder.yaml"


def write(folder: Path, text: str) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_recipe_changes_what_it_names_and_leaves_the_rest(tmp_path: Path) -> None:
    settings = read_settings(
        write(tmp_path, "# a word\nsteps: 8\ndrops: [4, 6]\nprecision: bf16\n")
    )
    assert settings == TrainSettings(steps=8, drops=(4, 6), precision="bf16")


def test_an_empty_recipe_is_the_published_training(tmp_path: Path) -> None:
    assert read_settings(write(tmp_path, "# nothing\n")) == TrainSettings()


def test_the_recipe_of_nano_can_be_read_and_ends_with_two_drops() -> None:
    settings = read_settings(NANO)
    rates = [settings.rate_at(step) for step in (0, settings.warm_up, settings.steps - 1)]
    assert rates == pytest.approx([6e-6, 6e-4, 6e-6])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("learning_rat: 0.1\n", "learning_rat: Extra inputs are not permitted"),
        ("steps: 0\n", "steps: Input should be greater than 0"),
        ("precision: fp8\n", "precision: Input should be"),
        ("- steps\n", "content: Input should be a valid dictionary"),
        ("steps: [1\n", "is no YAML file"),
    ],
)
def test_a_recipe_that_cannot_be_used_is_refused_by_file_and_key(
    tmp_path: Path, text: str, problem: str
) -> None:
    path = write(tmp_path, text)
    with pytest.raises(SettingsError) as caught:
        read_settings(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert problem in message
    assert "mend it there" in message


def test_a_missing_recipe_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"nothing\.yaml cannot be read .*; give the path"):
        read_settings(tmp_path / "nothing.yaml")


def test_a_stretched_schedule_drops_at_the_same_shares() -> None:
    settings = TrainSettings(steps=2500, warm_up=100, drops=(1875, 2375), seed=3)
    assert settings.with_steps(4000) == TrainSettings(
        steps=4000, warm_up=100, drops=(3000, 3800), seed=3
    )
    assert settings.with_steps(3) == TrainSettings(steps=3, warm_up=3, drops=(2, 2), seed=3)
    assert settings.with_steps(1).drops == (1, 1)
    assert settings.with_steps(2500) == settings


def test_a_schedule_of_no_steps_is_refused() -> None:
    with pytest.raises(ValueError, match="steps"):
        TrainSettings().with_steps(0)
