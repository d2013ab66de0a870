"""The images of each step and their random numbers: the same at any time and in any process."""

import logging
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray

from frozenseg_label.errors import FormatError, ImageError, TrainingError
from frozenseg_label.training.data.sample_sources import SampleSource
from frozenseg_label.training.data.samples import Sample
from frozenseg_label.training.loss.point_sampling import Draw

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Place:
    """A place in the batch of a step.

    Attributes:
        step: counted from 0.
        position: in the batch of the whole step, over all processes.
        index: number of the image in its source.
    """

    step: int
    position: int
    index: int


@dataclass(frozen=True)
class Schedule:
    """Goes through the images again and again, in a new order each time.

    Attributes:
        images: number of images.
        batch_size: images of a step, over all processes.
        seed: of the orders, and of all random numbers of an image.
    """

    images: int
    batch_size: int
    seed: int

    def places(self, step: int, process: int = 0, processes: int = 1) -> list[Place]:
        """Return the places that one of several processes takes in a step."""
        first = step * self.batch_size
        return [
            Place(step, position, self._image(first + position))
            for position in range(process, self.batch_size, processes)
        ]

    def _image(self, number: int) -> int:
        round_, place = divmod(number, self.images)
        return int(_order(self.seed, round_, self.images)[place])

    def rng(self, place: Place) -> np.random.Generator:
        """Return the random numbers that vary an image."""
        return np.random.default_rng((self.seed, place.step, place.position))

    def draw(self, place: Place, device: torch.device) -> Draw:
        """Return the random numbers that choose the points of an image's masks."""
        sequence = np.random.SeedSequence((self.seed, place.step, place.position, 1))
        generator = torch.Generator().manual_seed(int(sequence.generate_state(1)[0]))
        return lambda shape: torch.rand(shape, generator=generator).to(device)


@lru_cache(maxsize=2)
def _order(seed: int, round_: int, images: int) -> NDArray[np.int64]:
    return np.random.default_rng((seed, round_)).permutation(images)


class Loader:
    """Loads the samples of a step while the step before is computed.

    An image that cannot be read is logged once, and the next one that can be read is taken.

    Attributes:
        skipped: why images could not be read, by their number.
    """

    def __init__(
        self, source: SampleSource, schedule: Schedule, process: int, processes: int, steps: int
    ) -> None:
        self.skipped: dict[int, str] = {}
        self._source, self._schedule, self._steps = source, schedule, steps
        self._process, self._processes = process, processes
        self._pool, self._lock = ThreadPoolExecutor(2), threading.Lock()
        self._coming: dict[int, list[Future[Sample]]] = {}

    def step(self, step: int) -> tuple[list[Place], list[Sample]]:
        """Return the places of a step and their samples; those of the next step begin to load."""
        futures = self._coming.pop(step, None) or self._begin(step)
        samples = [future.result() for future in futures]
        if step + 1 < self._steps:
            self._coming = {step + 1: self._begin(step + 1)}
        return self._places(step), samples

    def close(self) -> None:
        """Stop loading."""
        self._pool.shutdown(cancel_futures=True)

    def _places(self, step: int) -> list[Place]:
        return self._schedule.places(step, self._process, self._processes)

    def _begin(self, step: int) -> list[Future[Sample]]:
        return [self._pool.submit(self._load, place) for place in self._places(step)]

    def _load(self, place: Place) -> Sample:
        for offset in range(len(self._source)):
            index = (place.index + offset) % len(self._source)
            try:
                return self._source.load(index, self._schedule.rng(place))
            except (ImageError, FormatError) as error:
                with self._lock:
                    if index not in self.skipped:
                        log.warning("skipped: %s", error)
                    self.skipped[index] = f"{error}"
        raise TrainingError(
            f"none of the {len(self._source)} images can be read any more, among them: "
            f"{next(iter(self.skipped.values()))}"
        )
