"""Which images and segments leave, what that loses, and the writing of it, image by image."""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from frozenseg_label.errors import FormatError, ImageError
from frozenseg_label.exchange.export_folder import ExportFolder
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
from frozenseg_label.progress_bar import shown
from frozenseg_label.version import __version__
from frozenseg_label.vocabulary import Vocabulary

if TYPE_CHECKING:
    from frozenseg_label.exchange.export_labels import Only, PictureMode

_Item = TypeVar("_Item", str, Place)


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
            for name in self._shown(self.names, "counting"):
                said = self.label_set.labels_of(name)
                segments = self.segments(said)
                wanted = sum(map(self.is_wanted, said.segments))
                counts = count_facts(said, segments, wanted - len(segments))
                if IN_PIXELS - kept:
                    counts += count_outlines(self.read_map(name, said))
                yield counts

        return losses(found(), kept) if ALL - kept else {}

    def write(self, folder: ExportFolder, parts: Mapping[str, Sequence[Place]]) -> Counter[str]:
        """Write the export; returns the numbers of segments and of unchanged images."""
        counts = Counter[str]()
        for part, places in parts.items():
            images = self._images(folder, places, counts)
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

    def _images(
        self, folder: ExportFolder, places: Sequence[Place], counts: Counter[str]
    ) -> Iterator[ExportImage]:
        """Yield images for a document, with their own files written; see `write` for `counts`.

        Where there is no document, images whose files are there already are not read.
        """
        for place in self._shown(places, "writing"):
            name = place.name
            said = self.label_set.labels_of(name)
            segments = self.segments(said)
            counts["segments"] += len(segments)
            counts["images"] += 1
            picture, taken = self._picture(place)
            has_files = self.form.files is not None or taken is not None
            key = self._key(place, said, segments, picture) if has_files else ""
            is_kept = has_files and folder.keeps(name, key)
            counts["unchanged"] += is_kept
            if is_kept and self.form.document is None:
                continue
            panoptic_map = self.read_map(name, said)
            image = ExportImage(place, counts["images"], panoptic_map, said.state, picture)
            if has_files and not is_kept:
                if taken is not None:
                    folder.take_picture(*taken, self.pictures)
                files = self.form.files(image, self.vocabulary) if self.form.files else ()
                folder.write(name, key, files, *([taken[1]] if taken is not None else []))
            yield image

    def _picture(self, place: Place) -> tuple[str | None, tuple[Path, str] | None]:
        """Return the picture's path from the export; and if it goes there, from where to where."""
        source = self.label_set.picture(place.name)
        if source is None:
            return None, None
        if self.pictures == "none":
            return Path(os.path.relpath(source, self.output)).as_posix(), None
        target = self.form.picture(place)
        return target, (source, target)

    def _key(
        self,
        place: Place,
        said: ImageLabels,
        segments: Sequence[Segment],
        picture: str | None,
    ) -> str:
        """Return the hash of all that the files of an image are made from."""
        digest = said.sha256
        if digest is None and said.png is not None and said.png.is_file():
            digest = hashlib.sha256(said.png.read_bytes()).hexdigest()
        if digest is None:
            ids = np.ascontiguousarray(self.label_set.read_map(place.name).ids)
            digest = hashlib.sha256(ids.tobytes()).hexdigest()
        stamp = None
        if self.pictures != "none" and (source := self.label_set.picture(place.name)) is not None:
            status = source.stat()
            stamp = [status.st_size, status.st_mtime_ns]
        facts = [
            self._options,
            asdict(place),
            said.state,
            [list(vars(segment).values()) for segment in segments],
            [digest, picture, stamp],
        ]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()

    @cached_property
    def _classes(self) -> frozenset[int]:
        return frozenset(category.id for category in self.vocabulary.categories)

    @cached_property
    def _options(self) -> str:
        """Return the hash of what is the same for all images, and decides what is written."""
        classes = [asdict(category) for category in self.vocabulary.categories]
        facts = [__version__, self.grey, self.pictures, classes]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()

    def _shown(self, items: Sequence[_Item], doing: str) -> Iterator[_Item]:
        """Yield names or places under a progress bar."""
        yield from shown(items, show=self.progress, doing=doing)
