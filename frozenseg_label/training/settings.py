"""The numbers of one training; a recipe is a flat YAML file of these fields."""

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Literal, Self

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveInt,
    ValidationError,
    model_validator,
)

from frozenseg_label.errors import SettingsError


class TrainSettings(BaseModel):
    """How the decoder is trained; the defaults are those of the published run on COCO panoptic.

    Attributes:
        part: decoder trains all but the encoders; head trains the class embedding and void alone.
        cache: features keeps what the frozen encoders see of each image, and of its mirror image,
            on disk; outputs keeps what the whole frozen decoder says (part: head alone). Cached
            images are not augmented but for the flip.
        steps: batches that are seen in all.
        batch_size: images of one step, over all processes and passes.
        accumulation: passes that a process takes for its images of one step.
        learning_rate: after the warm-up, before the first drop.
        warm_up: steps over which the rate rises linearly from 0.
        drops: steps after which the rate is a tenth of what it was.
        weight_decay: of everything but norms and embeddings, which have none.
        clip_norm: the gradients of all parameters together are scaled down to this length.
        start_share: share of the weights that it started from in those that are measured and saved;
            more forgets less and learns less.
        num_points: points at which each mask is compared with its target.
        negatives: what a name is told from while it is learnt: named are the classes that labels
            name; all are all words of the vocabulary, which teaches that the others are rare.
        void_weight: weight of the queries without a target in the classification.
        rare_class_power: targets of a class weigh (most frequent class / this class) to this power;
            0 weighs all alike.
        max_rare_weight: a class weighs this much at most.
        edited_weight: targets that a person drew or changed weigh this much, accepted ones 1.
        precision: bf16 runs encoders and decoder under autocast; losses stay float32. auto is bf16
            on CUDA, else fp32: few CPUs are any faster with bf16.
        checkpointing: compute the decoder's layers again on the way back, to save memory.
        flip: probability that an image is mirrored.
        scale: smallest and largest size of an augmented image, as a share of the crop.
        crop_size: pixels of the square that is cut out; None takes the side of SAM's input.
        color_jitter: strength of the changes of colour, 0 to 1.
        held_out: share of the images that is never trained on, to choose the best checkpoint.
        evaluate_every: steps between two evaluations on the held-out images.
        save_every: steps between two states on disk.
        log_every: steps between two lines of the log.
        seed: of everything that is drawn.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    part: Literal["decoder", "head"] = "decoder"
    cache: Literal["none", "features", "outputs"] = "none"
    steps: PositiveInt = 368_750
    batch_size: PositiveInt = 16
    accumulation: PositiveInt = 1
    learning_rate: float = Field(1e-4, gt=0)
    warm_up: NonNegativeInt = 0
    drops: tuple[PositiveInt, ...] = (327_778, 355_092)
    weight_decay: NonNegativeFloat = 0.05
    clip_norm: float = Field(0.01, gt=0)
    start_share: float = Field(0.0, ge=0, lt=1)
    num_points: PositiveInt = 12_544
    negatives: Literal["named", "all"] = "all"
    void_weight: float = Field(0.1, gt=0)
    rare_class_power: float = Field(0.0, ge=0, le=1)
    max_rare_weight: float = Field(10.0, ge=1)
    edited_weight: float = Field(1.0, gt=0)
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    checkpointing: bool = False
    flip: float = Field(0.5, ge=0, le=1)
    scale: tuple[float, float] = (0.1, 2.0)
    crop_size: PositiveInt | None = None
    color_jitter: float = Field(0.0, ge=0, le=1)
    held_out: float = Field(0.1, ge=0, lt=1)
    evaluate_every: PositiveInt = 5_000
    save_every: PositiveInt = 5_000
    log_every: PositiveInt = 20
    seed: NonNegativeInt = 0

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not 0 < self.scale[0] <= self.scale[1]:
            raise ValueError(f"scale must rise from above 0, got {list(self.scale)}")
        if self.cache == "outputs" and self.part != "head":
            raise ValueError("cache: outputs goes with part: head, whose masks do not change")
        if self.cache == "features" and self.part == "head":
            raise ValueError("part: head goes with cache: outputs (or none)")
        return self

    def rate_at(self, step: int) -> float:
        """Return the learning rate of a step, counted from 0."""
        rising = min(1.0, (step + 1) / self.warm_up) if self.warm_up else 1.0
        return self.learning_rate * rising * 0.1 ** sum(step >= drop for drop in self.drops)

    def with_steps(self, steps: int) -> Self:
        """Return the same schedule over more or fewer steps, with its drops at the same shares."""
        drops = [max(1, drop * steps // self.steps) for drop in self.drops]
        changed = {"steps": steps, "warm_up": min(self.warm_up, steps), "drops": drops}
        return self.model_validate({**dict(self), **changed})

    def as_recipe(self) -> str:
        """Return the whole of the settings as a recipe: reading it gives them again."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)


def shipped_recipes() -> dict[str, Path]:
    """Name and file of each recipe that comes with the package, sorted by name."""
    package = Path(__file__).parents[1]  # a wheel has them inside it, a clone beside it
    inside = package / "recipes"
    folder = inside if inside.is_dir() else package.parent / "recipes"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def read_settings(recipe: str | Path, changes: Sequence[str] = ()) -> TrainSettings:
    """Return the settings of a recipe: a flat YAML file of the fields that are not the defaults.

    Args:
        recipe: name of a shipped recipe, or a file.
        changes: `key=value` each, values as YAML has them; they win over the recipe.
    """
    shipped = shipped_recipes()
    path = shipped.get(str(recipe), Path(recipe))
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(
            f"{path} cannot be read ({error.strerror}); give the path of a recipe, or the name of "
            f"a shipped one: {', '.join(shipped)}"
        ) from error
    except (yaml.YAMLError, ValueError) as error:  # ValueError: not UTF-8, or an impossible date
        raise SettingsError(f"{path} is no YAML file ({_line(error)}); mend it there") from error
    settings = _checked({} if data is None else data, f"{path}", "mend it there")
    changed = dict(_change(change) for change in changes)
    if not changed:
        return settings
    return _checked({**dict(settings), **changed}, "--set", "change it there")


def _change(text: str) -> tuple[str, object]:
    key, separator, value = text.partition("=")
    if not separator:
        raise SettingsError(f"--set takes key=value, got {text!r}; write for instance steps=100")
    try:
        return key.strip().replace("-", "_"), yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise SettingsError(
            f"--set {text}: the value is not YAML ({_line(error)}); write it as a recipe would"
        ) from error


def _checked(data: object, source: str, remedy: str) -> TrainSettings:
    """The data as settings; SettingsError says what is wrong with each key."""
    try:
        return TrainSettings.model_validate(data)
    except ValidationError as error:
        rows = [(".".join(map(str, row["loc"])), row["type"], row["msg"]) for row in error.errors()]
    faults = [
        _unknown(key) if kind == "extra_forbidden" else f"{key or 'content'}: {message}"
        for key, kind, message in rows
    ]
    raise SettingsError(f"{source}: {'; '.join(faults)}; {remedy}")


def _unknown(key: str) -> str:
    known = tuple(TrainSettings.model_fields)
    near = get_close_matches(key, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known keys are {', '.join(known)}"
    return f"there is no setting {key!r}, {hint}"


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
