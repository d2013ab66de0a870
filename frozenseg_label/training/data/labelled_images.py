"""Images with labels that people own: from run folders, and from any COCO panoptic set.

All faults of the labels are reported together, before the first step.
"""

import hashlib
import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from frozenseg_label.decoding import decode_image, read_image_size
from frozenseg_label.errors import FormatError, ImageError, TrainingError
from frozenseg_label.files import read_regular
from frozenseg_label.formats.coco_panoptic import decode_panoptic_png, read_label_png
from frozenseg_label.images import ImageRecord
from frozenseg_label.label_sets.label_set import LabelSet
from frozenseg_label.label_sets.open_label_set import open_label_set
from frozenseg_label.panoptic import OWNED_STATES, UNLABELLED, PanopticMap, State, measure
from frozenseg_label.runs.ownership import RejectedSegment
from frozenseg_label.training.data.targets import FIRST_REFUSED, IGNORED, Truth
from frozenseg_label.vocabulary import Vocabulary, same_name

SHOWN_PROBLEMS = 20
NAME_THE_FOLDER = "name their folder with --images"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)  # a training keeps dozens for each of its images
class LabelledSegment:
    """One segment in the map of an image.

    Attributes:
        name: of the class.
    """

    id: int
    name: str
    state: State
    is_crowd: bool = False

    @property
    def is_truth(self) -> bool:
        """Say whether a person owns it, and it is one object or one region (no crowd)."""
        return self.state in OWNED_STATES and not self.is_crowd


@dataclass(frozen=True)
class LabelledImage:
    """A picture and what people said about it; no file has been decoded yet.

    Attributes:
        path: of the picture.
        name: for messages: the picture's name in its set.
        png: the panoptic PNG; of other forms, where the labels are.
        size: height and width of the labels.
        segments: all segments of the PNG.
        reviewed: whether unlabelled pixels are truth (they show nothing).
        rejected: segments that a person refused.
        digest: SHA-256 (hex) of the picture's file; empty until `check_images`.
        label_digest: SHA-256 (hex) of the PNG, or of the ids; likewise.
        read_map: of forms that have no panoptic PNG: returns the map.
    """

    path: Path
    name: str
    png: Path
    size: tuple[int, int]
    segments: tuple[LabelledSegment, ...]
    reviewed: bool
    rejected: tuple[RejectedSegment, ...] = ()
    digest: str = ""
    label_digest: str = ""
    read_map: Callable[[], PanopticMap] | None = field(default=None, repr=False)

    @property
    def teaches(self) -> bool:
        """Say whether anything can be learnt from it, even if only that it shows nothing."""
        return self.reviewed or bool(self.rejected) or self.has_targets

    @property
    def has_targets(self) -> bool:
        """Say whether it has a segment to learn."""
        return any(segment.is_truth for segment in self.segments)

    def fingerprint(self) -> str:
        """Return the SHA-256 (hex) of the picture and of everything that people said about it."""
        said = (self.segments, self.reviewed, self.rejected)
        return hashlib.sha256(f"{self.digest} {self.label_digest} {said}".encode()).hexdigest()

    def renamed(self, names: Mapping[str, str], left_out: Collection[str] = ()) -> "LabelledImage":
        """Return the same image with other class names; names that are not in `names` stay.

        Args:
            left_out: names of classes of which nothing is to be learnt: nobody knows what their
                segments show.
        """
        return replace(
            self,
            segments=tuple(
                replace(s, name=names.get(s.name, s.name))
                if s.name not in left_out
                else replace(s, state="proposed")
                for s in self.segments
            ),
            rejected=tuple(
                replace(r, category=names.get(r.category, r.category))
                for r in self.rejected
                if r.category not in left_out
            ),
        )

    def class_names(self) -> set[str]:
        """Return the names of the classes that are truth here, or that were refused."""
        names = {segment.name for segment in self.segments if segment.is_truth}
        return names | {rejected.category for rejected in self.rejected}

    def read_picture(self) -> NDArray[np.uint8]:
        """Return the picture [H, W, 3]; ImageError if it cannot be read or has another size."""
        picture = decode_image(ImageRecord(self.path, self.name, 0, 0))
        if picture.shape[:2] != self.size:
            raise ImageError(f"{self.path}: {_size_problem(picture.shape[:2], self.size)}")
        return picture

    def read_ids(self) -> NDArray[np.int32]:
        """Return the ids [H, W] as `targets.targets_of` takes them."""
        ids, _ = self.read_all_ids()
        if ids.shape != self.size:
            raise FormatError(f"{self.png}: {_size_problem(ids.shape, self.size)}")
        unknown = [segment.id for segment in self.segments if not segment.is_truth]
        if not self.reviewed:
            unknown.append(UNLABELLED)
        ids[np.isin(ids, unknown)] = IGNORED
        if not self.reviewed:  # in a reviewed image, refused segments are known to be void
            for number, rejected in enumerate(self.rejected):
                ids[rejected.mask() & (ids >= IGNORED)] = FIRST_REFUSED + number
        return ids

    def read_all_ids(self) -> tuple[NDArray[np.int32], str]:
        """Return the ids [H, W] of the labels, and their digest; FormatError where it changed."""
        if self.read_map is None:
            png = read_label_png(self.png, self.label_digest or None)
            return decode_panoptic_png(png, f"{self.png}"), hashlib.sha256(png).hexdigest()
        ids = self.read_map().ids.copy()  # the map may be kept for others
        digest = hashlib.sha256(f"{ids.shape}".encode() + ids.tobytes()).hexdigest()
        if self.label_digest not in ("", digest):
            raise FormatError(f"{self.png}: the labels of {self.name} have changed; restore them")
        return ids, digest

    def truth(self, labels: Mapping[str, int], weights: Mapping[int, float]) -> Truth:
        """Return what the ids of `read_ids` teach.

        Args:
            labels: index into the training vocabulary, by `same_name` of the class.
            weights: of the segments whose weight is not 1, by id.
        """
        return Truth(
            {s.id: labels[same_name(s.name)] for s in self.segments if s.is_truth},
            {
                FIRST_REFUSED + number: labels[same_name(rejected.category)]
                for number, rejected in enumerate(self.rejected)
            },
            weights,
        )


