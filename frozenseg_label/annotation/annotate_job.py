"""What one call of `annotate` asks for: images, options, and what `run.json` says of them."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from frozenseg_label.addresses import Address, place_of
from frozenseg_label.part import Part

if TYPE_CHECKING:
    from pydantic import JsonValue

    from frozenseg_label.images import ImageRecord
    from frozenseg_label.inference.predictor_spec import PredictorSpec
    from frozenseg_label.runs.manifest import Manifest

Format = Literal["class-png", "per-class-png", "overlay"]
FORMATS: tuple[str, ...] = get_args(Format)

MOST_SOURCES = 100  # that run.json names; a list of files may be as long as the journal

log = logging.getLogger(__name__)


Engine = Literal["local", "ray"]
ENGINES: tuple[str, ...] = get_args(Engine)


@dataclass(frozen=True)
class RayOptions:
    """How labels are made on a cluster of Ray.

    Attributes:
        address: of the cluster; None: the one in RAY_ADDRESS, else one started on this machine.
        actors: workers, each with a model; None: as many as the cluster has room for.
        gpus: of each worker; 0.5: two share one. None: one where the cluster has GPUs, else 0.
    """

    address: str | None = None
    actors: int | None = None
    gpus: float | None = None

    def __post_init__(self) -> None:
        if self.actors is not None and self.actors < 1:
            raise ValueError(f"ray_actors must be at least 1, got {self.actors}")
        if self.gpus is not None and not 0 <= self.gpus <= 1:  # so that "not a number" fails, too
            raise ValueError(f"ray_gpus must be in 0..1, got {self.gpus}")


def engine_options(
    engine: Engine, address: str | None, actors: int | None, gpus: float | None
) -> RayOptions | None:
    """Return what Ray is asked for, None for `local`; arguments as of `annotate`."""
    if engine not in ENGINES:
        raise ValueError(f"engine must be one of {', '.join(ENGINES)}, got {engine!r}")
    options = RayOptions(address, actors, gpus)
    if engine == "ray":
        return options
    if options != RayOptions():
        raise ValueError("ray_address, ray_actors and ray_gpus are options of the engine ray")
    return None


@dataclass(frozen=True)
class AnnotateJob:
    """Which images are labelled, into which folder, and how; fields as in `annotate`."""

    sources: list[Path | Address]
    missing_ok: bool
    output: Path
    formats: Sequence[Format]
    batch_size: int
    max_pixels: int
    limit: int | None
    shard: Part | None
    checksum: bool
    update: bool
    max_failure_rate: float
    memory: Sequence[str | Path]
    ray: RayOptions | None

    def __post_init__(self) -> None:
        if isinstance(self.formats, str) or not set(self.formats) <= set(FORMATS):
            known = ", ".join(FORMATS)
            raise ValueError(f"formats must be a list of some of {known}, got {self.formats!r}")
        if not 0 <= self.max_failure_rate <= 1:  # so that "not a number" fails, too
            raise ValueError(f"max_failure_rate must be in 0..1, got {self.max_failure_rate}")
        for name in ("batch_size", "max_pixels", "limit"):
            count = getattr(self, name)
            if count is not None and count < 1:
                raise ValueError(f"{name} must be at least 1, got {count}")

    def find_images(self) -> "list[ImageRecord]":
        """Return the images to label, those that are labelled already among them."""
        from frozenseg_label.images import find_images

        records = find_images(self.sources, missing_ok=self.missing_ok)
        if self.shard is not None:
            records = [record for record in records if self.shard.has(record.relative)]
        return records[: self.limit]

    def manifest(self, spec: "PredictorSpec", vocabulary: str) -> "Manifest":
        """Say with what the labels will be made; `vocabulary` is what the caller named."""
        from frozenseg_label.checkpoints.header import read_checkpoint_info
        from frozenseg_label.checkpoints.named_weights import find_weights
        from frozenseg_label.runs.manifest import Manifest
        from frozenseg_label.version import __version__, library_versions

        words = spec.vocabulary
        info = read_checkpoint_info(find_weights(spec.weights))
        log.debug("weights %s, fingerprint %s", spec.weights, info.fingerprint)
        log.debug("vocabulary %s, %d classes", words.name, len(words.categories))
        arguments: dict[str, JsonValue] = {
            "images": [str(source) for source in self.sources[:MOST_SOURCES]],
            "vocabulary": vocabulary,
            "device": spec.device,
            "precision": spec.precision,
            "batch_size": self.batch_size,
            "max_pixels": self.max_pixels,
            "limit": self.limit,
            "formats": list(self.formats),
            "keep_proposals": spec.keep_proposals,
            "checksum": self.checksum,
            "update": self.update,
            "max_failure_rate": self.max_failure_rate,
        }
        if self.shard is not None:
            arguments["shard"] = f"{self.shard}"
        if self.ray is not None:
            arguments |= {f"ray_{name}": value for name, value in vars(self.ray).items()}
        if self.memory:
            from frozenseg_label.annotation.remember import memory_arguments

            arguments["memory"] = memory_arguments(spec, self.memory)
        return Manifest.of(
            tool_version=__version__,
            arguments=spec.options | arguments,
            weights=str(spec.weights),
            weights_fingerprint=info.fingerprint,
            vocabulary=words,
            seen_names=info.seen_names,
            options=spec.options,
            versions=library_versions(),
        )


def sources_of(images: str | Path | Sequence[str | Path]) -> list[Path | Address]:
    """Return one folder, file or address, or several, as a list."""
    return [*map(place_of, [images] if isinstance(images, str | Path) else images)]
