"""The numbers of one training; a recipe is a flat YAML file of these fields."""

from pathlib import Path
from typing import Literal, Self

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveInt,
    ValidationError,
)

from frozenseg_label.errors import SettingsError


class TrainSettings(BaseModel):
    """How the decoder is trained; the defaults are those of the published run on COCO panoptic.

    Attributes:
        steps: batches that are seen in all.
        batch_size: images in a batch.
        learning_rate: after the warm-up, before the first drop.
        warm_up: steps over which the rate rises linearly from 0.
        drops: steps after which the rate is a tenth of what it was.
        weight_decay: of everything but norms and embeddings, which have none.
        clip_norm: the gradients of all parameters together are scaled down to this length.
        num_points: points at which each mask is compared with its target.
        precision: bf16 runs the decoder under autocast; losses stay float32.
        save_every: steps between two states on disk.
        log_every: steps between two lines of the log.
        seed: of everything that is drawn.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    steps: PositiveInt = 368_750
    batch_size: PositiveInt = 16
    learning_rate: float = Field(1e-4, gt=0)
    warm_up: NonNegativeInt = 0
    drops: tuple[PositiveInt, ...] = (327_778, 355_092)
    weight_decay: float = Field(0.05, ge=0)
    clip_norm: float = Field(0.01, gt=0)
    num_points: PositiveInt = 12_544
    precision: Literal["fp32", "bf16"] = "fp32"
    save_every: PositiveInt = 5_000
    log_every: PositiveInt = 20
    seed: NonNegativeInt = 0

    def rate_at(self, step: int) -> float:
        """Return the learning rate of a step, counted from 0."""
        rising = min(1.0, (step + 1) / self.warm_up) if self.warm_up else 1.0
        return self.learning_rate * rising * 0.1 ** sum(step >= drop for drop in self.drops)

    def with_steps(self, steps: int) -> Self:
        """Return the same schedule over more or fewer steps, with its drops at the same shares."""
        drops = [max(1, drop * steps // self.steps) for drop in self.drops]
        changed = {"steps": steps, "warm_up": min(self.warm_up, steps), "drops": drops}
        return self.model_validate({**dict(self), **changed})


def read_settings(path: Path) -> TrainSettings:
    """Return the settings of a recipe: a flat YAML file of the fields that are not the defaults."""
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(
            f"{path} cannot be read ({error.strerror}); give the path of a recipe"
        ) from error
    except (yaml.YAMLError, ValueError) as error:  # ValueError: not UTF-8, or an impossible date
        problem = " ".join(str(error).split())
        raise SettingsError(f"{path} is no YAML file ({problem}); mend it there") from error
    try:
        return TrainSettings.model_validate({} if data is None else data)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(str(part) for part in fault['loc']) or 'content'}: {fault['msg']}"
            for fault in error.errors()
        )
        known = ", ".join(TrainSettings.model_fields)
        raise SettingsError(f"{path}: {faults}; mend it there; known keys are {known}") from error
