"""The folder of a training, with a record of its start: `--resume` goes on with the same."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError

from frozenseg_label.checkpoints.header import CheckpointInfo
from frozenseg_label.documents import read_json
from frozenseg_label.errors import TrainingError
from frozenseg_label.files import MARKER, PREFIX, atomic_write, mark_folder, remove_leftovers
from frozenseg_label.label_sets.class_map import ClassMap
from frozenseg_label.training.data.collect import TrainingData
from frozenseg_label.training.settings import TrainSettings
from frozenseg_label.version import __version__
from frozenseg_label.vocabulary import Vocabulary

RECORD = "training.json"
SETTINGS = "settings.yaml"
CHECKPOINT_BEST = "best.safetensors"
CHECKPOINT_LAST = "last.safetensors"
REPORT = "report.json"
CURVES = "curves.png"
FEATURES = "features"


@dataclass(frozen=True)
class TrainingInputs:
    """Everything that the user names for a training, beside its settings.

    Attributes:
        labels: label sets: run folders, and sets of other tools.
        weights: name or file of the weights to start from.
        vocabulary: words that labels may use; None: those of the label sets.
        images: folder of the pictures; None: the folder that each label set names.
        probe: set that shows what is forgotten; None: as of `read_probe`.
        cache_folder: of features or outputs; None: in the folder of the training.
        trust_states: believe the states that sets of other tools say.
        class_map: class of a label set -> word of the vocabulary.
    """

    labels: tuple[Path, ...]
    weights: str | Path
    vocabulary: Vocabulary | None
    images: Path | None
    probe: Path | None
    cache_folder: Path | None
    trust_states: bool = False
    class_map: ClassMap | None = None


class TrainingRecord(BaseModel):
    """The data, weights and settings that a training was started with.

    Attributes:
        schema_version: of this file.
        tool_version: of frozenseg-label.
        weights: name or file.
        weights_fingerprint: of the model that it started from.
        sources: the label sets, as the user named them.
        data: fingerprint of images, labels and words.
        probe: fingerprint of the probe set; empty without one.
        settings: all of them.
        train, held_out: numbers of images.
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

    @classmethod
    def of(
        cls,
        inputs: TrainingInputs,
        settings: TrainSettings,
        info: CheckpointInfo,
        data: TrainingData,
        probe: str,
    ) -> Self:
        """Return the record of a training that starts now.

        Args:
            info: of the checkpoint that it starts from.
            probe: fingerprint of the probe set; empty without one.
        """
        return cls(
            tool_version=__version__,
            weights=str(inputs.weights),
            weights_fingerprint=info.fingerprint,
            sources=tuple(str(path) for path in inputs.labels),
            data=data.fingerprint(),
            probe=probe,
            settings=settings,
            train=len(data.train),
            held_out=len(data.held_out),
        )

    def differences(self, new: "TrainingRecord") -> list[str]:
        """Return in words all that decides the result and is different in another record."""
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
    """The folder of one training, with all its files."""

    path: Path

    def check(self, resume: bool) -> None:
        """Raise TrainingError if a training cannot begin here, or, with `resume`, cannot go on."""
        if self._read() is not None:
            if not resume:
                raise TrainingError(
                    f"{self.path} has a training already; give --resume to go on with it, or name "
                    "another folder"
                )
        elif self.path.exists() and not self._is_unused():
            lost = f", or restore its {RECORD}" if (self.path / SETTINGS).exists() else ""
            raise TrainingError(
                f"{self.path} is not the folder of a training, and it is not empty; name a new one"
                f"{lost}"
            )

    def open(self, record: TrainingRecord) -> None:
        """Write the record, or go on with the same one; TrainingError if they differ."""
        before = self._read()
        remove_leftovers(self.path)
        if before is None:
            mark_folder(self.path, TrainingError)
            atomic_write(
                self.path / SETTINGS, record.settings.as_recipe().encode(), error=TrainingError
            )
            text = json.dumps(record.model_dump(mode="json"), indent=1) + "\n"
            atomic_write(self.path / RECORD, text.encode(), error=TrainingError)
        elif found := before.differences(record):
            raise TrainingError(
                f"{self.path} was started with other {', other '.join(found)}; resume it with the "
                "same, or name another folder"
            )

    def _is_unused(self) -> bool:
        """Return whether nothing is there but what a start that was killed leaves."""
        ours = (SETTINGS, MARKER)
        return self.path.is_dir() and all(
            path.name in ours or path.name.startswith(PREFIX) for path in self.path.iterdir()
        )

    def _read(self) -> TrainingRecord | None:
        path = self.path / RECORD
        if not path.exists():
            return None
        try:
            return TrainingRecord.model_validate(read_json(path, TrainingError))
        except (TrainingError, ValidationError) as error:
            reason = " ".join(f"{error}".split())[:300]
            raise TrainingError(
                f"{path}: damaged ({reason}); restore it, or name another folder"
            ) from error
