"""A set of labels, whatever form it has on disk: the only reader of what labels say.

Evaluation, training and import ask here: which images there are, what is said of each, its pixels,
and where the picture is. Pixels are read image by image, and checked where their hash is known.
"""

import glob
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from frozenseg_label.errors import FormatError
from frozenseg_label.formats.class_masks import class_regions
from frozenseg_label.formats.class_png import ClassPngFolder
from frozenseg_label.formats.panoptic_dataset import PanopticDataset, read_coco_panoptic
from frozenseg_label.formats.shapes import ForeignSet
from frozenseg_label.panoptic import ImageState, PanopticMap, Segment, measure
from frozenseg_label.runs.layout import MANIFEST, PANOPTIC_JSON
from frozenseg_label.runs.ownership import RejectedSegment
from frozenseg_label.runs.run_reader import RunReader
from frozenseg_label.vocabulary import Vocabulary, seen_categories

PICTURE_FOLDERS = ("", "images")  # below the folder of a COCO panoptic JSON

Form = Literal[
    "run", "coco-panoptic", "class-png", "coco-instances", "cvat", "label-studio", "labelme", "voc",
    "yolo-seg", "cityscapes",
]  # fmt: skip


@dataclass(frozen=True)
class ImageLabels:
    """What a set says of one image; no pixel has been read.

    Attributes:
        segments: areas and boxes may be missing; they come with the map.
        state: how far a person has looked at it; unlabelled pixels are truth in reviewed ones only.
        size: height and width; 0 where the set does not tell.
        rejected: segments that a person refused.
        png: the panoptic PNG with the ids; None: there is no such file.
        sha256: of that file (hex); None: not known.
    """

    segments: tuple[Segment, ...]
    state: ImageState
    size: tuple[int, int] = (0, 0)
    rejected: tuple[RejectedSegment, ...] = ()
    png: Path | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class LabelSet:
    """Labels of many images.

    Attributes:
        path: that the user named.
        form: a run folder, COCO panoptic, class PNGs, where each class of an image is one segment,
            Cityscapes' PNGs of objects, or shapes of another tool.
        vocabulary: its classes.
        images: names (relative paths, with suffix) in the order of the set.
        labels_of: what is said of an image, with the category ids of `vocabulary`.
        read_map: the map of an image; FormatError where it is not the one that the set names.
        picture: where the picture of an image is, or should be; None: not known.
        seen: ids of the classes that the weights have seen; None: not known.
        unreviewed: images of a run folder that no person has finished looking at.
        dataset: of COCO panoptic; None of other forms.
        foreign: the shapes as they are, of forms that have them; they may overlap.
        faults: what is wrong with images that were left out, a sentence for each fault.
        notes: what was passed over, though nothing is wrong with it.
    """

    path: Path
    form: Form
    vocabulary: Vocabulary
    images: tuple[str, ...]
    labels_of: Callable[[str], ImageLabels]
    read_map: Callable[[str], PanopticMap]
    picture: Callable[[str], Path | None]
    seen: frozenset[int] | None = None
    unreviewed: frozenset[str] = frozenset()
    dataset: PanopticDataset | None = None
    foreign: ForeignSet | None = None
    faults: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def has_segments(self) -> bool:
        """Return whether it tells the segments of one class apart."""
        return self.form != "class-png"

    @property
    def tells_kinds(self) -> bool:
        """Return whether it says what are things and what is stuff; else all count as things."""
        return self.foreign is None or self.foreign.tells_kinds


def open_coco_panoptic(
    path: Path,
    pictures: Path | None = None,
    pngs: Path | None = None,
    *,
    like: LabelSet | None = None,
    trust_states: bool = False,
) -> LabelSet:
    """Return the labels of a COCO panoptic JSON, also of one in a run folder.

    Args:
        path: of the JSON, or of a folder with `panoptic.json`.
        pictures: as of `open_label_set`, as are `pngs` and `like`.
        trust_states: believe what a set of another tool says of states; else all of it is truth.
            A run folder's own JSON is believed in any case.
    """
    json_file = panoptic_json(path)
    if json_file is None:
        raise FormatError(f"{path}: has no {PANOPTIC_JSON}; name the JSON file")
    folder = _pngs_of(json_file) if pngs is None else pngs
    other = like.dataset if like is not None else None
    ours = (json_file.parent / MANIFEST).is_file() and json_file.name == PANOPTIC_JSON
    dataset = read_coco_panoptic(json_file, folder, like=other, trust_states=ours or trust_states)
    images = {image.file_name: image for image in dataset.images}
    if len(images) < len(dataset):
        names = Counter(image.file_name for image in dataset.images)
        twice = next(name for name, count in names.items() if count > 1)
        raise FormatError(f"{dataset.path}: two images are called {twice!r}; rename one")
    folders = [pictures] if pictures else [json_file.parent / name for name in PICTURE_FOLDERS]

    def labels_of(image: str) -> ImageLabels:
        said = dataset.annotation(images[image])
        png = dataset.folder / said.png_name
        return ImageLabels(said.segments, said.state, (said.height, said.width), png=png)

    def picture(image: str) -> Path:
        paths = [folder / image for folder in folders]
        return next((path for path in paths if path.is_file()), paths[-1])

    return LabelSet(
        path=path,
        form="coco-panoptic",
        vocabulary=dataset.vocabulary,
        images=tuple(images),
        labels_of=labels_of,
        read_map=lambda image: dataset.read_map(dataset.annotation(images[image])),
        picture=picture,
        dataset=dataset,
        faults=dataset.faults,
        notes=dataset.notes,
    )


