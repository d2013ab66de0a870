"""The report of a training: quality before and after, on held-out images and the probe set."""

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from frozenseg_label.documents import read_json
from frozenseg_label.errors import TrainingError
from frozenseg_label.evaluation.panoptic_quality import PanopticTally
from frozenseg_label.files import atomic_write
from frozenseg_label.training.data.labelled_images import LabelledImage
from frozenseg_label.vocabulary import Vocabulary, same_name

SCHEMA_VERSION = 1
HELD_OUT = "held out"
PROBE = "probe"
RETAINED = "never named in the labels"
FEWEST_RETAINED = 10  # classes that are enough to measure forgetting


@dataclass(frozen=True)
class TableRow:
    """PQ of a group of classes on one set, in points, 0..100.

    Attributes:
        images: `held out` or `probe`.
        classes: name of the group: all, things, ...
        count: number of classes of the group in the truth of the set; PQ is the mean over these.
        before, after: PQ of the weights at the start, and of the best weights.
    """

    images: str
    classes: str
    count: int
    before: float
    after: float


@dataclass(frozen=True)
class ClassGroups:
    """Groups of the classes that occur in the truth of some images: category ids by group name."""

    groups: Mapping[str, Collection[int]]

    @classmethod
    def of(
        cls,
        images: Collection[LabelledImage],
        vocabulary: Vocabulary,
        seen_before: Collection[str],
        named: Collection[str],
    ) -> "ClassGroups":
        """Sort the classes of a vocabulary into groups; empty groups are left out.

        Args:
            seen_before: names that the starting weights were trained on.
            named: names of the classes that are trained on now.
        """
        names = {same_name(name) for name in named}
        true = {same_name(s.name) for image in images for s in image.segments if s.is_truth}
        occurring = [c for c in vocabulary.categories if same_name(c.name) in true]
        old = {c.id for c in occurring if any(name in seen_before for name in c.names)}
        trained = {c.id for c in occurring if any(same_name(name) in names for name in c.names)}
        groups = {
            "all": {c.id for c in occurring},
            "things": {c.id for c in occurring if c.is_thing},
            "stuff": {c.id for c in occurring if not c.is_thing},
            "seen by the weights before": old,
            "new to the weights": trained - old,
            RETAINED: {c.id for c in occurring} - trained,
        }
        return cls({name: ids for name, ids in groups.items() if ids})

    def quality(self, tally: PanopticTally) -> dict[str, float]:
        """Return the PQ of each group in points; a class that was never found counts 0."""
        return {
            name: 100.0 * sum(q.pq for c, q in tally.categories.items() if c in ids) / len(ids)
            for name, ids in self.groups.items()
        }

    def rows(
        self, images: str, before: Mapping[str, float], after: Mapping[str, float]
    ) -> list[TableRow]:
        """Return the groups as rows of the table."""
        return [
            TableRow(images, name, len(ids), round(before[name], 2), round(after[name], 2))
            for name, ids in self.groups.items()
        ]


@dataclass(frozen=True)
class Report:
    """The part of a report that the command shows.

    Attributes:
        table: quality before and after.
        best_step: steps after which the best weights were taken.
        skipped: why images could not be read.
    """

    table: tuple[TableRow, ...]
    best_step: int
    skipped: tuple[str, ...]


def forgotten(rows: Collection[TableRow]) -> float | None:
    """Return the points of PQ that the classes lost which the labels never name, on the probe set.

    If these classes are few, a single segment would decide: then all classes of the probe set
    count. None without a probe set.
    """
    probe = {row.classes: row for row in rows if row.images == PROBE}
    row = probe.get(RETAINED)
    if row is None or row.count < FEWEST_RETAINED:
        row = probe.get("all")
    return None if row is None else round(row.before - row.after, 2)


def read_report(path: Path) -> Report:
    """Read a report that `write_report` wrote."""
    try:
        return TypeAdapter(Report).validate_python(read_json(path, TrainingError))
    except (TrainingError, ValidationError) as error:
        reason = " ".join(f"{error}".split())[:200]
        raise TrainingError(
            f"{path}: damaged ({reason}); remove it and give --resume: it is written again"
        ) from error


def write_report(path: Path, rows: Collection[TableRow], facts: Mapping[str, object]) -> None:
    """Write the table and other facts of a training as JSON."""
    report = {
        "schema_version": SCHEMA_VERSION,
        **facts,
        "table": [asdict(row) for row in rows],
        "forgetting": forgotten(rows),
    }
    atomic_write(path, (json.dumps(report, indent=1) + "\n").encode(), error=TrainingError)
