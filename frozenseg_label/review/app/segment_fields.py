"""Fields of segments by FiftyOne's id; masks are not read.

FiftyOne copies segments into a list of their own for our views of single segments. What changes
here changes there, too, so that decided segments leave these views at once.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from frozenseg_label.review.app.segment_documents import SEGMENTS
from frozenseg_label.review.app.views import DOUBTFUL_SEGMENTS

if TYPE_CHECKING:
    import fiftyone as fo

_DETECTIONS = f"{SEGMENTS}.detections"


def values_of(dataset: "fo.Dataset", ids: Collection[str], name: str) -> Iterator[tuple[str, Any]]:
    """Yield id and value of a field of segments."""
    view = dataset.select_labels(ids=list(ids), fields=SEGMENTS)
    columns = view.values([f"{_DETECTIONS}.id", f"{_DETECTIONS}.{name}"])
    for of_image in zip(*columns, strict=True):
        yield from zip(*of_image, strict=True)


def set_values_of(dataset: "fo.Dataset", name: str, values: Mapping[str, Any]) -> None:
    """Give segments the values of a field, by id."""
    dataset.set_label_values(f"{_DETECTIONS}.{name}", dict(values))
    listed = _listed(dataset, values)
    if listed is not None:
        here = {id_: values[id_] for id_ in listed.values("id")}
        listed._dataset.set_values(f"{SEGMENTS}.{name}", here, key_field="id")


def change_tags(
    dataset: "fo.Dataset", ids: Collection[str], *, add: str, remove: Collection[str]
) -> None:
    """Give segments a tag, and take others away."""
    views = [dataset.select_labels(ids=list(ids), fields=SEGMENTS), _listed(dataset, ids)]
    for view in views:
        if view is not None:
            view.untag_labels(list(remove), SEGMENTS)
            view.tag_labels(add, SEGMENTS)


def forget(dataset: "fo.Dataset", ids: Collection[str]) -> None:
    """Take segments that are gone from the list."""
    listed = _listed(dataset, ids)
    if listed is not None:
        listed._dataset.delete_samples(listed)


def _listed(dataset: "fo.Dataset", ids: Collection[str]) -> "fo.DatasetView | None":
    """Return those of the segments that are in the list of segments; None: there is no list."""
    if not dataset.has_saved_view(DOUBTFUL_SEGMENTS):
        return None
    segments = dataset.load_saved_view(DOUBTFUL_SEGMENTS)._dataset
    return segments.select(list(ids))  # a patch has the id of its segment
