"""Which of FiftyOne's datasets shows a run folder, and a new one where none does."""

from pathlib import Path
from typing import TYPE_CHECKING

from frozenseg_label.errors import ReviewError
from frozenseg_label.review.app.views import SEGMENTS
from frozenseg_label.runs.run_folder import RunFolder

if TYPE_CHECKING:
    import fiftyone as fo

PREFIX = "frozenseg"
TAG = "frozenseg-label"  # of our datasets; people may give them other names


def find_dataset(run: RunFolder) -> "fo.Dataset | None":
    """The dataset of a run folder, wherever the folder lay when it was made; None: there is none.

    A copy of a run folder is another run.
    """
    import fiftyone as fo

    here = f"{run.path.absolute()}"
    moved = None
    for name in fo.list_datasets(tags=TAG):
        dataset = fo.load_dataset(name, reload=True)
        if dataset.info.get("run") != run.manifest.created.isoformat():
            continue
        if dataset.info.get("run_folder") == here:
            return dataset
        if not Path(dataset.info.get("run_folder", "")).exists():
            moved = dataset
    return moved


def new_dataset(run: RunFolder) -> "fo.Dataset":
    """An empty dataset with all the fields, named after the run."""
    import fiftyone as fo

    dataset = fo.Dataset(_free_name(run.path.absolute().name), persistent=True)
    for field, kind in (
        ("image", fo.StringField),
        ("opened", fo.StringField),
        ("state", fo.StringField),
        ("gain", fo.FloatField),
        ("unlabelled", fo.FloatField),
    ):
        dataset.add_sample_field(field, kind)
    dataset.add_sample_field(SEGMENTS, fo.EmbeddedDocumentField, embedded_doc_type=fo.Detections)
    for names, kind in (
        (("state", "source", "second"), fo.StringField),
        (("segment_id", "area"), fo.IntField),
        (("changed",), fo.BooleanField),
        (("margin", "disagreement", "contested", "sam_disagreement", "gain"), fo.FloatField),
    ):
        for name in names:  # declared, because the label schema refuses what no segment has yet
            dataset.add_sample_field(f"{SEGMENTS}.detections.{name}", kind)
    for field in ("image", "gain", "unlabelled"):
        dataset.create_index(field)
    return dataset


def describe(dataset: "fo.Dataset", run: RunFolder) -> None:
    """Write down whose dataset it is, and the vocabulary for our buttons."""
    folder = f"{run.path.absolute()}"
    try:
        folder.encode()
    except UnicodeEncodeError as error:
        raise ReviewError(
            f"{ascii(folder)[1:-1]}: this path is no Unicode, which FiftyOne needs; rename it"
        ) from error
    dataset.info = {
        "run": run.manifest.created.isoformat(),
        "run_folder": folder,
        "vocabulary": [
            {
                "name": category.name,
                "synonyms": list(category.synonyms),
                "is_thing": category.is_thing,
                "color": "#{:02x}{:02x}{:02x}".format(*category.color),
            }
            for category in run.vocabulary.categories
        ],
    }
    dataset.tags = sorted({*dataset.tags, TAG})
    dataset.save()


def _free_name(folder: str) -> str:
    """A name that no dataset has; FiftyOne takes names for equal that differ in signs alone."""
    import fiftyone as fo
    from fiftyone.core.utils import to_slug

    taken = {to_slug(name) for name in fo.list_datasets()}
    stem = f"{PREFIX}-{folder}"
    names = [stem, *(f"{stem}-{number}" for number in range(2, len(taken) + 3))]
    return next(name for name in names if to_slug(name) not in taken)
