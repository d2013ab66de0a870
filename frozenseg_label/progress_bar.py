"""How far a long job is: a bar in terminals and notebooks, elsewhere a plain line now and then."""

import logging
import sys
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

from tqdm.asyncio import tqdm_asyncio
from tqdm.auto import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

EVERY = 30.0  # seconds between two lines

log = logging.getLogger(__name__)

Item = TypeVar("Item")


class Bar(Protocol):
    """What shows how far a job is.

    Attributes:
        n: how much is done.
    """

    n: float

    def update(self, n: float | None = 1) -> bool | None:
        """Count what was done since the last call."""
        ...

    def set_postfix_str(self, s: str = "", refresh: bool = True) -> None:
        """Set a note that is shown at the end."""
        ...


@contextmanager
def progress_bar(
    total: int,
    *,
    show: bool,
    done: int = 0,
    doing: str = "",
    unit: str = "image",
    bar_format: str | None = None,
    every: float = EVERY,
) -> Iterator[Bar]:
    """Yield a bar on stderr; where that is neither a terminal nor a notebook, it writes lines.

    The lines are in the log, too, as DEBUG: also beside a bar, and where nothing is shown.

    Args:
        total: number of things to do, with those done earlier.
        show: False shows nothing; nor does a job that has nothing to do.
        done: earlier; they do not count for the time left.
        doing: what the job does.
        unit: name of one thing.
        bar_format: of the bar, in tqdm's words.
        every: seconds between two lines.
    """
    is_notebook = tqdm is not tqdm_asyncio  # tqdm.auto has a class of its own there
    show = show and done < total
    if not show or not (is_notebook or sys.stderr.isatty()):
        yield _Lines(total, done, doing, unit, every, shown=show)
        return
    bar = tqdm(
        total=total,
        initial=done,
        desc=doing or None,
        unit=unit,
        bar_format=bar_format,
        dynamic_ncols=True,
    )
    with bar, logging_redirect_tqdm():  # messages go above the bar, not into it
        yield _Lines(total, done, doing, unit, every, shown=False, bar=bar)


def shown(
    items: Collection[Item],
    *,
    show: bool,
    doing: str = "",
    failed: Callable[[], int] = int,
    every: float = EVERY,
) -> Iterator[Item]:
    """Yield the items, images or their names, under a bar; the arguments are its own.

    Args:
        failed: returns how many items failed so far.
    """
    with progress_bar(len(items), show=show, doing=doing, every=every) as bar:
        for item in items:
            yield item
            if count := failed():
                bar.set_postfix_str(f"{count} failed", refresh=False)
            bar.update()


class _Lines:
    """Lines of text now and then: done, rate, time left and a note; in the log, and shown or not.

    Where there is a bar, it is told everything.
    """

    def __init__(
        self,
        total: int,
        done: int,
        doing: str,
        unit: str,
        every: float,
        *,
        shown: bool,
        bar: Bar | None = None,
    ) -> None:
        self.n: float = done
        self._total, self._done, self._doing, self._unit = total, done, doing, unit
        self._every, self._shown, self._bar = every, shown, bar
        self._note = ""
        self._start = self._last = time.monotonic()

    def update(self, n: float | None = 1) -> None:
        """Count, and write a line if the last one is long ago."""
        self.n += n or 0
        if self._bar is not None:
            self._bar.update(n)
        now = time.monotonic()
        if now - self._last >= self._every and self.n > self._done:
            self._last = now
            line = self._line(now - self._start)
            log.debug("%s", line)
            if self._shown:
                sys.stderr.write(f"{line}\n")
                sys.stderr.flush()

    def set_postfix_str(self, s: str = "", refresh: bool = True) -> None:
        """Set a note that is shown at the end of each line."""
        self._note = s
        if self._bar is not None:
            self._bar.set_postfix_str(s, refresh)

    def _line(self, seconds: float) -> str:
        rate = (self.n - self._done) / max(seconds, 1e-6)
        speed = f"{rate:.1f} {self._unit}s/s" if rate >= 1 else f"{1 / rate:.1f} s/{self._unit}"
        left = tqdm.format_interval((self._total - self.n) / rate)
        parts = [f"{self.n:.0f} of {self._total} {self._unit}s", speed, f"{left} left", self._note]
        return (f"{self._doing}: " if self._doing else "") + ", ".join(filter(None, parts))
