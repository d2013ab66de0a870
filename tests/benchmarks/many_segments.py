"""How long whole-map work takes with many segments on a large map.

    python tests/benchmarks/many_segments.py --side 4000 --segments 250

Prints seconds that the process worked, the better of two turns, for each job on a map of
side x side pixels with that many wavy regions, of stuff and things.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from made_run import made_words

from frozenseg_label.evaluation.reviewed import _judged_part
from frozenseg_label.evaluation.segment_overlap import one_segment_per_stuff, overlap_of
from frozenseg_label.panoptic import PanopticMap, Segment, measure
from frozenseg_label.runs.ownership import fuse, withdraw_rejected

CLASSES = 20
SOURCE = "model:abc"


def main() -> None:
    """Do each job twice, and print the better time."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--side", type=int, default=4000)
    parser.add_argument("--segments", type=int, default=250)
    given = parser.parse_args()
    vocabulary = made_words(CLASSES)
    proposal = wavy_map(given.side, given.side, given.segments)
    states = ("accepted", "proposed", "rejected")
    judged = tuple(
        replace(segment, state=states[(segment.id // 7) % 3]) for segment in proposal.segments
    )
    existing, refused = withdraw_rejected(PanopticMap(proposal.ids, judged), vocabulary)
    jobs: dict[str, Callable[[], object]] = {
        "measure": lambda: measure(proposal.ids),
        "fuse": lambda: fuse(proposal, existing, refused, vocabulary),
        "judged part of a review": lambda: _judged_part(proposal, existing),
        "one segment per stuff": lambda: one_segment_per_stuff(proposal),
        "overlap": lambda: overlap_of(proposal, existing),
    }
    print(f"{len(proposal.segments)} segments, {len(refused)} of them refused")  # noqa: T201
    for name, job in jobs.items():
        seconds = []
        for _ in range(2):
            started = time.process_time()
            job()
            seconds.append(time.process_time() - started)
        print(f"{name}: {min(seconds):.2f} s")  # noqa: T201


def wavy_map(height: int, width: int, segments: int) -> PanopticMap:
    """Return a map of regions between wavy lines, nearly all of it labelled."""
    across = int(segments**0.5)
    down = segments // across
    rows, columns = np.arange(height)[:, None], np.arange(width)[None]
    wave = width / across / 6
    row = (rows + wave * np.sin(columns / wave)).clip(0, height - 1) * down // height
    column = (columns + wave * np.sin(rows / wave)).clip(0, width - 1) * across // width
    ids = (1 + row * across + column).astype(np.int32)
    ids[(rows + columns) % 97 == 0] = 0
    found = []
    for id_, (area, box) in measure(ids).items():
        class_id = 1 + id_ % CLASSES
        found.append(Segment(id_, class_id, class_id % 2 > 0, area, box, 0.5, source=SOURCE))
    return PanopticMap(ids, tuple(found))


if __name__ == "__main__":
    main()
