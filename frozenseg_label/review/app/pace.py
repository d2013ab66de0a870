"""How many segments a person decided today by our buttons, and in how much time.

One entry for each action, in FiftyOne's own store beside the dataset: its key says when, how many
and who, so that one question to the database reads them all. Entries vanish after two days.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import fiftyone as fo
    from fiftyone.operators.store import ExecutionStore

STORE = "frozenseg-label-decided"
KEPT_SECONDS = 2 * 24 * 3600
PAUSE = timedelta(minutes=5)  # longer without an action: the person did something else
LEAST_HOURS = 1 / 60  # of work; before, an average says nothing


@dataclass(frozen=True)
class Pace:
    """What a person decided today.

    Attributes:
        decided: segments that got a verdict or another class; what was undone does not count.
        hours: of work, pauses left out.
    """

    decided: int = 0
    hours: float = 0.0

    @property
    def an_hour(self) -> float | None:
        """Return the segments an hour; None while there is too little to say."""
        is_known = self.hours >= LEAST_HOURS and self.decided > 0
        return self.decided / self.hours if is_known else None

    def text(self, waiting: int) -> str:
        """Return it as Markdown.

        Args:
            waiting: segments without a verdict.
        """
        if self.an_hour is None:
            return f"**{self.decided}** decided today"
        left = waiting / self.an_hour
        time = f"{left:.1f} hours" if left >= 1 else f"{60 * left:.0f} minutes"
        said = f"**{self.decided}** decided today, {self.an_hour:.0f} an hour"
        return f"{said}; at this pace, what waits takes {time}" if waiting else said


def note_decided(dataset: "fo.Dataset", at: str, count: int, user: str) -> None:
    """Write down that an action decided segments.

    Args:
        at: when, UTC in ISO form.
        count: how many; below 0 where verdicts were taken back.
        user: the person; empty: nobody said.
    """
    if count:
        _store(dataset).set(f"{at} {count} {user}", True, ttl=KEPT_SECONDS)


def forget_decided(dataset: "fo.Dataset", actions: Iterable[str]) -> None:
    """Forget actions that were undone, named by when they were done."""
    store, undone = _store(dataset), set(actions)
    for key in store.list_keys():
        if key.partition(" ")[0] in undone:
            store.delete(key)


def pace_today(dataset: "fo.Dataset", user: str) -> Pace:
    """Return what a person decided since midnight, here."""
    midnight = datetime.now().astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
    decided, times = 0, []
    for key in sorted(_store(dataset).list_keys()):
        at, count, who = key.split(" ", 2)
        when = datetime.fromisoformat(at)
        if when >= midnight and who == user:
            decided += int(count)
            times.append(when)
    gaps = [later - sooner for sooner, later in pairwise(times)]
    worked = sum((gap for gap in gaps if gap <= PAUSE), timedelta())
    return Pace(max(decided, 0), worked / timedelta(hours=1))


def _store(dataset: "fo.Dataset") -> "ExecutionStore":
    return store_beside(dataset, STORE)


def store_beside(dataset: "fo.Dataset", name: str) -> "ExecutionStore":
    """Return a store of FiftyOne's that is deleted with its dataset."""
    from fiftyone.operators.store import ExecutionStore

    return ExecutionStore.create(name, dataset._doc.id)
