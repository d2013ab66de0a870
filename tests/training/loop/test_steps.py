"""A step has the same images and random numbers at any time and in any process."""

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from frozenseg_label.errors import ImageError, TrainingError
from frozenseg_label.training.data.targets import Targets
from frozenseg_label.training.loop.steps import Loader, Schedule

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Number:
    """A sample that is only the number of an image and a random number."""

    index: int
    drawn: float = 0.0
    shape: tuple[int, int] = (1, 1)

    @property
    def name(self) -> str:
        return f"{self.index}.png"

    @property
    def targets(self) -> Targets:
        return Targets(torch.empty(0).long(), torch.empty(0, 1, 1))


@dataclass
class Numbers:
    """A source of numbers, some of which cannot be read; counts how often each is loaded."""

    count: int
    damaged: frozenset[int] = frozenset()
    asked: Counter[int] = field(default_factory=Counter)

    def __len__(self) -> int:
        return self.count

    def load(self, index: int, rng: np.random.Generator) -> Number:
        self.asked[index] += 1
        if index in self.damaged:
            raise ImageError(f"{index}.png: no image, or damaged")
        return Number(index, float(rng.random()))


@contextmanager
def loader(
    source: Numbers, batch_size: int = 2, steps: int = 12, process: int = 0, processes: int = 1
) -> Iterator[Callable[[int], list[Number]]]:
    """Yield a function that returns the samples of a step."""
    loading = Loader(source, Schedule(len(source), batch_size, 0), process, processes, steps)

    def step(number: int) -> list[Number]:
        _, samples = loading.step(number)
        return [sample for sample in samples if isinstance(sample, Number)]

    try:
        yield step
    finally:
        loading.close()


# The schedule.


@given(st.integers(1, 12), st.integers(1, 5), st.integers(0, 9))
def test_every_image_comes_once_in_a_round(images: int, batch_size: int, seed: int) -> None:
    schedule = Schedule(images, batch_size, seed)
    shown = [place.index for step in range(3 * images) for place in schedule.places(step)]
    for start in range(0, len(shown), images):
        assert sorted(shown[start : start + images]) == list(range(images))


def test_each_round_has_another_order_and_each_seed_others() -> None:
    def order(seed: int, step: int) -> list[int]:
        return [place.index for place in Schedule(50, 50, seed).places(step)]

    assert order(0, 0) != order(0, 1) != order(1, 1)
    assert order(0, 0) == order(0, 0)


@given(st.integers(1, 20), st.integers(1, 8), st.integers(1, 4), st.integers(0, 50))
def test_processes_share_the_places_of_one_and_the_same_batch(
    images: int, batch_size: int, processes: int, step: int
) -> None:
    schedule = Schedule(images, batch_size, 3)
    shares = [schedule.places(step, process, processes) for process in range(processes)]
    together = sorted((place for share in shares for place in share), key=lambda p: p.position)
    assert together == schedule.places(step)
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_the_same_place_gives_the_same_random_numbers_and_another_place_others() -> None:
    schedule = Schedule(8, 4, 0)
    places = [*schedule.places(0), *schedule.places(1)]
    varied = [schedule.rng(place).random() for place in places]
    drawn = [schedule.draw(place, CPU)((5,)).tolist() for place in places]
    assert len(set(varied)) == len(set(map(tuple, drawn))) == len(places)
    again = Schedule(8, 4, 0)
    assert [again.rng(place).random() for place in places] == varied
    assert [again.draw(place, CPU)((5,)).tolist() for place in places] == drawn
    assert Schedule(8, 4, 1).rng(places[0]).random() != varied[0]


def test_points_that_are_drawn_one_after_the_other_differ() -> None:
    schedule = Schedule(8, 4, 0)
    draw = schedule.draw(schedule.places(0)[0], CPU)
    first, second = draw((100, 2)), draw((100, 2))
    assert not torch.equal(first, second)
    assert 0.0 <= first.min() <= first.max() < 1.0


# Loading.


def test_samples_come_in_the_order_of_their_places() -> None:
    with loader(Numbers(7), batch_size=3) as step:
        for number in range(5):
            expected = [place.index for place in Schedule(7, 3, 0).places(number)]
            assert [sample.index for sample in step(number)] == expected


def test_a_step_is_the_same_whether_the_loader_began_before_it_or_with_it() -> None:
    with loader(Numbers(7), batch_size=3) as step:
        straight = [step(number) for number in range(6)]
    with loader(Numbers(7), batch_size=3) as step:
        assert [step(number) for number in range(4, 6)] == straight[4:]


def test_two_processes_load_what_one_does() -> None:
    with loader(Numbers(7), batch_size=4) as step:
        whole = step(1)
    for process in range(2):
        with loader(Numbers(7), batch_size=4, process=process, processes=2) as step:
            assert step(1) == whole[process::2]


def test_nothing_is_loaded_beyond_the_last_step() -> None:
    source = Numbers(10)
    with loader(source, batch_size=2, steps=3) as step:
        for number in range(3):
            step(number)
    assert source.asked.total() == 6


def test_an_image_that_cannot_be_read_is_named_once_counted_and_replaced(
    caplog: pytest.LogCaptureFixture,
) -> None:
    source = Numbers(4, damaged=frozenset({2}))
    loading = Loader(source, Schedule(4, 4, 0), 0, 1, steps=6)
    with caplog.at_level(logging.WARNING):
        shown = [[s.name for s in loading.step(number)[1]] for number in range(6)]
    loading.close()
    assert [sorted(names) for names in shown] == [["0.png", "1.png", "3.png", "3.png"]] * 6
    assert caplog.messages == ["skipped: 2.png: no image, or damaged"]
    assert loading.skipped == {2: "2.png: no image, or damaged"}


def test_where_no_image_can_be_read_any_more_the_training_stops() -> None:
    with (
        loader(Numbers(3, damaged=frozenset(range(3)))) as step,
        pytest.raises(TrainingError, match=r"none of the 3 images can be read.*no image, or"),
    ):
        step(0)
