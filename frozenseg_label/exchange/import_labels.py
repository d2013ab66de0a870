"""The `import` job: labels that a person corrected in another tool become human work in a run.

Heavy imports stay inside the functions: the command line reads its defaults here.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from frozenseg_label.exchange.adopt_labels import Adoption, Changes
    from frozenseg_label.exchange.match_labels import Incoming
    from frozenseg_label.exchange.problems import Problems
    from frozenseg_label.label_sets.class_map import ClassMap
    from frozenseg_label.label_sets.class_report import ClassReport
    from frozenseg_label.panoptic import ImageState
    from frozenseg_label.runs.journal_rows import Entry
    from frozenseg_label.runs.run_folder import RunFolder

log = logging.getLogger(__name__)

ImportForm = Literal[
    "coco-panoptic", "coco-instances", "cvat", "label-studio", "labelme", "voc", "class-png",
    "yolo-seg",
]  # fmt: skip
OnTop = Literal["last", "first", "small", "score"]


@dataclass(frozen=True)
class ImportSummary:
    """What one import changed in a run folder.

    Attributes:
        output: the run folder.
        images: whose labels are now the imported ones.
        unchanged: images that had just these labels already.
        unknown: images of the imported labels that are missing from the run.
        accepted: segments that the model had proposed with the same class and pixels.
        changed_class: segments of the same region (IoU above 0.5), but of another class.
        reshaped: segments of the same region and class, but of other pixels.
        added, removed: segments without a counterpart on the other side.
        left_out: segments whose class the class map leaves out: their pixels have no label.
        kept: segments of the run that stay as they are, because the labels name no such class, or
            the export left them out.
        overlapped: shapes that lost pixels to others; `overlapped_pixels` are in several shapes.
        classes: how the classes of the imported labels were found in the run.
    """

    output: Path
    images: int
    unchanged: int
    unknown: int
    accepted: int
    changed_class: int
    reshaped: int
    added: int
    removed: int
    left_out: int
    kept: int
    overlapped: int
    overlapped_pixels: int
    classes: "ClassReport"


def import_labels(
    output: str | Path,
    labels: str | Path,
    *,
    form: ImportForm = "coco-panoptic",
    pngs: str | Path | None = None,
    on_top: OnTop = "last",
    in_review: bool = False,
    overwrite: bool = False,
    trust_states: bool = False,
    class_map: "str | Path | ClassMap | None" = None,
    exported: str | Path | None = None,
    progress: bool = False,
) -> ImportSummary:
    """Take labels that a person corrected elsewhere into a run folder, as that person's work.

    Every image among them counts as looked at: its segments become accepted, and what it does not
    label is truth, too. Segments that the export left out, or of classes that the labels do not
    list (stuff in instances), stay as they are; where some of them are still proposed, the image is
    in review only. What the format changed by itself (filled holes) is no correction. The model's
    own labels are kept in `proposed/`. All that does not fit, or would overwrite a person's work,
    is told in one FormatError before anything is written.

    Args:
        output: the run folder.
        labels: the file or folder, as `export_labels` writes it or as the other tool does.
        form: of the labels.
        pngs: folder of the PNGs of a COCO panoptic JSON; None: the one named like it, beside it.
        on_top: which of two shapes has the pixels that both claim, in formats where shapes may
            overlap: the last or first in the file, the smaller one, or that of the higher score.
        in_review: the person has not finished with these images: unlabelled pixels are not truth.
        overwrite: replace what people did in the run, too.
        trust_states: believe the states that the labels say; else all segments are accepted.
        class_map: class there -> class of the run, or None to leave it out; or a file with that.
        exported: folder that the export wrote; None: that of the labels. What it left out
            (`min_score`, `only`) stays as it is, as far as nobody drew there.
        progress: show a progress bar on stderr.

    Returns:
        How many images and segments changed.

    Example:
        >>> summary = frozenseg_label.import_labels("labels", "for-cvat", form="cvat")
        >>> summary.images, summary.changed_class
        (2, 0)
    """
    if form not in get_args(ImportForm) or on_top not in get_args(OnTop):
        raise ValueError(f"there is no form {form!r}, or no rule {on_top!r} for what is on top")
    from frozenseg_label.exchange.match_labels import match_labels
    from frozenseg_label.exchange.problems import Problems
    from frozenseg_label.label_sets.class_map import read_class_map
    from frozenseg_label.runs.run_folder import RunFolder

    source, problems = Path(labels), Problems()
    origin = source.absolute().as_posix()
    state: ImageState = "in review" if in_review else "reviewed"
    with RunFolder.open_to_correct(Path(output)) as run:
        incoming = match_labels(
            run,
            source,
            None if pngs is None else Path(pngs),
            problems,
            form=form,
            on_top=on_top,
            trust_states=trust_states,
            class_map=read_class_map(class_map),
            exported=None if exported is None else Path(exported),
        )
        todo = _check(run, incoming, state, None if overwrite else origin, problems)
        problems.refuse(source)
        _announce(incoming, len(todo), on_top)
        try:
            changes = _take_in(run, incoming, todo, state, origin, progress)
        finally:
            run.finish()  # also when interrupted: every image is whole
    return _summary(Path(output), len(todo), incoming, changes)


def _summary(
    output: Path, imported: int, incoming: "Incoming", changes: "Changes"
) -> ImportSummary:
    counts = incoming.found.values()
    return ImportSummary(
        output,
        imported,
        len(incoming.names) - imported,
        incoming.unknown,
        **vars(changes),
        left_out=incoming.left_out(),
        kept=sum(count.kept for count in counts),
        overlapped=sum(count.overlaps.shapes for count in counts),
        overlapped_pixels=sum(count.overlaps.pixels for count in counts),
        classes=incoming.classes.report,
    )


def _take_in(
    run: "RunFolder",
    incoming: "Incoming",
    todo: Sequence[str],
    state: "ImageState",
    origin: str,
    progress: bool,
) -> "Changes":
    """Write the labels of these images into the run; returns how they differ from before."""
    from frozenseg_label.exchange.adopt_labels import Changes
    from frozenseg_label.exchange.problems import Problems
    from frozenseg_label.progress_bar import shown

    changes = Changes()
    for image in shown(todo, show=progress):
        problems = Problems()
        entry, adoption = _adopted(run, incoming, image, problems)
        problems.refuse(incoming.labels.path)  # a file changed since it was checked
        if adoption is not None:
            run.correct(
                run.record(entry),
                adoption.panoptic_map,
                state=_state(adoption, state),
                event="imported",
                origin=origin,
            )
            changes += adoption.changes
    return changes


def _check(
    run: "RunFolder",
    incoming: "Incoming",
    state: "ImageState",
    origin: str | None,
    problems: "Problems",
) -> list[str]:
    """Return the images whose labels would change; what does not fit goes to `problems`.

    Args:
        origin: whose earlier imports may be replaced; None: anything may.
    """
    from frozenseg_label.exchange.problems import OVERWRITE

    todo = []
    for image in incoming.names:
        entry, adoption = _adopted(run, incoming, image, problems)
        if adoption is None or _has_already(run, entry, adoption, _state(adoption, state)):
            continue
        todo.append(image)
        if origin is not None and (lost := _overwritten(entry, adoption, origin)):
            problems.add(OVERWRITE, [f"{image}: a person corrected it in the run; {lost}"])
    return todo


def _state(adoption: "Adoption", state: "ImageState") -> "ImageState":
    """Return the state of an image: nobody can have finished what the labels could not tell."""
    return "in review" if adoption.leaves_open else state


def _adopted(
    run: "RunFolder", incoming: "Incoming", image: str, problems: "Problems"
) -> "tuple[Entry, Adoption | None]":
    entry = run.entry(image)
    if entry is None:
        raise ValueError(f"{run.path} has no image {image!r}")
    return entry, incoming.adopted(entry, problems)


def _has_already(
    run: "RunFolder", entry: "Entry", adoption: "Adoption", state: "ImageState"
) -> bool:
    """Return whether the run has exactly these labels already."""
    from frozenseg_label.runs.ownership import withdraw_rejected

    if entry.labels is None or entry.labels.state != state or adoption.changes.alter_labels():
        return False
    adopted, rejected = withdraw_rejected(adoption.panoptic_map, run.vocabulary)
    standing = {segment.id: segment for segment in entry.labels.current.segments(run.vocabulary)}
    remembered = {(memory.category, memory.counts) for memory in entry.labels.rejected}
    return (
        standing == {segment.id: segment for segment in adopted.segments}
        and {(memory.category, memory.counts) for memory in rejected} <= remembered
    )


def _overwritten(entry: "Entry", adoption: "Adoption", origin: str) -> str:
    """Say what of a person's work in the run would be lost; empty if nothing.

    What came from the same file before is no loss: that file has been corrected since.
    """
    labels = entry.labels
    if labels is None or not labels.is_corrected():
        return ""
    if entry.event == "imported" and entry.origin == origin:
        return ""
    if adoption.overwritten:
        return f"{adoption.overwritten} of its segments would not stay as they are"
    if labels.state == "reviewed" and adoption.changes.alter_labels():
        return "it is reviewed, and its labels would change"
    return ""


def _tell_shapes(incoming: "Incoming", on_top: OnTop) -> None:
    """Say what shapes lost to others, and what the format could not tell."""
    from frozenseg_label.formats.shapes import Overlaps
    from frozenseg_label.label_sets.foreign_sets import said_overlaps

    found = incoming.found.values()
    lost = sum((counts.overlaps for counts in found), start=Overlaps())
    if lost.pixels:
        log.info("%s", said_overlaps(lost, on_top))
    if kept := sum(counts.kept for counts in found):
        log.info(
            "%d segments of the run were left out by the export, or are of classes that the labels "
            "do not list; they stay as they are, and images where such are still proposed are in "
            "review, not reviewed",
            kept,
        )


def _announce(incoming: "Incoming", images: int, on_top: OnTop) -> None:
    """Say what will be done, and what is passed over."""
    _tell_shapes(incoming, on_top)
    unchanged = len(incoming.names) - images
    if not images:
        log.info("%d images, all of them have these labels already: nothing to do", unchanged)
    elif unchanged:
        log.info("%d images had these labels already", unchanged)
    if incoming.unknown:
        log.info(
            "%d images of the labels are not in the run; they were passed over", incoming.unknown
        )
