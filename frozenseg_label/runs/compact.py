"""Making a journal shorter that is mostly history: which rows stay, and writing these only.

The last row of an image counts. Of the others, those stay that somebody may still need:

- all that a person did (`reviewed`, `imported`);
- how the last run labelled the image, and the one before it: the queue shows what changed;
- labels that a review has open, from which its corrections are told.

What goes is what later runs made of earlier runs' labels: their PNGs are gone already.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from frozenseg_label.files import atomic_stream
from frozenseg_label.formats.json_rows import RowPlace
from frozenseg_label.runs.journal import Journal
from frozenseg_label.runs.journal_rows import MADE_BY_A_RUN
from frozenseg_label.runs.known import read_facts
from frozenseg_label.runs.layout import OPENED, opened_path
from frozenseg_label.runs.manifest import write_manifest
from frozenseg_label.runs.opening import open_to_correct, open_to_read

OF_PEOPLE = ("reviewed", "imported")


@dataclass(frozen=True)
class JournalSize:
    """How large a journal is, and how large it has to be, bytes."""

    now: int
    needed: int

    @property
    def history(self) -> float:
        """Return the share that nobody needs, 0..1."""
        return 1 - self.needed / self.now if self.now else 0.0


def journal_size(run: str | Path) -> JournalSize:
    """Return what `compact_journal` would do; nothing is written."""
    folder = Path(run)
    _, journal = open_to_read(folder)
    try:
        return JournalSize(journal.length, sum(place.length for place in _needed(folder, journal)))
    finally:
        journal.close()


def compact_journal(run: str | Path) -> JournalSize:
    """Leave out of a run's journal what nobody needs any longer; nothing else changes.

    The new journal takes the old one's place whole, or not at all. RunError: it is in use.

    Args:
        run: the run folder.

    Returns:
        How large the journal was, and how large it is now.

    Example:
        >>> size = frozenseg_label.compact_journal("labels")
        >>> size.needed <= size.now
        True
    """
    folder = Path(run)
    with open_to_correct(folder) as (manifest, journal):
        places = list(_needed(folder, journal))
        size = JournalSize(journal.length, sum(place.length for place in places))
        if size.needed == size.now:
            return size
        was_assembled = manifest.assembled == journal.length
        # First: a journal that grows to its old length again must not count as assembled.
        write_manifest(folder, manifest.model_copy(update={"assembled": 0}))
        with atomic_stream(journal.path) as file:
            for place in places:
                file.write(journal.line(place))
        if was_assembled:
            write_manifest(folder, manifest.model_copy(update={"assembled": size.needed}))
    return size


def _needed(folder: Path, journal: Journal) -> Iterator[RowPlace]:
    """Yield the places of the rows that stay: image by image, in the order in which these came.

    So an image keeps its number.
    """
    rows: dict[str, _Rows] = {}
    has_opened = (folder / OPENED).is_dir()
    for place, line in journal.lines():
        row = read_facts(line)
        if row is None:  # the journal was opened, so all its rows can be read
            raise ValueError(f"{journal.path}: no row at byte {place.offset}")
        image, labels = row["image"], row.get("labels") or {}
        of_image = rows.setdefault(image, _Rows())
        of_image.last = place
        if row["event"] in MADE_BY_A_RUN:
            of_image.add_made(place, row.get("run"))
        png = labels["current"]["png"] if labels else None
        is_open = has_opened and png is not None and (folder / opened_path(image, png)).exists()
        if row["event"] in OF_PEOPLE or is_open:
            of_image.others += (place,)
    for of_image in rows.values():
        places = {of_image.last, of_image.made, of_image.before, *of_image.others}
        yield from sorted(place for place in places if place is not None)


class _Rows:
    """The rows of one image that stay: its last one, those of two runs, and others."""

    __slots__ = ("before", "last", "made", "others", "run")

    def __init__(self) -> None:
        self.last: RowPlace | None = None
        self.made: RowPlace | None = None
        self.before: RowPlace | None = None
        self.run: str | None = None  # that made `made`
        self.others: tuple[RowPlace, ...] = ()

    def add_made(self, place: RowPlace, run: str | None) -> None:
        """Take the next row in which a run labelled the image."""
        if run != self.run:
            self.before = self.made
        self.made, self.run = place, run
