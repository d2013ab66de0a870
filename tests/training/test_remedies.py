"""A remedy that names an option names one that the command has."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import click
import pytest

import frozenseg_label
from frozenseg_label.checkpoints.header import CheckpointInfo
from frozenseg_label.cli import commands
from frozenseg_label.errors import TrainingError
from frozenseg_label.training.data.collect import TrainingData
from frozenseg_label.training.loop.quality import read_probe
from frozenseg_label.training.settings import TrainSettings
from frozenseg_label.vocabulary_files import parse_classes

PACKAGE = Path(frozenseg_label.__file__).parent


def options_of(command: click.Command) -> Iterator[str]:
    context = click.Context(command)
    yield from (name for parameter in command.params for name in parameter.opts)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            part = command.get_command(context, name)
            assert part is not None
            yield from options_of(part)


@pytest.mark.parametrize(("room", "name"), [("training", "train"), ("checkpoints", "weights")])
def test_every_option_that_is_named_exists(room: str, name: str) -> None:
    command = commands.get_command(click.Context(commands), name)
    assert command is not None
    known = {*options_of(command), "--weights"}  # of `annotate`, which uses what they write
    for file in (PACKAGE / room).rglob("*.py"):
        named = set(re.findall(r"(?<![-\w])--[a-z][a-z-]+", file.read_text("utf-8")))
        assert named <= known, file


def test_every_setting_that_is_named_with_set_exists() -> None:
    for file in (PACKAGE / "training").rglob("*.py"):
        for key in re.findall(r"--set (\w+)=", file.read_text("utf-8")):
            assert key in TrainSettings.model_fields, file


def test_a_probe_set_without_its_pictures_says_where_to_put_them(
    scenes: Mapping[str, Path], tmp_path: Path
) -> None:
    probe = tmp_path / "probe"
    probe.mkdir()
    (probe / "panoptic").symlink_to(scenes["probe"] / "panoptic")
    (probe / "panoptic.json").write_bytes((scenes["probe"] / "panoptic.json").read_bytes())
    info = CheckpointInfo(
        builder="tiny",
        categories=(),
        clip_hash="",
        sam_hash="",
        decoder_hash="",
        frozen_inside=True,
    )
    with pytest.raises(TrainingError, match="into a folder `images` beside its JSON") as caught:
        read_probe(probe, info, TrainingData((), (), parse_classes("cat")))
    assert "--images" not in str(caught.value)
