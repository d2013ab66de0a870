"""The labels of a picture's tiles, joined: one map, in which what tiles cut is whole again.

Where two tiles overlap, both have drawn the same pixels: things that agree there are one thing, and
stuff of one class is one segment anyway. What is larger than a tile no tile has seen whole: there
the labels of the whole picture, seen small, have a say. One map of the picture's size is kept, and
a row for each segment of each tile.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from frozenseg_label.inference.tiling import Window
from frozenseg_label.panoptic import UNLABELLED, PanopticMap, Segment

# Chosen on mosaics of demonstration scenes (tests/benchmarks/README.md).
MIN_AGREEMENT = 0.5  # IoU in the overlap of two tiles, from which on two things are one
MIN_LEFT = 0.3  # of a thing's pixels in the tile that shows most of it; remnants are dropped
MIN_INSIDE = 0.5  # share of a cut segment that lies in a larger one of the whole picture
_STRIP = 64  # rows of the picture that are worked on at a time
_RIM = 128  # what comes nearer to a tile's edge than this part of its side is cut by it

Vectors = Mapping[int, NDArray[np.float16]]


@dataclass(frozen=True)
class JoinedLabels:
    """The labels of a picture.

    Attributes:
        panoptic: the map.
        embeddings: unit vectors float16 [D] by segment id.
    """

    panoptic: PanopticMap
    embeddings: dict[int, NDArray[np.float16]]


@dataclass(frozen=True)
class _Piece:
    """A segment of one tile, or of the whole picture seen small.

    Attributes:
        segment: as it was there.
        vector: of it; None where it has none.
        is_cut: whether it goes on beyond the tile, so that the tile does not show it whole.
    """

    segment: Segment
    vector: NDArray[np.float16] | None
    is_cut: bool


class JoinedTiles:
    """The labels of the tiles that were added so far.

    Args:
        whole: labels of the whole picture, at any smaller size.
        vectors: of its segments.
        size: height and width of the picture.
        side: of a tile; only what is larger is taken from `whole`.
    """

    def __init__(
        self, whole: PanopticMap, vectors: Vectors, size: tuple[int, int], side: int
    ) -> None:
        self.ids = np.zeros(size, np.int32)  # numbers of pieces, from 1; 0 = unlabelled
        self.pieces: list[_Piece] = []
        self.kin: list[int] = []  # of each piece, an earlier one of the same thing, or itself
        self.shows_whole = bytearray(1)  # by number, whether a tile shows this thing whole
        scale = size[0] / whole.ids.shape[0], size[1] / whole.ids.shape[1]
        numbers = np.zeros(1 + max((s.id for s in whole.segments), default=0), np.int32)
        for segment in whole.segments:
            if max(segment.bbox[2] * scale[1], segment.bbox[3] * scale[0]) > side:
                numbers[segment.id] = self._append(segment, vectors, is_cut=False)
        self.number_large = len(self.pieces)  # the first pieces are of the whole picture
        self.large = numbers[whole.ids]  # [h, w]

    def add(self, window: Window, labels: PanopticMap, vectors: Vectors) -> None:
        """Join the labels of the next tile; tiles come in the order of `Tiling.windows`.

        Args:
            window: the tile's place.
            labels: of the tile's size.
            vectors: of its segments.
        """
        cut = _cut_segments(labels.ids, window)
        numbers = np.zeros(1 + max((s.id for s in labels.segments), default=0), np.int32)
        for segment in labels.segments:
            numbers[segment.id] = self._append(segment, vectors, is_cut=segment.id in cut)
        new, before = numbers[labels.ids], self.ids[window.place]
        top, left = window.bands
        self._join_things(before[:top], new[:top])
        self._join_things(before[:, :left], new[:, :left])
        np.copyto(before, new, where=self._prefers_new(window, before, new))

    def finish(self) -> JoinedLabels:
        """Return the labels of the picture; nothing can be added then."""
        shared = self._shared_pixels()  # [1 + pieces, 1 + large ones]
        areas = shared.sum(axis=1)
        areas[1 : self.number_large + 1] = shared[0, 1:]
        groups = self._groups(shared, areas)
        final = np.zeros(len(self.pieces) + 1, np.int32)
        segments, embeddings = list[Segment](), dict[int, NDArray[np.float16]]()
        for id_, (speaker, members) in enumerate(groups, start=1):
            final[members] = id_
            segments.append(replace(self.pieces[speaker - 1].segment, id=id_))
            vector = self._vector(members, areas)
            if vector is not None:
                embeddings[id_] = vector
        for rows, large in self._large_rows():
            named = final[self.ids[rows]]
            self.ids[rows] = np.where(named == UNLABELLED, final[large], named)
        panoptic = PanopticMap.of(self.ids, segments)
        kept = {segment.id for segment in panoptic.segments}
        return JoinedLabels(panoptic, {i: v for i, v in embeddings.items() if i in kept})

    def _append(self, segment: Segment, vectors: Vectors, *, is_cut: bool) -> int:
        """Keep a segment; return its number."""
        self.pieces.append(_Piece(segment, vectors.get(segment.id), is_cut))
        number = len(self.pieces)
        self.kin.append(number)
        self.shows_whole.append(segment.is_thing and not is_cut)
        return number

    def _first_kin(self, number: int) -> int:
        """Return the first piece of the thing that a piece belongs to."""
        while (kin := self.kin[number - 1]) != number:
            self.kin[number - 1] = number = self.kin[kin - 1]
        return number

    def _join_things(self, before: NDArray[np.int32], new: NDArray[np.int32]) -> None:
        """Join the things that agree in a band [r, c] that two tiles have drawn."""
        pairs, counts = np.unique(before.astype(np.int64) << 32 | new, return_counts=True)
        common, before_areas, new_areas = Counter[tuple[int, int]](), Counter[int](), Counter[int]()
        for pair, count in zip(pairs.tolist(), counts.tolist(), strict=True):
            old, young = pair >> 32, pair & 0xFFFFFFFF
            old = self._first_kin(old) if old else 0
            common[old, young] += count
            before_areas[old] += count
            new_areas[young] += count
        for (old, young), both in common.items():
            if old and young and self._is_thing(old) and self._is_thing(young):
                either = before_areas[old] + new_areas[young] - both
                if both >= MIN_AGREEMENT * either:
                    first, second = sorted((self._first_kin(old), self._first_kin(young)))
                    self.kin[second - 1] = first

    def _prefers_new(
        self, window: Window, before: NDArray[np.int32], new: NDArray[np.int32]
    ) -> NDArray[np.bool_]:
        """Return which pixels of a tile are taken from it, not from earlier ones: bool [t, t].

        Two tiles meet in the middle of what they share, unless one of them shows a thing whole
        there, or only one of them has a label.
        """
        prefers = np.zeros(new.shape, dtype=bool)
        prefers[window.own] = True
        shows_whole = np.frombuffer(bytes(self.shows_whole), dtype=bool)
        old_whole, new_whole = shows_whole[before], shows_whole[new]
        prefers[new_whole & ~old_whole] = True
        prefers[old_whole & ~new_whole] = False
        prefers[before == UNLABELLED] = True
        prefers[new == UNLABELLED] = False
        return prefers

    def _shared_pixels(self) -> NDArray[np.int64]:
        """Return the pixels of each piece in each large one, [1 + pieces, 1 + large ones]."""
        shape = len(self.pieces) + 1, self.number_large + 1
        shared = np.zeros(shape[0] * shape[1], np.int64)
        for rows, large in self._large_rows():
            place = self.ids[rows].astype(np.int64) * shape[1] + large
            shared += np.bincount(place.ravel(), minlength=len(shared))
        return shared.reshape(shape)

    def _large_rows(self) -> Iterator[tuple[slice, NDArray[np.int32]]]:
        """Yield some rows of the picture at a time, and the large pieces there, [r, W]."""
        (height, width), (rows, columns) = self.ids.shape, self.large.shape
        across = np.arange(width) * columns // width
        for start in range(0, height, _STRIP):
            stop = min(start + _STRIP, height)
            down = np.arange(start, stop) * rows // height
            yield slice(start, stop), self.large[down][:, across]

    def _groups(
        self, shared: NDArray[np.int64], areas: NDArray[np.int64]
    ) -> list[tuple[int, list[int]]]:
        """Return the pieces of each segment of the result, and which of them speaks for it.

        Args:
            shared: as of `_shared_pixels`.
            areas: pixels of each piece.
        """
        of_thing: dict[int, list[int]] = defaultdict(list)
        for number in range(1, len(self.pieces) + 1):
            if areas[number]:
                of_thing[self._first_kin(number)].append(number)
        groups: dict[tuple[bool, int], _Group] = defaultdict(_Group)
        for members in of_thing.values():
            speaker = max(members, key=areas.__getitem__)
            drawn = max(self.pieces[number - 1].segment.area for number in members)
            if self._is_thing(speaker) and sum(areas[members]) < MIN_LEFT * drawn:
                continue
            if speaker > self.number_large:
                speaker = self._larger(speaker, members, shared) or speaker
            said = self.pieces[speaker - 1].segment
            group = groups[said.is_thing, speaker if said.is_thing else said.category_id]
            group.members += members
            group.speakers.add(speaker)

        def rank(number: int) -> tuple[bool, int]:
            return number <= self.number_large, int(areas[number])

        return [(max(group.speakers, key=rank), group.members) for group in groups.values()]

    def _larger(
        self, speaker: int, members: Sequence[int], shared: NDArray[np.int64]
    ) -> int | None:
        """Return the piece of the whole picture that pieces of tiles belong to; None: to none.

        They lie in it, no tile shows them whole, and it has their class or is surer of its own.

        Args:
            speaker: the largest of them.
            members: all of them.
            shared: as of `_shared_pixels`.
        """
        if not any(self.pieces[number - 1].is_cut for number in members):
            return None
        inside = shared[members].sum(axis=0)  # [1 + large ones]
        large = 1 + int(inside[1:].argmax()) if self.number_large else 0
        if not large or inside[large] < MIN_INSIDE * inside.sum():
            return None
        own, other = self.pieces[speaker - 1].segment, self.pieces[large - 1].segment
        if own.is_thing and not other.is_thing:  # it lies on the stuff
            return None
        is_surer = (other.score or 0.0) > (own.score or 0.0)
        return large if is_surer or own.category_id == other.category_id else None

    def _is_thing(self, number: int) -> bool:
        return self.pieces[number - 1].segment.is_thing

    def _vector(
        self, members: Sequence[int], areas: NDArray[np.int64]
    ) -> NDArray[np.float16] | None:
        """Return the unit vector [D] of pieces, weighed by their pixels; None: none has one."""
        mean: NDArray[np.float32] | None = None
        for number in members:
            vector = self.pieces[number - 1].vector
            if vector is not None:
                weighed = vector.astype(np.float32) * np.float32(areas[number])
                mean = weighed if mean is None else mean + weighed
        length = 0.0 if mean is None else float(np.linalg.norm(mean))
        return None if mean is None or not length else (mean / length).astype(np.float16)


@dataclass
class _Group:
    """The pieces of one segment of the result, and those of them that may speak for it."""

    members: list[int] = field(default_factory=list)
    speakers: set[int] = field(default_factory=set)


def _cut_segments(ids: NDArray[np.int32], window: Window) -> set[int]:
    """Return the ids that come close to an edge of a tile beyond which the picture goes on."""
    rim = max(1, max(ids.shape) // _RIM)
    edges = ids[:rim], ids[-rim:], ids[:, :rim], ids[:, -rim:]
    inner = zip(window.inner_edges, edges, strict=True)
    return {id_ for goes_on, edge in inner if goes_on for id_ in np.unique(edge).tolist()}
