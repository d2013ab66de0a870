"""Labels from outside: which image and class of a run each of them means, and what does not fit.

All that does not fit is told at once, each kind with its remedy, before anything is written.
"""

import logging
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from frozenseg_label.errors import FaultyLabelsError, FormatError, RunError
from frozenseg_label.exchange.adopt_labels import Adoption, adopt
from frozenseg_label.exchange.export_folder import Sent, sent_segments
from frozenseg_label.exchange.problems import ADD_CLASS, MEND, NAME_IMAGES, RESTORE, Problems
from frozenseg_label.exchange.restore_segments import ShapeCounts, beside, restored
from frozenseg_label.formats.shapes import ImageShapes, OnTop, Overlaps
from frozenseg_label.label_sets.class_map import ClassMap
from frozenseg_label.label_sets.foreign_sets import read_shapes
from frozenseg_label.label_sets.label_set import Form, LabelSet
from frozenseg_label.label_sets.match_classes import ClassMatches, match_classes
from frozenseg_label.label_sets.match_names import match_names
from frozenseg_label.label_sets.open_label_set import form_of, open_form
from frozenseg_label.panoptic import UNLABELLED, PanopticMap, Segment
from frozenseg_label.runs.journal_rows import Entry
from frozenseg_label.runs.run_reader import RunReader

log = logging.getLogger(__name__)

_SHOWN_NAMES = 3


