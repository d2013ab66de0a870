"""Images with labels that people own: from run folders, and from any COCO panoptic set.

All faults of the labels are reported together, before the first step.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from frozenseg_label.errors import FormatError, ImageError, TrainingError
from frozenseg_label.formats.coco_panoptic import decode_panoptic_png, png_name, read_panoptic_png
from frozenseg_label.formats.panoptic_dataset import read_coco_panoptic
from frozenseg_label.images import ImageRecord, decode_image, is_run_folder, read_image_size
from frozenseg_label.panoptic import OWNED_STATES, UNLABELLED, State
from frozenseg_label.runs.layout import PANOPTIC
from frozenseg_label.runs.ownership import RejectedSegment
from frozenseg_label.runs.run_folder import RunFolder
from frozenseg_label.training.data.targets import FIRST_REFUSED, IGNORED, Truth
from frozenseg_label.vocabulary import Vocabulary, same_name

SHOWN_PROBLEMS = 20
PICTURE_FOLDERS = ("", "images")  # below the folder of a COCO panoptic JSON


@dataclass(frozen=True)
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
        png: the panoptic PNG.
        size: height and width of the labels.
        segments: all segments of the PNG.
        reviewed: whether unlabelled pixels are truth (they show nothing).
        rejected: segments that a person refused.
        digest: SHA-256 (hex) of the picture's file; empty until `check_images`.
        label_digest: SHA-256 (hex) of the PNG; likewise.
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

    def renamed(self, names: Mapping[str, str]) -> "LabelledImage":
        """Return the same image with other class names; names that are not in `names` stay."""
        segments = (replace(s, name=names.get(s.name, s.name)) for s in self.segments)
        return replace(self, segments=tuple(segments))

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
        ids = read_panoptic_png(self.png)
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
    source: Path, pictures: Path | None, problems: list[str] | None = None
) -> tuple[list[LabelledImage], Vocabulary]:
    """All labelled images of a run folder or of a COCO panoptic set, and the words used there.

    Args:
        source: a run folder, a folder with `panoptic.json`, or a COCO panoptic JSON.
        pictures: where the pictures lie; None: where the run folder says, or beside the JSON.
        problems: takes up what is wrong in a JSON; None: FormatError is raised.
    """
    if is_run_folder(source):
        return _from_run(source, pictures)
    path = source / "panoptic.json" if source.is_dir() else source
    if not path.is_file():
        raise TrainingError(
            f"{source}: neither a run folder nor a COCO panoptic set (a JSON file, or a folder "
            "with panoptic.json in it); name one"
        )
    return _from_coco(path, pictures, problems)


def _from_run(folder: Path, pictures: Path | None) -> tuple[list[LabelledImage], Vocabulary]:
    with RunFolder.read(folder) as run:
        root = pictures or (Path(run.manifest.root) if run.manifest.root else None)
        images = []
        for entry in run.entries():
            labels = entry.labels
            if labels is None or not labels.is_corrected():
                continue
            if root is None:
                raise TrainingError(f"{folder} does not say where its images lie; give --images")
            segments = tuple(
                LabelledSegment(
                    info.id, labels.current.names[info.category_id], info.state, info.iscrowd
                )
                for info in labels.current.segments_info
            )
            images.append(
                LabelledImage(
                    path=root / entry.image,
                    name=entry.image,
                    png=folder / PANOPTIC / png_name(entry.image),
                    size=(labels.height, labels.width),
                    segments=segments,
                    reviewed=labels.state == "reviewed",
                    rejected=labels.rejected,
                )
            )
        return images, run.vocabulary


def _from_coco(
    path: Path, pictures: Path | None, problems: list[str] | None
) -> tuple[list[LabelledImage], Vocabulary]:
    dataset = read_coco_panoptic(path, problems=problems)
    folders = [pictures] if pictures else [path.parent / name for name in PICTURE_FOLDERS]
    images = []
    for annotation in dataset.annotations:
        name = annotation.file_name
        paths = [folder / name for folder in folders]
        segments = tuple(
            LabelledSegment(s.id, dataset.vocabulary.by_id(s.category_id).name, s.state, s.is_crowd)
            for s in annotation.segments
        )
        images.append(
            LabelledImage(
                path=next((p for p in paths if p.is_file()), paths[-1]),
                name=name,
                png=dataset.folder / annotation.png_name,
                size=(annotation.height, annotation.width),
                segments=segments,
                reviewed=annotation.state == "reviewed",
            )
        )
    return images, dataset.vocabulary


def check_images(
    images: Sequence[LabelledImage], vocabulary: Vocabulary, problems: Sequence[str] = ()
) -> list[LabelledImage]:
    """The images with their digests and sizes; TrainingError lists all that is wrong with them.

    Args:
        problems: what is known to be wrong already; it comes first in the list.
    """
    names = {same_name(category.name) for category in vocabulary.categories}
    with ThreadPoolExecutor() as pool:  # decoding PNGs leaves the interpreter free
        checked = list(pool.map(lambda image: _check(image, names), images))
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


def _check(image: LabelledImage, names: set[str]) -> tuple[LabelledImage, list[str]]:
    """The image with digest and size, and its problems."""
    lost = sorted(name for name in image.class_names() if same_name(name) not in names)
    problems = [f"{image.name}: class {name!r} is not in the vocabulary" for name in lost]
    try:
        png = image.png.read_bytes()
        ids = decode_panoptic_png(png, f"{image.png}")
    except OSError as error:
        problems.append(f"{image.png}: {error.strerror}")
    except FormatError as error:
        problems.append(f"{error}")
    else:
        size = (ids.shape[0], ids.shape[1]) if 0 in image.size else image.size
        image = replace(image, size=size, label_digest=hashlib.sha256(png).hexdigest())
        problems += _label_problems(image, ids)
    try:
        content = image.path.read_bytes()
        height, width = read_image_size(content, image.path)
    except (OSError, ImageError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        problems.append(f"{image.path}: {reason}; where are the images? (--images)")
    else:
        image = replace(image, digest=hashlib.sha256(content).hexdigest())
        if (height, width) != image.size and 0 not in image.size:
            problems.append(f"{image.path}: {_size_problem((height, width), image.size)}")
    return image, problems


def _label_problems(image: LabelledImage, ids: NDArray[np.int32]) -> Iterator[str]:
    """Yield each difference between the PNG and the list of segments."""
    if ids.shape != image.size:
        yield f"{image.png}: {_size_problem(ids.shape, image.size)}"
    found = set(np.unique(ids).tolist()) - {UNLABELLED}
    listed = {segment.id for segment in image.segments}
    if only := sorted(found - listed):
        yield f"{image.png}: ids {only[:5]} are in the PNG, not in the list of segments"
    if only := sorted(listed - found):
        yield f"{image.png}: ids {only[:5]} are in the list of segments, not in the PNG"


def _size_problem(found: tuple[int, ...], labels: tuple[int, int]) -> str:
    return f"{found[1]} x {found[0]} pixels, but its labels are for {labels[1]} x {labels[0]}"
