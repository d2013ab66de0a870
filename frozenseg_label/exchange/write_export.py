"""Which images and segments leave, what that loses, and the writing of it, image by image."""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from frozenseg_label.errors import FormatError, ImageError
from frozenseg_label.exchange.export_folder import ExportFolder, Sent
from frozenseg_label.exchange.export_formats import Format
from frozenseg_label.exchange.export_losses import (
    ALL,
    IN_PIXELS,
    Fact,
    count_facts,
    count_outlines,
    losses,
)
from frozenseg_label.formats.export_image import ExportImage, Place
from frozenseg_label.label_sets.label_set import ImageLabels, LabelSet
from frozenseg_label.panoptic import UNLABELLED, PanopticMap, Segment
from frozenseg_label.progress_bar import Bar, progress_bar, shown
from frozenseg_label.version import __version__
from frozenseg_label.vocabulary import Vocabulary

if TYPE_CHECKING:
    from frozenseg_label.exchange.export_labels import Only, PictureMode


@dataclass(frozen=True)
class Export:
    """What is exported, and how; the fields are as the arguments of `export_labels`.

    Attributes:
        vocabulary: the classes of the export; segments of others are left out.
    """

    label_set: LabelSet
    output: Path
    form: Format
    vocabulary: Vocabulary
    only: "Only"
    min_score: float
    pictures: "PictureMode"
    progress: bool
    grey: bool = False

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Return the images that are exported."""
        names = tuple(filter(self._is_taken, self.label_set.images))
        if not names:
            raise FormatError(
                f"{self.label_set.path}: 0 images to export; label some, or give another --only"
            )
        return names

    def _is_taken(self, name: str) -> bool:
        if self.only == "all":
            return True
        said = self.label_set.labels_of(name)
        reviewed = said.state == "reviewed"
        return reviewed or (self.only == "accepted" and any(s.is_owned for s in said.segments))

    def is_wanted(self, segment: Segment) -> bool:
        """Return whether a segment is exported, if its class is."""
        if self.only == "accepted" and not segment.is_owned:
            return False
        return segment.score is None or segment.score >= self.min_score

    def segments(self, said: ImageLabels) -> list[Segment]:
        """Return the segments of an image that are exported."""
        wanted = filter(self.is_wanted, said.segments)
        return [segment for segment in wanted if segment.category_id in self._classes]

    def read_map(self, name: str, said: ImageLabels) -> PanopticMap:
        """Return the map of an image with the segments that are exported."""
        whole = self.label_set.read_map(name)
        wanted = {segment.id for segment in self.segments(said)}
        kept = tuple(segment for segment in whole.segments if segment.id in wanted)
        if len(kept) == len(whole.segments):
            return whole
        there = np.isin(whole.ids, list(wanted))  # [H, W]
        return PanopticMap(np.where(there, whole.ids, UNLABELLED).astype(np.int32), kept)

    def refuse_missing_pictures(self) -> None:
        """Raise ImageError where pictures are wanted and are not there."""
        if self.pictures == "none":
            return
        paths = ((name, self.label_set.picture(name)) for name in self.names)
        missing = [name for name, path in paths if path is None or not path.is_file()]
        if missing:
            raise ImageError(
                f"{len(missing)} pictures are not found, the first is {missing[0]}; name their "
                "folder with --images, or leave them out with --pictures none"
            )

    def count_losses(self) -> dict[Fact, int]:
        """Return how many of each kind of fact the format cannot hold."""
        all_stuff = len(self.vocabulary) == len(self.label_set.vocabulary)
        kept: frozenset[Fact] = self.form.keeps | ({"stuff"} if all_stuff else set())

        def found() -> Iterator[Counter[Fact]]:
            for name in shown(self.names, show=self.progress, doing="counting"):
                said = self.label_set.labels_of(name)
                segments = self.segments(said)
                wanted = sum(map(self.is_wanted, said.segments))
                counts = count_facts(said, segments, wanted - len(segments))
                if IN_PIXELS - kept:
                    counts += count_outlines(self.read_map(name, said))
                yield counts

        return losses(found(), kept) if ALL - kept else {}

    def write(self, folder: ExportFolder, parts: Mapping[str, Sequence[Place]]) -> Counter[str]:
        """Write the export; returns the numbers of segments, of images and so on."""
        counts = Counter[str]()
        total = sum(map(len, parts.values()))
        with progress_bar(total, show=self.progress, doing="writing") as bar:
            for part, places in self._documents(parts):
                if self.form.shards is not None:
                    self._write_shards(folder, part, places, counts, bar)
                    continue
                images = self._images(folder, places, counts, bar)
                if self.form.document is not None:
                    name = self.form.document_name.format(part=f"_{part}" if part else "")
                    self.form.document(folder.claim(name), self.vocabulary, images)
                else:
                    for _ in images:
                        pass
        if self.form.shared is not None:
            for file, data in self.form.shared(parts, self.vocabulary):
                folder.write_shared(file, data)
        return counts

    def _documents(
        self, parts: Mapping[str, Sequence[Place]]
    ) -> Iterable[tuple[str, Sequence[Place]]]:
        """Return the parts of the split, or one where the format has one document for all."""
        if self.form.document is None or "{part}" in self.form.document_name:
            return parts.items()
        return [("", [place for places in parts.values() for place in places])]

    def _images(
        self, folder: ExportFolder, places: Sequence[Place], counts: Counter[str], bar: Bar
    ) -> Iterator[ExportImage]:
        """Yield images for a document, with their own files written; see `write` for `counts`.

        Where there is no document, images whose files are there already are not read.
        """
        for place in places:
            planned = self._planned(place, counts)
            has_row = self.form.files is not None or planned.taken or planned.sent is not None
            key = self._key(planned) if has_row else ""
            is_kept = bool(has_row) and folder.keeps(place.name, key)
            counts["unchanged"] += is_kept
            if not is_kept or self.form.document is not None:
                image = self._read(planned, counts["images"])
                if has_row and not is_kept:
                    if planned.taken is not None:
                        folder.take_picture(*planned.taken, self.pictures)
                    files = self.form.files(image, self.vocabulary) if self.form.files else ()
                    more = [planned.taken[1]] if planned.taken is not None else []
                    folder.write(place.name, key, files, *more, sent=planned.sent)
                yield image
            bar.update()

    def _write_shards(
        self,
        folder: ExportFolder,
        part: str,
        places: Sequence[Place],
        counts: Counter[str],
        bar: Bar,
    ) -> None:
        """Write the images of a part as files of some images each, those that have changed."""
        if self.form.shards is None:
            raise ValueError("the format has no shards")
        for name, shard in self.form.shards.cut(part, places, self._picture_bytes):
            before = counts["images"]
            planned = [self._planned(place, counts) for place in shard]
            key = _digest([self._key(one) for one in planned])
            if folder.keeps(name, key):
                counts["unchanged"] += len(planned)
                bar.update(len(planned))
                continue
            images = self._read_all(planned, before, bar)
            self.form.shards.write(folder.place_of(name), self.vocabulary, images)
            folder.write(name, key, (), name)

    def _read_all(
        self, planned: Sequence["_Planned"], before: int, bar: Bar
    ) -> Iterator[ExportImage]:
        for number, one in enumerate(planned, start=before + 1):
            yield self._read(one, number)
            bar.update()

    def _planned(self, place: Place, counts: Counter[str]) -> "_Planned":
        """Return what is to be written of an image, and count it; no pixel is read."""
        said = self.label_set.labels_of(place.name)
        segments = self.segments(said)
        counts["segments"] += len(segments)
        counts["images"] += 1
        wanted = list(filter(self.is_wanted, said.segments))
        sent = None
        if len(wanted) < len(said.segments):
            sent = tuple((segment.id, segment.area) for segment in wanted)
            counts["not asked for"] += len(said.segments) - len(wanted)
        source = self.label_set.picture(place.name)
        return _Planned(place, said, segments, sent, source, *self._picture(place, source))

    def _read(self, planned: "_Planned", number: int) -> ExportImage:
        return ExportImage(
            planned.place,
            number,
            self.read_map(planned.place.name, planned.said),
            planned.said.state,
            planned.picture,
            planned.source,
        )

    def _picture(
        self, place: Place, source: Path | None
    ) -> tuple[str | None, tuple[Path, str] | None]:
        """Return the picture's path from the export; and if it goes there, from where to where."""
        if source is None:
            return None, None
        if self.pictures == "none":
            return Path(os.path.relpath(source, self.output)).as_posix(), None
        target = self.form.picture(place)
        return target, None if self.form.shards is not None else (source, target)

    def _picture_bytes(self, place: Place) -> int:
        """Return how much a picture adds to the export."""
        source = self.label_set.picture(place.name)
        return 0 if self.pictures == "none" or source is None else source.stat().st_size

    def _key(self, planned: "_Planned") -> str:
        """Return the hash of all that the files of an image are made from."""
        place, said = planned.place, planned.said
        digest = said.sha256
        if digest is None and said.png is not None and said.png.is_file():
            digest = hashlib.sha256(said.png.read_bytes()).hexdigest()
        if digest is None:
            ids = np.ascontiguousarray(self.label_set.read_map(place.name).ids)
            digest = hashlib.sha256(ids.tobytes()).hexdigest()
        stamp = None
        if self.pictures != "none" and planned.source is not None:
            status = planned.source.stat()
            stamp = [status.st_size, status.st_mtime_ns]
        facts = [
            self._options,
            asdict(place),
            said.state,
            [list(vars(segment).values()) for segment in planned.segments],
            [digest, planned.picture, stamp, planned.sent],
        ]
        return _digest(facts)

    @cached_property
    def _classes(self) -> frozenset[int]:
        return frozenset(category.id for category in self.vocabulary.categories)

    @cached_property
    def _options(self) -> str:
        """Return the hash of what is the same for all images, and decides what is written."""
        classes = [asdict(category) for category in self.vocabulary.categories]
        return _digest([__version__, self.grey, self.pictures, classes])


@dataclass(frozen=True)
class _Planned:
    """What is to be written of an image.

    Attributes:
        segments: those that are exported.
        sent: the segments that were asked for; None: all.
        source: the picture; None: not known.
        picture: as of `ExportImage`.
        taken: from where to where the picture goes; None: it does not.
    """

    place: Place
    said: ImageLabels
    segments: Sequence[Segment]
    sent: tuple[Sent, ...] | None
    source: Path | None
    picture: str | None
    taken: tuple[Path, str] | None


def _digest(facts: list[Any]) -> str:
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()
