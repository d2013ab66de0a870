"""The manifest `run.json`: with what the labels of a run folder were made."""

import hashlib
import json
import operator
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from frozenseg_label.documents import read_json
from frozenseg_label.errors import RunError
from frozenseg_label.files import atomic_write
from frozenseg_label.runs.layout import MANIFEST
from frozenseg_label.vocabulary import NO_COLOR, Category, Color, Vocabulary

SCHEMA_VERSION = 1


class _Recorded(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RecordedWeights(_Recorded):
    """The model file: the name people gave, and the fingerprint that counts."""

    name: str
    fingerprint: str


class RecordedCategory(_Recorded):
    """A `Category`, in COCO's words; what it does not use is left out of the file."""

    id: int
    name: str
    synonyms: tuple[str, ...]
    isthing: bool
    color: Color
    min_score: float
    not_names: tuple[str, ...] = Field(default=(), exclude_if=operator.not_)
    templates: tuple[str, ...] = Field(default=(), exclude_if=operator.not_)
    supercategory: str = Field(default="", exclude_if=operator.not_)
    made_from: tuple[str, ...] = Field(default=(), exclude_if=operator.not_)


class RecordedVocabulary(_Recorded):
    """A `Vocabulary` and its fingerprint."""

    name: str
    fingerprint: str
    background: tuple[str, ...] = Field(default=(), exclude_if=operator.not_)
    categories: tuple[RecordedCategory, ...]

    @classmethod
    def of(cls, vocabulary: Vocabulary) -> "RecordedVocabulary":
        """Return the record of a vocabulary."""
        return cls(
            name=vocabulary.name,
            fingerprint=vocabulary.fingerprint,
            background=vocabulary.background,
            categories=tuple(
                RecordedCategory(
                    id=category.id,
                    name=category.name,
                    synonyms=category.synonyms,
                    isthing=category.is_thing,
                    color=category.color,
                    min_score=category.min_score,
                    not_names=category.not_names,
                    templates=category.templates,
                    supercategory=category.supercategory,
                    made_from=category.made_from,
                )
                for category in vocabulary.categories
            ),
        )

    def vocabulary(self) -> Vocabulary:
        """Return the vocabulary of the record."""
        return Vocabulary(
            self.name,
            tuple(
                Category(
                    name=row.name,
                    id=row.id,
                    synonyms=row.synonyms,
                    is_thing=row.isthing,
                    color=row.color,
                    min_score=row.min_score,
                    not_names=row.not_names,
                    templates=row.templates,
                    supercategory=row.supercategory,
                    made_from=row.made_from,
                )
                for row in self.categories
            ),
            self.background,
        )


class ClassTotals(_Recorded):
    """How often one class occurs in the run folder."""

    images: int = 0
    segments: int = 0
    pixels: int = 0


class Totals(_Recorded):
    """What the run folder holds.

    Attributes:
        images: that have labels.
        failed: images whose last attempt failed.
        outdated: images left out of `panoptic.json`, because they were labelled with words that
            the vocabulary no longer has; the next run labels them again.
        segments: in all labelled images.
        classes: by name, in the order of the vocabulary; those that occur.
    """

    images: int = 0
    failed: int = 0
    outdated: int = 0
    segments: int = 0
    classes: dict[str, ClassTotals] = Field(default_factory=dict)


class Manifest(_Recorded):
    """With what the labels were made.

    Attributes:
        schema_version: of this file.
        tool_version: of frozenseg-label, at the last change.
        arguments: of the last command, for people to read.
        weights, vocabulary, options: decide the labels; `fingerprint` covers them. `options` are
            those arguments that change labels.
        seen_names: classes that the weights were trained on.
        root: folder that the images' names are relative to; None until the first plan.
        versions: of Python and of libraries, at the last command that changed anything here.
        precisions: in which encoders and decoder have computed labels, the first one first.
        created, updated: UTC.
        assembled: bytes of the journal when `panoptic.json` was last made of it; 0 = remake it.
        totals: of that moment; None before.
        missing_images: labelled images whose file was gone at the last plan; their labels stay.
        warnings: sentences about the whole run that `summary.json` repeats.
    """

    schema_version: int = SCHEMA_VERSION
    tool_version: str
    arguments: dict[str, JsonValue]
    weights: RecordedWeights
    vocabulary: RecordedVocabulary
    seen_names: tuple[str, ...]
    options: dict[str, JsonValue]
    versions: dict[str, str] = Field(default_factory=dict)
    precisions: tuple[str, ...] = ()
    root: str | None = None
    created: datetime = Field(default_factory=lambda: datetime.now(UTC))
    updated: datetime = Field(default_factory=lambda: datetime.now(UTC))
    assembled: int = 0
    totals: Totals | None = None
    missing_images: int = 0
    warnings: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        *,
        tool_version: str,
        arguments: Mapping[str, object],
        weights: str,
        weights_fingerprint: str,
        vocabulary: Vocabulary,
        seen_names: Collection[str],
        options: Mapping[str, object],
        versions: Mapping[str, str] | None = None,
    ) -> "Manifest":
        """Return the manifest of a run that is about to start.

        Args:
            arguments: all that the person asked for, as JSON can hold it.
            options: those of them, with their values, that change labels (`min_score`, ...).
            versions: of Python and of libraries; to be known, they make no run another one.
        """
        # Validated, not constructed: values come from a command line, typed as objects.
        return cls.model_validate(
            {
                "tool_version": tool_version,
                "arguments": dict(arguments),
                "weights": RecordedWeights(name=weights, fingerprint=weights_fingerprint),
                "vocabulary": RecordedVocabulary.of(vocabulary),
                "seen_names": sorted(seen_names),
                "options": dict(options),
                "versions": dict(versions or {}),
            }
        )

    @property
    def fingerprint(self) -> str:
        """Return SHA-256 (hex) of all that decides labels."""
        facts = [self.weights.fingerprint, self.vocabulary.fingerprint, self.options]
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    @property
    def shard(self) -> JsonValue:
        """Return which part of the images was asked for, such as "2/5"; None: all."""
        return self.arguments.get("shard")

    def differences(self, new: "Manifest") -> list[str]:
        """Return in words what a run by `new` would do differently; empty if nothing."""
        found = []
        if self.weights.fingerprint != new.weights.fingerprint:
            found.append(f"weights ({_weights(self)} there, {_weights(new)} now)")
        if self.vocabulary.fingerprint != new.vocabulary.fingerprint:
            found.append(f"vocabulary ({_vocabulary_change(self.vocabulary, new.vocabulary)})")
        for name in sorted(self.options.keys() | new.options.keys()):
            old_value, new_value = self.options.get(name), new.options.get(name)
            if old_value != new_value and name == "memory":
                found.append(f"memory ({self._memory()} there, {new._memory()} now)")
            elif old_value != new_value:
                found.append(f"{name} ({old_value!r} there, {new_value!r} now)")
        return found

    def _memory(self) -> str:
        """Return of what a run has its memory, in words."""
        told = self.arguments.get("memory")
        runs = told.get("runs") if isinstance(told, dict) else None
        folders = f" of --memory {' '.join(map(str, runs))}" if isinstance(runs, list) else ""
        return f"{self.options.get('memory', 'none')}{folders}"


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest of a run folder; RunError where it is damaged or of a later version."""
    path = folder / MANIFEST
    data = read_json(path, RunError)
    try:
        version = data["schema_version"]
    except (KeyError, TypeError) as error:
        raise RunError(f"{path}: no manifest of a run ({error}); name another folder") from error
    if version != SCHEMA_VERSION:
        raise RunError(
            f"{path}: written by frozenseg-label {data.get('tool_version')}, in form {version}, "
            f"and this version reads form {SCHEMA_VERSION}; "
            "upgrade frozenseg-label, or name another folder"
        )
    try:
        # Not model_validate_json: it refuses the escapes of folder names that are no Unicode.
        return Manifest.model_validate(data)
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(str(part) for part in fault["loc"])
        raise RunError(
            f"{path}: damaged, {where}: {fault['msg']}; restore it, or name another folder"
        ) from None


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest, whole."""
    data = manifest.model_dump() | {
        "created": manifest.created.isoformat(),
        "updated": manifest.updated.isoformat(),
    }
    atomic_write(folder / MANIFEST, (json.dumps(data, indent=1) + "\n").encode())