def panoptic_json(path: Path) -> Path | None:
    """Return the COCO panoptic JSON that a path names: itself, or the one in the folder."""
    if path.is_file() and path.suffix.lower() == ".json":
        return path
    return path / PANOPTIC_JSON if (path / PANOPTIC_JSON).is_file() else None


def _pngs_of(json_file: Path) -> Path:
    folder = json_file.with_suffix("")
    if folder.is_dir():
        return folder
    beside = json_file.parent
    if next(beside.glob("*.png"), None) is None and next(beside.glob("*/*.png"), None) is None:
        raise FormatError(
            f"{json_file}: there is no folder {folder} of its PNGs, and there are none beside it; "
            "move them there, or name their folder with --pngs (import)"
        )
    return beside


def open_run(run: RunReader, pictures: Path | None) -> LabelSet:
    """Return the present labels of a run folder."""
    states: dict[str, ImageState] = {}
    outdated = 0
    for entry in run.entries():
        if entry.labels is not None and entry.labels.current.lost_classes(run.vocabulary):
            outdated += 1
        elif entry.labels is not None:
            states[entry.image] = entry.labels.state
    categories = run.vocabulary.categories
    seen = zip(categories, seen_categories(run.vocabulary, run.manifest.seen_names), strict=True)
    lost = f"{outdated} images have classes that the vocabulary no longer has; annotate them again"

    def labels_of(image: str) -> ImageLabels:
        entry = run.entry(image)
        if entry is None or entry.labels is None:
            raise ValueError(f"{run.path} has no labels of an image {image!r}")
        labels = entry.labels
        return ImageLabels(
            segments=labels.current.segments(run.vocabulary),
            state=labels.state,
            size=(labels.height, labels.width),
            rejected=labels.rejected,
            png=run.png(labels),
            sha256=labels.current.png,
        )

    return LabelSet(
        path=run.path,
        form="run",
        vocabulary=run.vocabulary,
        images=tuple(states),
        labels_of=labels_of,
        read_map=run.read_map,
        picture=run.picture if pictures is None else lambda image: pictures / image,
        seen=frozenset(category.id for category, is_seen in seen if is_seen),
        unreviewed=frozenset(image for image, state in states.items() if state != "reviewed"),
        notes=(lost,) if outdated else (),
    )


def open_class_pngs(folder: ClassPngFolder, pictures: Path | None, ending: str = "") -> LabelSet:
    """Return the labels of a folder of class PNGs.

    Args:
        pictures: folder of the pictures; None: not known.
        ending: of a picture's name, before its suffix.
    """

    def read_map(image: str) -> PanopticMap:
        ids = folder.read(image)
        categories = folder.vocabulary.categories
        found = ((index, categories[index - 1]) for index in measure(ids))
        return PanopticMap.of(ids, (Segment(i, c.id, c.is_thing) for i, c in found))

    def picture(image: str) -> Path | None:
        return None if pictures is None else of_any_suffix(pictures / f"{image}{ending}")

    return LabelSet(
        path=folder.path,
        form="class-png",
        vocabulary=folder.vocabulary,
        images=folder.images,
        labels_of=lambda image: ImageLabels(read_map(image).segments, "reviewed"),
        read_map=read_map,
        picture=picture,
        foreign=class_regions(folder),
    )


def of_any_suffix(path: Path) -> Path:
    """Return the file of this name, or one that only has a suffix more."""
    more = sorted(path.parent.glob(f"{glob.escape(path.name)}.*"))
    return path if path.is_file() or not more else more[0]