@dataclass(frozen=True)
class Incoming:
    """Labels from outside, matched to a run folder.

    Attributes:
        run: open to be corrected.
        labels: the set.
        names: name in the run -> name in the set.
        classes: which class of the run each class of the set is.
        unknown: images of the set that are missing from the run.
        on_top: which of two shapes has the pixels that both claim.
        sent: by image, id and area of the segments that an export had sent, if not all.
        found: by image, how shapes were made a map.
    """

    run: RunReader
    labels: LabelSet
    names: Mapping[str, str]
    classes: ClassMatches
    unknown: int
    on_top: OnTop
    sent: Mapping[str, frozenset[Sent]]
    found: dict[str, ShapeCounts] = field(default_factory=dict)

    def adopted(self, entry: Entry, problems: Problems) -> Adoption | None:
        """Return the labels as they would be in the run; None where something does not fit."""
        read = self._adopted_map if self.labels.foreign is None else self._adopted_shapes
        try:
            return read(entry, problems)
        except FaultyLabelsError as error:
            problems.add(MEND, [f"{entry.image}: {problem}" for problem in error.problems])
            return None
        except FormatError as error:
            problems.add(MEND, [f"{entry.image}: {error}"])
        return None

    def _adopted_map(self, entry: Entry, problems: Problems) -> Adoption | None:
        labels = self.labels.read_map(self.names[entry.image])
        current = self._current(entry, labels.ids.shape, problems)
        known = self.classes.ids.keys() | self.classes.ignored
        unclear = any(segment.category_id not in known for segment in labels.segments)
        if current is None or unclear:
            return None
        left = self._left(entry.image, current)
        whole, kept = beside(self._translated(labels), current, left)
        self.found[entry.image] = ShapeCounts(len(kept), Overlaps())
        return adopt(whole, current, kept)

    def _adopted_shapes(self, entry: Entry, problems: Problems) -> Adoption | None:
        foreign, ids = self.labels.foreign, self.classes.ids
        if foreign is None:
            raise ValueError(f"{self.labels.path} has no shapes")
        labels = entry.labels
        here = None if labels is None else (labels.height, labels.width)
        found = read_shapes(foreign, self.names[entry.image], lambda: here)
        current = self._current(entry, found.size, problems)
        known = ids.keys() | self.classes.ignored
        if current is None or any(shape.category_id not in known for shape in found.shapes):
            return None
        shapes = (
            replace(s, category_id=ids[s.category_id]) for s in found.shapes if s.category_id in ids
        )
        told = set(ids.values()) if foreign.lists_classes else None
        left = self._left(entry.image, current, told)
        made = restored(ImageShapes(found.size, tuple(shapes)), current, left, self.on_top)
        self.found[entry.image] = ShapeCounts(len(made.kept), made.overlaps)
        by_id = self.run.vocabulary.by_id
        segments = (
            replace(s, is_thing=by_id(s.category_id).is_thing) for s in made.panoptic_map.segments
        )
        return adopt(PanopticMap(made.panoptic_map.ids, tuple(segments)), current, made.kept)

    def _left(
        self, image: str, current: PanopticMap, told: Collection[int] | None = None
    ) -> list[Segment]:
        """Return the segments of the run of which the labels of an image say nothing.

        Args:
            told: ids of the classes that the format could tell; None: all.
        """
        sent = self.sent.get(image)
        return [
            segment
            for segment in current.segments
            if (told is not None and segment.category_id not in told)
            or (sent is not None and (segment.id, segment.area) not in sent)
        ]

    def left_out(self) -> int:
        """Return the number of segments whose class the class map leaves out."""
        if not self.classes.ignored:
            return 0
        return sum(
            category_id in self.classes.ignored
            for name in self.names.values()
            for category_id in self._category_ids(name)
        )

    def unclear_classes(self) -> dict[str, list[str]]:
        """Return sentences about classes that mean none or several of the run's, by remedy."""
        images: dict[int, list[str]] = defaultdict(list)  # of each segment of a class
        for image, name in self.names.items():
            for category_id in self._category_ids(name):
                images[category_id].append(image)
        found: dict[str, list[str]] = {ADD_CLASS: []}
        for category_id, where in images.items():
            if category_id in self.classes.ids or category_id in self.classes.ignored:
                continue
            name = self.labels.vocabulary.by_id(category_id).name
            meant = self.classes.report.ambiguous.get(name, ())
            doubt = "" if meant else self.classes.report.doubt(name)
            what = f"may be {' or '.join(map(repr, meant))} of" if meant else "is not in"
            found[ADD_CLASS].append(
                f"class {name!r} {what} the run's vocabulary {self.run.vocabulary.name} "
                f"(segments: {len(where)}, first in {where[0]}){doubt}"
            )
        return found

    def _category_ids(self, name: str) -> Iterable[int]:
        """Return the classes of the segments of an image in the set; () where nothing can be read.

        What cannot be read is told when the pixels are asked for.
        """
        foreign = self.labels.foreign
        if foreign is None:
            return [segment.category_id for segment in self.labels.labels_of(name).segments]
        said = foreign.images[name]
        if said.category_ids is not None:
            return said.category_ids
        if all(c.id in self.classes.ids for c in self.labels.vocabulary.categories):
            return ()
        try:
            return [shape.category_id for shape in read_shapes(foreign, name, lambda: None).shapes]
        except FormatError:
            return ()

    def _current(
        self, entry: Entry, size: tuple[int, ...], problems: Problems
    ) -> PanopticMap | None:
        """Return the present labels of the run; an empty map where it has none.

        Args:
            size: height and width of the labels from outside.
        """
        height, width = size
        if entry.labels is None:
            return PanopticMap(np.zeros((height, width), dtype=np.int32), ())
        if (width, height) != (entry.labels.width, entry.labels.height):
            there = f"{entry.labels.width} x {entry.labels.height}"
            problems.add(MEND, [f"{entry.image}: is {width} x {height}, and {there} in the run"])
            return None
        try:
            return self.run.read_map(entry.image)
        except (RunError, FormatError) as error:
            problems.add(RESTORE, [f"{error}"])
            return None

    def _translated(self, labels: PanopticMap) -> PanopticMap:
        """Return the labels with category ids of the run, without the classes to leave out."""
        ids, segments = self.classes.ids, []
        for segment in labels.segments:
            if segment.category_id in ids:
                category = self.run.vocabulary.by_id(ids[segment.category_id])
                second = None if segment.second is None else ids.get(segment.second)
                segments.append(
                    replace(
                        segment,
                        category_id=category.id,
                        is_thing=category.is_thing,
                        second=second,
                    )
                )
        if len(segments) == len(labels.segments):
            return PanopticMap(labels.ids, tuple(segments))
        kept = np.isin(labels.ids, [segment.id for segment in segments])
        return PanopticMap(np.where(kept, labels.ids, np.int32(UNLABELLED)), tuple(segments))


