"""What a run folder tells of a vocabulary: who wins, who comes second, what stays unlabelled."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from frozenseg_label.vocabulary import same_name

LEAST_LOSSES = 3  # fewer say nothing


@dataclass(frozen=True)
class Loser:
    """A class that the model proposed nowhere, and that often came second to another one.

    Attributes:
        name, rival: as the run spells them.
        seconds: segments in which it came second.
        to_rival: those of them that the rival won.
        margin: mean difference of the two probabilities in these, 0..1.
    """

    name: str
    rival: str
    seconds: int
    to_rival: int
    margin: float


@dataclass
class RunEvidence:
    """Counts of a run folder, of the model's own labels.

    Attributes:
        images: with labels.
        pixels, unlabelled: of all these images.
        wins: segments, by class.
        losses: how often the second class came after the first, by (second, first).
        margins: sums of the margins of these.
        spelling: of each class.
    """

    images: int = 0
    pixels: int = 0
    unlabelled: int = 0
    wins: Counter[str] = field(default_factory=Counter)
    losses: Counter[tuple[str, str]] = field(default_factory=Counter)
    margins: defaultdict[tuple[str, str], float] = field(default_factory=lambda: defaultdict(float))
    spelling: dict[str, str] = field(default_factory=dict)

    @property
    def unlabelled_share(self) -> float:
        """Return the share of all pixels that no segment has, 0..1."""
        return self.unlabelled / self.pixels if self.pixels else 0.0

    def losers(self) -> list[Loser]:
        """Return the classes that always lose, mostly to one other; the most frequent first."""
        seconds: Counter[str] = Counter()
        worst: dict[str, tuple[int, str]] = {}
        for (second, first), count in self.losses.items():
            seconds[second] += count
            worst[second] = max(worst.get(second, (0, "")), (count, first))
        found = []
        for name, count in seconds.most_common():
            times, rival = worst[name]
            if self.wins[name] or count < LEAST_LOSSES or 2 * times <= count:
                continue
            margin = self.margins[name, rival] / times
            spelt = self.spelling[name], self.spelling[rival]
            found.append(Loser(*spelt, seconds=count, to_rival=times, margin=margin))
        return found


def read_evidence(run: Path) -> RunEvidence:
    """Return the counts of a run folder; its images are read one after the other."""
    from frozenseg_label.runs.run_reader import RunReader

    evidence = RunEvidence()
    with RunReader.read(run) as reader:
        for entry in reader.entries():
            if entry.labels is None:
                continue
            labels = entry.labels
            own = labels.proposed or labels.current
            area = labels.width * labels.height
            evidence.images += 1
            evidence.pixels += area
            evidence.unlabelled += area - sum(info.area for info in own.segments_info)
            for info in own.segments_info:
                if info.score is None:
                    continue  # a person's: no class lost it
                first = same_name(own.names[info.category_id])
                evidence.wins[first] += 1
                evidence.spelling[first] = own.names[info.category_id]
                if info.second is not None:
                    pair = same_name(own.names[info.second]), first
                    evidence.spelling[pair[0]] = own.names[info.second]
                    evidence.losses[pair] += 1
                    evidence.margins[pair] += info.margin or 0.0
    return evidence