def read_labelled_images(
    source: Path,
    pictures: Path | None,
    *,
    trust_states: bool = False,
    remedy: str = NAME_THE_FOLDER,
) -> tuple[list[LabelledImage], Vocabulary, tuple[str, ...]]:
    """Return the labelled images of a set that teach anything, its words, and its faults.

    Args:
        source: a run folder, or labels of another tool that tell segments apart.
        pictures: folder of the pictures; None: where the run says, or beside the JSON.
        trust_states: as of `open_label_set`.
        remedy: what to do where the pictures are not found.
    """
    with open_label_set(source, pictures, trust_states=trust_states) as labels:
        if not labels.has_segments:
            raise TrainingError(
                f"{source}: class PNGs do not tell the segments of a class apart; name a run "
                "folder or labels in another form"
            )
        for note in labels.notes:
            log.info("%s: %s", source, note)
        images = (_labelled_image(labels, name, remedy) for name in labels.images)
        return [image for image in images if image is not None], labels.vocabulary, labels.faults


def _labelled_image(labels: LabelSet, name: str, remedy: str) -> LabelledImage | None:
    """Return what is said of an image; None where it teaches nothing."""
    said, picture = labels.labels_of(name), labels.picture(name)
    image = LabelledImage(
        path=picture or Path(name),
        name=name,
        png=said.png or labels.path,
        size=said.size,
        segments=tuple(
            LabelledSegment(
                s.id,
                labels.vocabulary.by_id(s.category_id).name,
                "proposed" if s.is_open else s.state,  # nobody learns from what a machine accepted
                s.is_crowd,
            )
            for s in said.segments
        ),
        reviewed=said.state == "reviewed",
        rejected=said.rejected,
        label_digest=said.sha256 or "",
        read_map=None if labels.foreign is None else partial(labels.read_map, name),
    )
    if image.teaches and picture is None:
        raise TrainingError(f"{labels.path} names no folder of its pictures; {remedy}")
    return image if image.teaches else None


def check_images(
    images: Sequence[LabelledImage],
    vocabulary: Vocabulary,
    problems: Sequence[str] = (),
    remedy: str = NAME_THE_FOLDER,
) -> list[LabelledImage]:
    """Return the images with their digests and sizes; TrainingError lists all faults.

    Args:
        problems: faults that are known already; they come first in the list.
        remedy: as of `read_labelled_images`.
    """
    names = {same_name(category.name) for category in vocabulary.categories}
    with ThreadPoolExecutor() as pool:  # decoding PNGs leaves the interpreter free
        checked = list(pool.map(lambda image: _check(image, names, remedy), images))
    problems = [*problems, *(problem for _, found in checked for problem in found)]
    if problems:
        shown = "\n  ".join(problems[:SHOWN_PROBLEMS])
        more = len(problems) - SHOWN_PROBLEMS
        rest = f"\n  and {more} more" if more > 0 else ""
        raise TrainingError(
            f"these labels cannot be trained on:\n  {shown}{rest}\n"
            "Mend them where they were made; nothing has been trained"
        )
    return [image for image, _ in checked]


def _check(image: LabelledImage, names: set[str], remedy: str) -> tuple[LabelledImage, list[str]]:
    """Return the image with digests and size, and its faults."""
    lost = sorted(name for name in image.class_names() if same_name(name) not in names)
    problems = [f"{image.name}: class {name!r} is not in the vocabulary" for name in lost]
    try:
        ids, digest = image.read_all_ids()
    except FormatError as error:
        problems.append(f"{error}")
    else:
        size = (ids.shape[0], ids.shape[1]) if 0 in image.size else image.size
        image = replace(image, size=size, label_digest=digest)
        problems += _label_problems(image, ids)
    try:
        content = read_regular(image.path, ImageError)
        height, width = read_image_size(content, image.path)
    except ImageError as error:
        problems.append(f"{error}; where are the pictures? {remedy}")
    else:
        image = replace(image, digest=hashlib.sha256(content).hexdigest())
        if (height, width) != image.size and 0 not in image.size:
            problems.append(f"{image.path}: {_size_problem((height, width), image.size)}")
    return image, problems


def _label_problems(image: LabelledImage, ids: NDArray[np.int32]) -> Iterator[str]:
    """Yield each difference between the PNG and the list of segments."""
    if ids.shape != image.size:
        yield f"{image.png}: {_size_problem(ids.shape, image.size)}"
    found = set(measure(ids))
    listed = {segment.id for segment in image.segments}
    if only := sorted(found - listed):
        yield f"{image.png}: ids {only[:5]} are in the PNG, not in the list of segments"
    if only := sorted(listed - found):
        yield f"{image.png}: ids {only[:5]} are in the list of segments, not in the PNG"


def _size_problem(found: tuple[int, ...], labels: tuple[int, int]) -> str:
    return f"{found[1]} x {found[0]} pixels, but its labels are for {labels[1]} x {labels[0]}"
