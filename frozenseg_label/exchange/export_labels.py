"""The `export` job: labels go to other tools, and what a format cannot hold is told before.

Heavy imports stay inside the functions: the command line reads its defaults here.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from frozenseg_label.errors import FormatError
from frozenseg_label.exchange.export_places import places_of, shares_of

if TYPE_CHECKING:
    from frozenseg_label.exchange.export_formats import Format, Writer
    from frozenseg_label.exchange.export_losses import Fact
    from frozenseg_label.exchange.write_export import Export
    from frozenseg_label.formats.export_image import Place
    from frozenseg_label.label_sets.label_set import LabelSet
    from frozenseg_label.vocabulary import Vocabulary

log = logging.getLogger(__name__)

ExportForm = Literal[
    "coco-instances", "coco-panoptic", "cvat", "label-studio", "yolo-seg", "labelme", "voc",
    "class-png", "per-class-png", "hf", "fiftyone",
]  # fmt: skip
PictureMode = Literal["copy", "link", "none"]
Only = Literal["all", "reviewed", "accepted"]


@dataclass(frozen=True)
class ExportSummary:
    """What one export wrote.

    Attributes:
        output: the folder.
        form: the format.
        images: number of images in the export; `parts` has it for train, val and test.
        segments: in these images.
        left_out: images that were not asked for (`only`).
        unchanged: images whose files were there already.
        removed: files of an earlier export that are no longer wanted.
        pictures: what was done with the pictures.
        lost: how many of each kind of fact the format cannot hold.
        faults: what is wrong with images that are missing for it, a sentence for each.
        notes: what else of the labels is missing, though nothing is wrong with it.
    """

    output: Path
    form: ExportForm
    images: int
    parts: Mapping[str, int]
    segments: int
    left_out: int
    unchanged: int
    removed: int
    pictures: PictureMode
    lost: "Mapping[Fact, int]"
    faults: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def export_labels(
    labels: str | Path,
    output: str | Path,
    form: ExportForm,
    *,
    images: str | Path | None = None,
    pngs: str | Path | None = None,
    only: Only = "all",
    min_score: float = 0.0,
    stuff: bool = False,
    grey: bool = False,
    pictures: PictureMode | None = None,
    split: str | None = None,
    keep_folders: bool = False,
    strict: bool = False,
    writer: "Writer | None" = None,
    progress: bool = False,
) -> ExportSummary:
    """Write labels as another tool reads them; a second export writes what has changed.

    Before anything is written, what the format cannot hold is counted and logged.

    Args:
        labels: a run folder, a COCO panoptic set or a folder of class PNGs.
        output: a new folder, or one that an export in the same format wrote.
        form: the format.
        images: folder of the pictures; None: where the labels say.
        pngs: folder of the PNGs of a COCO panoptic JSON; None: the one beside it.
        only: `reviewed`: images that a person has finished; `accepted`: segments that a person
            accepted or drew, and images that have such or are reviewed.
        min_score: segments whose score is lower are left out; people's have none and stay.
        stuff: coco-instances and yolo-seg, too, hold segments of stuff.
        grey: class PNGs without a palette.
        pictures: copy, link, or none; None: copied for formats that have them beside the labels or
            in them (hf).
        split: shares of train, val and test, as `80/10/10`, by the hash of an image's name.
        keep_folders: images of one folder go into the same part.
        strict: FormatError if the format cannot hold all that the labels say.
        writer: for the format fiftyone, `fiftyone_writer()`; others have their own.
        progress: show a progress bar on stderr.

    Returns:
        What was written, and how much of the labels the format cannot hold.

    Example:
        >>> frozenseg_label.export_labels("labels", "for-cvat", "cvat").images
        2
    """
    from frozenseg_label.exchange.write_export import Export
    from frozenseg_label.label_sets.open_label_set import open_label_set

    chosen = _format(form, grey=grey, pictures=pictures, writer=writer)
    folders = (None if folder is None else Path(folder) for folder in (images, pngs))
    with open_label_set(Path(labels), *folders) as label_set:
        job = Export(
            label_set=label_set,
            output=Path(output),
            form=chosen,
            vocabulary=_vocabulary(label_set, chosen, stuff=stuff),
            only=only,
            min_score=min_score,
            pictures=chosen.pictures if pictures is None else pictures,
            progress=progress,
            grey=grey,
        )
        shares = shares_of(split) if split is not None else ()
        parts = places_of(job.names, label_set.picture, shares, by_folder=keep_folders)
        return _run(job, form, parts, strict=strict)


def _run(
    job: "Export", form: ExportForm, parts: "Mapping[str, Sequence[Place]]", *, strict: bool
) -> ExportSummary:
    """Tell what would be lost, then write."""
    from frozenseg_label.exchange.export_folder import ExportFolder

    job.refuse_missing_pictures()
    lost = job.count_losses()
    _tell(form, lost, strict=strict)
    with ExportFolder.open(job.output, form) as folder:
        counts = job.write(folder, parts)
    if left := counts["not asked for"]:
        log.info(
            "%d segments were not asked for; an import leaves them as they are, if the labels are "
            "in this folder then, or `import --exported` names it",
            left,
        )
    return ExportSummary(
        output=job.output,
        form=form,
        images=len(job.names),
        parts={part or "all": len(places) for part, places in parts.items()},
        segments=counts["segments"],
        left_out=len(job.label_set.images) - len(job.names),
        unchanged=counts["unchanged"],
        removed=folder.removed,
        pictures=job.pictures,
        lost=lost,
        faults=job.label_set.faults,
        notes=job.label_set.notes,
    )


def _format(
    form: ExportForm, *, grey: bool, pictures: PictureMode | None, writer: "Writer | None"
) -> "Format":
    """Return how to write a format; FormatError for options that it cannot have."""
    from frozenseg_label.exchange.export_formats import FORMATS
    from frozenseg_label.formats.class_masks import class_mask_files

    if grey and form != "class-png":
        raise FormatError(f"only class-png can be grey, not {form}; leave that out")
    if (form == "fiftyone") != (writer is not None):
        raise ValueError("fiftyone is written by `writer`, which no other format has")
    if writer is not None:
        return replace(FORMATS[form], document=writer)
    if form == "hf":
        return _hugging_face(FORMATS[form], pictures)
    if grey:
        return replace(FORMATS[form], files=partial(class_mask_files, grey=True))
    return FORMATS[form]


def _hugging_face(chosen: "Format", pictures: PictureMode | None) -> "Format":
    from frozenseg_label.exchange.export_formats import Shards
    from frozenseg_label.formats.hugging_face import (
        dataset_card,
        in_shards,
        require_datasets,
        write_shard,
    )

    require_datasets()
    if pictures == "link":
        raise FormatError("hf has the pictures in its files; give --pictures copy, or none")
    if pictures != "none":
        return chosen
    shards = Shards(in_shards, partial(write_shard, embed=False))
    return replace(chosen, shards=shards, shared=partial(dataset_card, embed=False))


def _vocabulary(label_set: "LabelSet", chosen: "Format", *, stuff: bool) -> "Vocabulary":
    """Return the classes of the export."""
    from frozenseg_label.vocabulary import Vocabulary

    whole = label_set.vocabulary
    if stuff or not chosen.stuff_asked:
        return whole
    things = tuple(category for category in whole.categories if category.is_thing)
    if not things:
        raise FormatError(f"{label_set.path}: all classes are stuff; export it with --stuff")
    return Vocabulary(whole.name, things)


def _tell(form: ExportForm, lost: "Mapping[Fact, int]", *, strict: bool) -> None:
    from frozenseg_label.exchange.export_losses import said_losses

    if not lost:
        return
    message = f"{form} cannot hold: {said_losses(lost)}"
    if strict:
        raise FormatError(f"{message}; choose another format, or export without --strict")
    log.info("%s", message)