def _weights(manifest: Manifest) -> str:
    return f"{manifest.weights.name} {manifest.weights.fingerprint[:12]}"


def _vocabulary_change(old: RecordedVocabulary, new: RecordedVocabulary) -> str:
    before = {category.name: None for category in old.categories}
    now = {category.name: None for category in new.categories}
    parts = [f"{old.name} with {len(before)} classes there, {new.name} with {len(now)} now"]
    for word, names in (("new", now.keys() - before), ("gone", before.keys() - now)):
        if names:
            parts.append(f"{word}: {_few(names)}")
    if len(parts) == 1:
        rows = {category.name: category for category in old.categories}
        parts += [f"changed: {_few(changed)}"] if (changed := _changed(rows, new)) else []
        parts += ["another background"] if old.background != new.background else []
    return "; ".join(parts)


def _changed(rows: Mapping[str, RecordedCategory], new: RecordedVocabulary) -> set[str]:
    """Return names of the classes with other words, ids, kinds or `min_score` now."""
    plain = {"color": NO_COLOR, "supercategory": "", "made_from": ()}
    return {
        row.name
        for row in new.categories
        if row.model_copy(update=plain) != rows[row.name].model_copy(update=plain)
    }


def _few(names: Collection[str]) -> str:
    return ", ".join(sorted(names)[:5]) + (", ..." if len(names) > 5 else "")
