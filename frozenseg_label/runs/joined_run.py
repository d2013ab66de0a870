"""A run folder made of others, such as the shards of one run: images come with all that they have.

An image comes with its whole history, so that the queue and a review know what they would know in a
run of one piece. Only its last row has files. A killed join left at most some rows of one image
without the last one; the next join adds what is missing.
"""

from collections.abc import Sequence
from pathlib import Path

from frozenseg_label.errors import RunError
from frozenseg_label.files import atomic_write, refuse_links
from frozenseg_label.formats.coco_panoptic import read_label_png
from frozenseg_label.formats.json_rows import RowPlace
from frozenseg_label.runs.commit import commit_entry, remove_file, stage_files
from frozenseg_label.runs.journal_rows import Entry
from frozenseg_label.runs.kept_files import read_kept
from frozenseg_label.runs.layout import PANOPTIC, PROPOSED, SEMANTIC, kept_path
from frozenseg_label.runs.manifest import Manifest
from frozenseg_label.runs.run_folder import RunFolder
from frozenseg_label.runs.run_reader import RunReader


class JoinedRun(RunFolder):
    """A run folder that takes images of other runs; `joined_manifest` gives its manifest."""

    def refuse_other_root(self, manifest: Manifest) -> None:
        """Raise RunError where the images here are of another folder than those that would come."""
        if self.manifest.root is None:
            self.manifest = self.manifest.model_copy(update={"root": manifest.root})
        elif manifest.root not in (None, self.manifest.root):
            raise RunError(
                f"{self.path} has labels of the images in {self.manifest.root}, and the given runs "
                f"of those in {manifest.root}; name another folder"
            )

    def take(self, source: RunReader, theirs: Sequence[RowPlace], ours: Sequence[RowPlace]) -> None:
        """Copy an image's rows and files that are missing here, if there are any.

        RunError: the labels here, or those of the source, are none that became of the others.

        Args:
            source: another run.
            theirs: places of all rows of the image there.
            ours: places of its rows here when the folder was opened.
        """
        rows = [source.row(place) for place in theirs]
        missing = self._missing(source, rows, [self.row(place) for place in ours])
        if missing:
            with self._journal.writing():
                self._append(source, missing)
            self._failed += rows[-1].event == "failed"
            self._labelled += rows[-1].event != "failed"
        else:
            self._skipped += rows[-1].event != "failed"

    def _missing(
        self, source: RunReader, rows: Sequence[Entry], ours: Sequence[Entry]
    ) -> Sequence[Entry]:
        """Return which rows of an image are missing here."""
        if _is_start(ours, rows):
            return rows[len(ours) :]
        # People went on with the joined run, or the image came from another run or failed only.
        if _is_start(rows, ours) or rows[-1].labels is None or say_the_same(rows[-1], ours[-1]):
            return ()
        if ours[-1].labels is not None:
            raise RunError(_two_labels(rows[-1].image, source, self))
        return rows  # here it only failed

    def _append(self, source: RunReader, rows: Sequence[Entry]) -> None:
        """Write rows of an image, the last one with its files."""
        last = rows[-1]
        before = self._journal.last(last.image)
        here = before.labels if before is not None else None
        file = self._png_name(last.image, here) if any(row.labels for row in rows) else ""
        files = _files(source, last, file)
        if here is not None:
            self._extras.remove(here)  # `finish` makes those that are wanted
            remove_file(self.path, kept_path(file))
        for row in rows[:-1]:
            self._journal.append(_named(row, file))
        if (seen := source.read_embeddings(last)) is not None:
            self._embeddings.append(seen)
        if last.labels is not None:
            self._copy_semantic(source.path / SEMANTIC / last.labels.file, f"{SEMANTIC}/{file}")
        corrected = last.labels is not None and last.labels.is_corrected()
        staged = stage_files(self.path, files)
        commit_entry(self.path, self._journal, _named(last, file), staged, durable=corrected)

    def _copy_semantic(self, source: Path, file: str) -> None:
        """Copy a semantic map, if there is one; no row names these."""
        remove_file(self.path, file)
        if source.is_file():
            refuse_links(self.path, file)
            atomic_write(self.path / file, source.read_bytes(), lasting=False)


