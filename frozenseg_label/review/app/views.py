"""How the App shows a run: classes to choose from, their colours, and the queue as saved views."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from frozenseg_label.review.app.samples import SEGMENTS
from frozenseg_label.review.corrections.regions import ACCEPTED, PROPOSED, REJECTED
from frozenseg_label.review.queue.review_queue import QueuedImage
from frozenseg_label.vocabulary import Vocabulary

if TYPE_CHECKING:
    import fiftyone as fo

MOST_DOUBTFUL = "1 most doubtful images"
DOUBTFUL_SEGMENTS = "2 most doubtful segments"
UNLABELLED = "3 unlabelled area"
PER_CLASS = "4 per class, least confident"
CHANGED = "5 changed since last run"
ACCEPTED_VIEW = "6 accepted and edited"

# Facts of a segment that the App shows beside it, and that a person must not change there.
_READ_ONLY = {
    "confidence": "float",
    "second": "str",
    "margin": "float",
    "state": "str",
    "source": "str",
    "segment_id": "int",
    "area": "int",
}


def show_classes(dataset: "fo.Dataset", vocabulary: Vocabulary) -> None:
    """Let people choose among the vocabulary's classes, in the colours of the label files."""
    import fiftyone as fo

    attributes: list[dict[str, Any]] = [
        {"name": name, "type": kind, "component": "text", "read_only": True}
        for name, kind in _READ_ONLY.items()
    ]
    attributes.append({"name": "id", "type": "id", "component": "text", "read_only": True})
    tags = {"type": "list<str>", "component": "dropdown", "values": [ACCEPTED, REJECTED, PROPOSED]}
    attributes.append({"name": "tags", **tags})
    schema = {
        "type": "detections",
        "component": "dropdown",
        "classes": [category.name for category in vocabulary.categories],
        "attributes": attributes,
    }
    dataset.set_label_schemas({SEGMENTS: schema})
    dataset.activate_label_schemas(SEGMENTS)
    colors = [
        {"value": category.name, "color": "#{:02x}{:02x}{:02x}".format(*category.color)}
        for category in vocabulary.categories
    ]
    field = {"path": SEGMENTS, "colorByAttribute": "label", "valueColors": colors}
    scheme = fo.ColorScheme(color_by="value", opacity=0.5, fields=[field])
    dataset.app_config.color_scheme = scheme
    dataset.save()


def show_queue(dataset: "fo.Dataset", queue: Sequence[QueuedImage]) -> None:
    """Bring the gains of images and segments up to date, and save the queue as views."""
    _rank(dataset, queue)
    _save_views(dataset)  # FiftyOne makes the list of a view of segments when it saves the view


def _rank(dataset: "fo.Dataset", queue: Sequence[QueuedImage]) -> None:
    """Write the gains of images and segments where they are other ones now; edits stay."""
    by_image = {queued.image: queued for queued in queue}
    gains: dict[str, list[float | None]] = {}
    changed: dict[str, list[bool | None]] = {}
    of_images: dict[str, dict[str, float | str]] = {"gain": {}, "unlabelled": {}, "state": {}}
    fields = ["segment_id", "gain", "changed"]
    columns = ["id", "image", *of_images, *(f"{SEGMENTS}.detections.{name}" for name in fields)]
    for id_, image, *facts, segments, had_gains, had_changed in zip(
        *dataset.values(columns), strict=True
    ):
        queued = by_image.get(image)
        if queued is None:
            continue
        now = (queued.gain, queued.unlabelled, queued.state)
        for name, had, value in zip(of_images, facts, now, strict=True):
            if had != value:
                of_images[name][id_] = value
        items = {item.segment.id: item for item in queued.segments}
        here = [items.get(segment) for segment in segments or ()]
        gains_now = [None if item is None else item.gain for item in here]
        changed_now = [None if item is None else item.changed for item in here]
        if gains_now != (had_gains or []):
            gains[id_] = gains_now
        if changed_now != (had_changed or []):
            changed[id_] = changed_now
    for name, values in of_images.items():
        dataset.set_values(name, values, key_field="id")
    dataset.set_values(f"{SEGMENTS}.detections.gain", gains, key_field="id")
    dataset.set_values(f"{SEGMENTS}.detections.changed", changed, key_field="id")


def _save_views(dataset: "fo.Dataset") -> None:
    """Save the review queue as views; views with other names belong to people.

    Where the sort values are equal, name and segment decide, so that the order is always the same.
    """
    from fiftyone import ViewField as F

    by_name = [("filepath", 1), (f"{SEGMENTS}.segment_id", 1)]
    open_images = dataset.match(F("state") != "reviewed")
    proposed = dataset.filter_labels(SEGMENTS, F("state") == "proposed")
    patches = proposed.to_patches(SEGMENTS)
    changed = F("changed") == True  # noqa: E712 - an expression
    settled = F("state").is_in(["accepted", "edited"]) | F("tags").contains(ACCEPTED)
    views = {
        MOST_DOUBTFUL: open_images.sort_by([("gain", -1), ("image", 1)]),
        DOUBTFUL_SEGMENTS: patches.sort_by([(f"{SEGMENTS}.gain", -1), *by_name]),
        UNLABELLED: open_images.sort_by([("unlabelled", -1), ("image", 1)]),
        PER_CLASS: patches.sort_by(
            [(f"{SEGMENTS}.label", 1), (f"{SEGMENTS}.confidence", 1), *by_name]
        ),
        CHANGED: dataset.filter_labels(SEGMENTS, changed).sort_by([("gain", -1), ("image", 1)]),
        ACCEPTED_VIEW: dataset.filter_labels(SEGMENTS, settled).sort_by("image"),
    }
    for name, view in views.items():
        dataset.save_view(name, view, overwrite=True)
