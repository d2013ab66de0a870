"""The settings of one training; a recipe is a flat YAML file of these fields."""

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Literal, Self

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

from frozenseg_label.documents import LARGEST_YAML, parse_yaml, read_text, shortened
from frozenseg_label.errors import SettingsError
from frozenseg_label.model.precision import Precision, uses_bf16

SHOWN_FAULTS = 10


class TrainSettings(BaseModel):
    """How the decoder is trained; the defaults are those of the published run on COCO panoptic.

    Attributes:
        part: decoder trains everything but the encoders; head trains only the class embedding and
            the void embedding.
        cache: features keeps the frozen encoders' features of each image, and of its mirror image,
            on disk; outputs keeps the outputs of the whole frozen decoder (only with part: head).
            Images in a cache are mirrored, but not augmented in any other way.
        steps: length of the training; each step learns from one batch.
        batch_size: images of one step, over all processes and passes.
        accumulation: number of passes in which a process computes its images of one step; more
            passes take less memory.
        learning_rate: rate after the warm-up and before the first drop.
        warm_up: number of steps over which the rate rises linearly from 0.
        drops: after each of these numbers of steps the rate falls to a tenth.
        weight_decay: of all weights but norms and embeddings, which have none.
        clip_norm: gradients are scaled down if all together are longer than this.
        start_share: the weights that are measured and saved are a mean of those that the training
            started from, with this share, and the learnt ones. More forgets less and learns less.
        num_points: number of points at which each mask is compared with its target.
        negatives: the names among which the model must choose for each mask while it learns. named:
            only the classes that the labels name; all: all words of the vocabulary, which also
            teaches that the words without labels are rare.
        void_weight: weight of the queries without a target in the classification loss.
        rare_class_power: the targets of a class are weighted by (targets of the most frequent
            class / targets of this class) to this power; 0 gives all classes the same weight.
        max_rare_weight: the largest weight that rare_class_power may give.
        edited_weight: weight of the segments that a person drew or changed; accepted ones have 1.
        precision: bf16 runs encoders and decoder under autocast; losses stay float32. auto is bf16
            on CUDA and on CPUs that are faster with it, else fp32.
        flip: probability that an image is mirrored.
        scale: smallest and largest size of an augmented image, as a share of the crop.
        crop_size: side of the square that is cut out, in pixels; None takes that of SAM's input.
        color_jitter: strength of the random changes of colour, 0..1.
        held_out: share of the images that are not trained on; they choose the best checkpoint.
        evaluate_every: steps between two measurements on the held-out images.
        save_every: steps between two states on disk.
        log_every: steps between two rows of the log.
        seed: of all random numbers.
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
    precision: Precision = "auto"
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

    def uses_bf16(self, device: str) -> bool:
        """Say whether encoders and decoder run in bfloat16 on a device, for instance `cuda`."""
        return uses_bf16(self.precision, device)

    def with_steps(self, steps: int | None) -> Self:
        """Return the same schedule over more or fewer steps, with its drops at the same shares.

        Args:
            steps: of the new schedule; None: as many as here.
        """
        if steps is None:
            return self
        drops = [max(1, drop * steps // self.steps) for drop in self.drops]
        changed = {"steps": steps, "warm_up": min(self.warm_up, steps), "drops": drops}
        return self.model_validate({**dict(self), **changed})

    def as_recipe(self) -> str:
        """Return all settings as the text of a recipe; reading it gives the same settings again."""
        import yaml

        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)


def shipped_recipes() -> dict[str, Path]:
    """Return name and file of each recipe that comes with the package, sorted by name."""
    package = Path(__file__).parents[1]  # recipes are inside it in a wheel, beside it in a clone
    inside = package / "recipes"
    folder = inside if inside.is_dir() else package.parent / "recipes"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def read_settings(recipe: str | Path, changes: Sequence[str] = ()) -> TrainSettings:
    """Return the settings of a recipe: a flat YAML file with the fields that are not defaults.

    Args:
        recipe: name of a shipped recipe, or a file.
        changes: `key=value` each, the value in YAML; they win over the recipe.
    """
    shipped = shipped_recipes()
    path = shipped.get(str(recipe), Path(recipe))
    if not path.is_file():
        raise SettingsError(
            f"{path} cannot be read (no such file); give the path of a recipe, or the name of "
            f"a shipped one: {', '.join(shipped)}"
        )
    text = read_text(path, SettingsError, LARGEST_YAML)
    data, _ = parse_yaml(text, f"{path}", SettingsError)
    settings = _checked({} if data is None else data, f"{path}", "correct it there")
    changed = dict(_change(change) for change in changes)
    if not changed:
        return settings
    return _checked({**dict(settings), **changed}, "--set", "change it there")


def _change(text: str) -> tuple[str, object]:
    key, separator, value = text.partition("=")
    if not separator:
        raise SettingsError(f"--set takes key=value, got {text!r}; write for example steps=100")
    meant, _ = parse_yaml(value, f"--set {text}", SettingsError)
    return key.strip().replace("-", "_"), meant


def _checked(data: object, source: str, remedy: str) -> TrainSettings:
    """Return the data as settings; SettingsError says what is wrong with each key."""
    try:
        return TrainSettings.model_validate(data)
    except ValidationError as error:
        rows = [(".".join(map(str, row["loc"])), row["type"], row["msg"]) for row in error.errors()]
    faults = [
        _unknown(key) if kind == "extra_forbidden" else f"{key or 'content'}: {message}"
        for key, kind, message in rows[:SHOWN_FAULTS]
    ]
    raise SettingsError(f"{source}: {'; '.join(faults)}; {remedy}")


def _unknown(key: str) -> str:
    known = tuple(TrainSettings.model_fields)
    near = get_close_matches(key[:100], known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known keys are {', '.join(known)}"
    return f"there is no setting {shortened(key)}, {hint}"