def joined_manifest(runs: Sequence[RunReader]) -> Manifest:
    """Return the manifest of a run that is made of others.

    RunError: they were made with other weights, words or options, or of images in other folders.
    """
    first, *others = runs
    roots = {run.manifest.root: run.path for run in runs if run.manifest.root is not None}
    for run in others:
        if found := first.manifest.differences(run.manifest):
            raise RunError(
                f"{run.path} was made with other {', other '.join(found)} than {first.path}; join "
                "runs of one kind"
            )
    if len(roots) > 1:
        (root, one), (other_root, other), *_ = roots.items()
        raise RunError(
            f"{one} has labels of the images in {root}, and {other} of those in {other_root}; give "
            "every shard the same images"
        )
    arguments = {name: value for name, value in first.manifest.arguments.items() if name != "shard"}
    warnings = dict.fromkeys(warning for run in runs for warning in run.manifest.warnings)
    precisions = dict.fromkeys(one for run in runs for one in run.manifest.precisions)
    update = {
        "arguments": arguments,
        "precisions": tuple(precisions),
        "root": next(iter(roots), None),
        "created": min(run.manifest.created for run in runs),
        "assembled": 0,
        "totals": None,
        "missing_images": sum(run.manifest.missing_images for run in runs),
        "warnings": tuple(warnings),
    }
    return first.manifest.model_copy(update=update)


def places_of_rows(run: RunReader) -> dict[str, list[RowPlace]]:
    """Return where the rows of each image are, the oldest first."""
    places: dict[str, list[RowPlace]] = {}
    for place, entry in run.history():
        places.setdefault(entry.image, []).append(place)
    return places


def refuse_two_labels(one: RunReader, other: RunReader, image: str) -> None:
    """Raise RunError where two runs have other labels of an image."""
    first, second = one.entry(image), other.entry(image)
    labelled = first is not None and second is not None and first.labels and second.labels
    if first and second and labelled and not say_the_same(first, second):
        raise RunError(_two_labels(image, one, other))


def say_the_same(one: Entry, other: Entry) -> bool:
    """Return whether two rows have the same labels of the same picture, made by the same run."""
    first, second = (row.labels and _named(row, "").labels for row in (one, other))
    return (one.sha256, one.run, first) == (other.sha256, other.run, second)


def _two_labels(image: str, one: RunReader, other: RunReader) -> str:
    return (
        f"{image} has other labels in {one.path} than in {other.path}, and none of them came from "
        "the others; leave one of the folders out"
    )


def _is_start(some: Sequence[Entry], rows: Sequence[Entry]) -> bool:
    """Return whether an image's history begins with some rows, in whatever PNG its labels are."""
    return [_named(row, "") for row in some] == [_named(row, "") for row in rows[: len(some)]]


def _named(entry: Entry, file: str) -> Entry:
    """Return a row whose labels are in another PNG."""
    if entry.labels is None:
        return entry
    labels = entry.labels.model_copy(update={"file": file})
    return entry.model_copy(update={"labels": labels})


def _files(source: RunReader, entry: Entry, file: str) -> dict[str, bytes]:
    """Return the files that a row of another run commits, by their paths here.

    Kept proposals that somebody removed there are missing here, too.

    Args:
        file: that the labels have here.
    """
    labels, files = entry.labels, dict[str, bytes]()
    if labels is None:
        return files
    files[f"{PANOPTIC}/{file}"] = read_label_png(source.png(labels), labels.current.png)
    if labels.proposed is not None:
        own = source.png(labels, proposed=True)
        files[f"{PROPOSED}/{file}"] = read_label_png(own, labels.proposed.png)
    if entry.kept is not None and (source.path / kept_path(labels.file)).is_file():
        files[kept_path(file)] = read_kept(source.path, entry)
    return files
