"""The folder of a training: what it was started with, so that `--resume` goes on with the same."""

import json
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from frozenseg_label.errors import TrainingError
from frozenseg_label.files import atomic_write, explained, make_folder
from frozenseg_label.training.settings import TrainSettings

RECORD = "training.json"
SETTINGS = "settings.yaml"
CHECKPOINT_BEST = "best.safetensors"
CHECKPOINT_LAST = "last.safetensors"
REPORT = "report.json"
CURVES = "curves.png"
FEATURES = "features"


class TrainingRecord(BaseModel):
    """What a training was started with.

    Attributes:
        schema_version: of this file.
        tool_version: of frozenseg-label.
        weights: name or file.
        weights_fingerprint: of the model that it started from.
        sources: of the labels.
        data: fingerprint of images, labels and words.
        probe: fingerprint of the probe set; empty without one.
        settings: all of them.
        train, held_out: how many images.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")
    schema_version: int = 1
    tool_version: str
    weights: str
    weights_fingerprint: str
    sources: tuple[str, ...]
    data: str
    probe: str
    settings: TrainSettings
    train: int
    held_out: int

    def differences(self, new: "TrainingRecord") -> list[str]:
        """What decides the result and is not the same, in words."""
        found = []
        if self.weights_fingerprint != new.weights_fingerprint:
            found.append(f"weights ({self.weights} there, {new.weights} now)")
        if self.data != new.data:
            found.append(
                f"labels ({self.train} + {self.held_out} images there, {new.train} + "
                f"{new.held_out} now, or other labels of the same)"
            )
        if self.probe != new.probe:
            found.append("probe set")
        old, now = (r.settings.model_dump(mode="json") for r in (self, new))
        return found + [f"{k} ({old[k]!r} there, {now[k]!r} now)" for k in old if old[k] != now[k]]


@dataclass(frozen=True)
class TrainingFolder:
    """Where everything of one training lies."""

    path: Path

    def check(self, resume: bool) -> None:
        """TrainingError where a training cannot begin, or go on if `resume`."""
        if self._read() is not None:
            if not resume:
                raise TrainingError(
                    f"{self.path} has a training already; give --resume to go on with it, or name "
                    "another folder"
                )
        elif self.path.exists() and not (self.path.is_dir() and not any(self.path.iterdir())):
            raise TrainingError(
                f"{self.path} is no folder of a training, and not empty; name a new one"
            )

    def open(self, record: TrainingRecord) -> None:
        """Begin here, or go on; TrainingError where that would mix two trainings."""
        before = self._read()
        if before is None:
            with explained(self.path):
                make_folder(self.path)
            atomic_write(self.path / SETTINGS, record.settings.as_recipe().encode())
            text = json.dumps(record.model_dump(mode="json"), indent=1) + "\n"
            atomic_write(self.path / RECORD, text.encode())
        elif found := before.differences(record):
            raise TrainingError(
                f"{self.path} was started with other {', other '.join(found)}; resume it with the "
                "same, or name another folder"
            )

    def _read(self) -> TrainingRecord | None:
        path = self.path / RECORD
        if not path.is_file():
            return None
        try:
            return TrainingRecord.model_validate(json.loads(path.read_bytes()))
        except (ValueError, ValidationError) as error:
            raise TrainingError(f"{path}: damaged ({error}); name another folder") from error
