"""Recipes are read whole or refused, and schedules can be stretched."""

from pathlib import Path

import pytest

from frozenseg_label.errors import SettingsError
from frozenseg_label.training.settings import TrainSettings, read_settings, shipped_recipes

NANO = Path(__file__).parents[2] / "recipes" / "nano" / "making" / "decoder.yaml"


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
        ("learning_rat: 1\n", "no setting 'learning_rat', did you mean 'learning_rate'?"),
        ("xyz: 1\n", "there is no setting 'xyz', known keys are part, cache, steps"),
        ("learning_rat: 1\nsteps: 0\n", "than 0; there is no setting 'learning_rat'"),
        ("scale: [2.0, 0.5]\n", "scale must rise from above 0, got [2.0, 0.5]"),
        ("cache: outputs\n", "cache: outputs goes with part: head"),
        ("part: head\ncache: features\n", "part: head goes with cache: outputs (or none)"),
        ("held_out: 1.0\n", "held_out: Input should be less than 1"),
        ("steps: 0\n", "steps: Input should be greater than 0"),
        ("precision: fp8\n", "precision: Input should be"),
        ("- steps\n", "content: Input should be a valid dictionary"),
        ("steps: [1\n", "not YAML"),
        ("steps: 2026-13-01\n", "not YAML"),
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
    assert problem in " ".join(message.split())
    assert "correct it there" in message


def test_a_missing_recipe_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"nothing\.yaml cannot be read .*; give the path"):
        read_settings(tmp_path / "nothing.yaml")


def test_a_missing_recipe_is_answered_with_the_names_of_those_that_come_along() -> None:
    with pytest.raises(SettingsError, match=r"shipped one: coco_panoptic, fine_tune, "):
        read_settings("fine_tuning")


@pytest.mark.parametrize("name", ["coco_panoptic", "fine_tune", "fine_tune_cached", "head_only"])
def test_shipped_recipes_are_read_by_their_names(name: str) -> None:
    path = shipped_recipes()[name]
    assert read_settings(name) == read_settings(path)
    header = [line for line in path.read_text().splitlines() if line.startswith("#")]
    for field in ("# Command: ", "# Hardware: ", "# Result: "):
        assert any(line.startswith(field) for line in header), field


def test_the_shipped_recipe_of_coco_is_the_published_schedule() -> None:
    chosen = {
        "held_out": 0.001,
        "crop_size": 1024,
    }  # held-out images choose the best weights
    assert read_settings("coco_panoptic") == TrainSettings().model_copy(update=chosen)


def test_settings_of_the_command_line_win_over_the_recipe(tmp_path: Path) -> None:
    recipe = write(tmp_path, "steps: 8\ndrops: [4, 6]\n")
    settings = read_settings(recipe, ["steps=9", "clip-norm = 0.5", "drops=[7]", "part=head"])
    assert settings == TrainSettings(steps=9, drops=(7,), clip_norm=0.5, part="head")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("stepps=9", "--set: there is no setting 'stepps', did you mean 'steps'?; change it there"),
        ("steps", "--set takes key=value, got 'steps'"),
        ("steps=many", "--set: steps: Input should be a valid integer"),
        ("drops=[1", "--set drops=[1, line 2: not YAML"),
        ("cache=outputs", "--set: content: Value error, cache: outputs goes with part: head"),
    ],
)
def test_settings_of_the_command_line_that_cannot_be_used_are_refused(
    tmp_path: Path, change: str, problem: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings(write(tmp_path, "steps: 8\n"), [change])
    assert problem in " ".join(str(caught.value).split())


@pytest.mark.parametrize("name", sorted(shipped_recipes()))
def test_settings_are_written_as_a_recipe_that_gives_them_again(tmp_path: Path, name: str) -> None:
    settings = read_settings(name, ["crop_size=512", "seed=3", "color_jitter=0.1"])
    assert read_settings(write(tmp_path, settings.as_recipe())) == settings


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
