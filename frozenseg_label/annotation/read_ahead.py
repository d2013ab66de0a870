"""Images in order, of which the next few are being read in other threads."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

from frozenseg_label.errors import ImageError
from frozenseg_label.images import ImageRecord

Loaded = TypeVar("Loaded")


def read_ahead(
    records: Iterable[ImageRecord],
    load_one: Callable[[ImageRecord], Loaded],
    readers: ThreadPoolExecutor,
    ahead: int,
    on_failed: Callable[[ImageRecord, str], None],
) -> Iterator[Loaded]:
    """Yield images in order while the next few are being read.

    Args:
        records: the images.
        load_one: reads one, in another thread; ImageError where that cannot be done.
        readers: the threads.
        ahead: images that are being read at once.
        on_failed: called in this thread with each image that cannot be read, and why.
    """
    remaining = iter(records)
    waiting: deque[tuple[ImageRecord, Future[Loaded]]] = deque()
    while True:
        for record in islice(remaining, ahead - len(waiting)):
            waiting.append((record, readers.submit(load_one, record)))
        if not waiting:
            return
        record, reading = waiting.popleft()
        try:
            image = reading.result()
        except ImageError as error:
            on_failed(record, f"{error}")
        else:
            yield image