def match_labels(
    run: RunReader,
    source: Path,
    pngs: Path | None,
    problems: Problems,
    *,
    form: Form,
    on_top: OnTop,
    trust_states: bool,
    class_map: ClassMap,
    exported: Path | None,
) -> Incoming:
    """Return a set of another tool matched to a run; FormatError where no image is common.

    Args:
        source: its file, or the folder that has it.
        pngs: the folder of its PNGs; None: named like the JSON, or the JSON's own.
        problems: takes what does not fit.
        form: of the set.
        on_top: which of two shapes has the pixels that both claim.
        trust_states: as of `import_labels`.
        class_map: class there -> class of the run; None: leave its segments out.
        exported: as of `import_labels`.
    """
    place = source if form == "coco-panoptic" else form_of(source, form)[1]
    labels = _looked_at(open_form(form, place, pngs=pngs, trust_states=trust_states))
    problems.add(MEND, labels.faults)
    for note in labels.notes:
        log.info("%s", note)
    names = [entry.image for entry in run.entries()]
    images = _match_images(labels, names, problems)
    if not images:
        problems.refuse(source)
        here = ", ".join(repr(name) for name in names[:_SHOWN_NAMES]) or "no image"
        there = ", ".join(map(repr, labels.images[:_SHOWN_NAMES])) or "no image"
        raise FormatError(
            f"{source}: none of its {len(labels.images)} images is in {run.path}; there: {there}; "
            f"in the run: {here}; {NAME_IMAGES}"
        )
    classes = match_classes(
        labels.vocabulary, run.vocabulary, class_map, compare_kinds=labels.tells_kinds
    )
    classes.report.tell(f"{source}", "the run")
    unknown = len(labels.images) - len(images)
    sent = sent_segments(source, exported)
    incoming = Incoming(run, labels, images, classes, unknown, on_top, sent)
    for remedy, sentences in incoming.unclear_classes().items():
        problems.add(remedy, sentences)
    return incoming


def _looked_at(labels: LabelSet) -> LabelSet:
    """Return the images that a person has finished, where the set tells; all where there are none.

    Label Studio writes tasks that nobody has opened yet beside the others.
    """
    said = labels.foreign.images if labels.foreign is not None else {}
    seen = tuple(name for name in labels.images if name in said and not said[name].is_proposal)
    if not seen or len(seen) == len(labels.images):
        return labels
    log.info(
        "%d images have predictions only, nobody has looked at them yet; they were passed over",
        len(labels.images) - len(seen),
    )
    return replace(labels, images=seen)


def _match_images(labels: LabelSet, names: Collection[str], problems: Problems) -> dict[str, str]:
    """Return name in the run -> name in the labels."""
    matches = match_names(labels.images, names)
    for name, candidates in matches.ambiguous.items():
        may_be = " or ".join(map(repr, candidates[:_SHOWN_NAMES]))
        problems.add(NAME_IMAGES, [f"{name}: may be {may_be} of the run"])
    for name, claimants in matches.shared.items():
        files = " and ".join(_file_of(labels, claimant) for claimant in claimants)
        problems.add(NAME_IMAGES, [f"{name}: {files} are both labels of it"])
    return {here: there for there, here in matches.found.items()}


def _file_of(labels: LabelSet, name: str) -> str:
    return f"{labels.labels_of(name).png}" if labels.foreign is None else repr(name)
