"""How the App shows a run: classes to choose from, their colours, and the queue as saved views."""

import re
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any

from frozenseg_label.part import Part, lot_of
from frozenseg_label.review.app.samples import EDITED_TAG, SAVED_TAGS
from frozenseg_label.review.app.segment_documents import SEGMENTS
from frozenseg_label.review.corrections.regions import ACCEPTED, PROPOSED, REJECTED
from frozenseg_label.review.queue.review_queue import QueuedImage, ReviewQueue
from frozenseg_label.vocabulary import Vocabulary

if TYPE_CHECKING:
    import fiftyone as fo
    from fiftyone import ViewExpression
    from fiftyone.core.odm.dataset import SidebarGroupDocument

MOST_DOUBTFUL = "1 most doubtful images"
DOUBTFUL_SEGMENTS = "2 most doubtful segments"
UNLABELLED = "3 unlabelled area"
PER_CLASS = "4 per class, least confident"
CHANGED = "5 changed since last run"
ACCEPTED_VIEW = "6 accepted and edited"

RANKED_AT_ONCE = 200  # images whose segments are in memory

# Decided segments look different: their tags have colours, which go before those of classes.
_TAG_COLORS = {
    ACCEPTED: "#2e9e4f",
    REJECTED: "#d03030",
    EDITED_TAG: "#2f6fd6",
    SAVED_TAGS["accepted"]: "#7fc797",
    SAVED_TAGS["edited"]: "#86abe4",
}

# At the left of the App.
_SHOWN_FACTS = ("state", "gain", "unlabelled", "note", "image")
_SHOWN_TAGS = ("tags", "_label_tags")

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
    note = {"type": "str", "component": "text"}
    attributes.append({"name": "note", **note})
    tags = {"type": "list<str>", "component": "dropdown", "values": [ACCEPTED, REJECTED, PROPOSED]}
    attributes.append({"name": "tags", **tags})
    schema = {
        "type": "detections",
        "component": "dropdown",
        "classes": [category.name for category in vocabulary.categories],
        "attributes": attributes,
    }
    schemas: dict[str, Any] = {SEGMENTS: schema}
    if dataset.has_sample_field("note"):  # an export has none
        schemas["note"] = note
    dataset.set_label_schemas(schemas)
    dataset.activate_label_schemas(list(schemas))
    colors = [
        {"value": category.name, "color": "#{:02x}{:02x}{:02x}".format(*category.color)}
        for category in vocabulary.categories
    ]
    field = {"path": SEGMENTS, "colorByAttribute": "label", "valueColors": colors}
    tag_colors = [{"value": tag, "color": color} for tag, color in _TAG_COLORS.items()]
    dataset.app_config.color_scheme = fo.ColorScheme(
        color_by="value", opacity=0.5, fields=[field], label_tags={"valueColors": tag_colors}
    )
    dataset.app_config.sidebar_groups = _sidebar(dataset)
    dataset.save()


def _sidebar(dataset: "fo.Dataset") -> list["SidebarGroupDocument"]:
    """Return what the App lists at the left: first what a reviewer filters by, facts of files last.

    Fields that ours does not name come last; this group is closed.
    """
    from fiftyone.core.odm.dataset import DatasetAppConfig, SidebarGroupDocument

    groups = DatasetAppConfig.default_sidebar_groups(dataset)
    every = [path for group in groups for path in group.paths]
    of_files = [path for path in every if path.startswith("metadata.")]
    taken = {*_SHOWN_TAGS, *_SHOWN_FACTS, SEGMENTS, *of_files}
    shown = [
        ("review", [path for path in _SHOWN_FACTS if path in every], True),
        ("labels", [SEGMENTS], True),
        ("tags", list(_SHOWN_TAGS), True),
        ("metadata", of_files, False),  # FiftyOne shows an empty group of this name otherwise
        ("other", [path for path in every if path not in taken], False),
    ]
    return [
        SidebarGroupDocument(name=name, paths=paths, expanded=is_open)
        for name, paths, is_open in shown
    ]


def name_of_view(name: str, part: Part | None) -> str:
    """Return the name that one of our views has for a part of the images."""
    return name if part is None else f"{name} part {part.number} of {part.of}"


def is_open(fact: "Callable[[str], ViewExpression]") -> "ViewExpression":
    """Return what is true of a segment that waits for a verdict; it counts without a save.

    Args:
        fact: gives the expression of a segment's attribute.
    """
    is_decided = fact("tags").contains([ACCEPTED, REJECTED])
    is_proposed = (fact("state") == "proposed") | fact("tags").contains(PROPOSED)
    return is_proposed & ~is_decided & (fact("label") == fact("was"))


def is_open_image() -> "ViewExpression":
    """Return what is true of an image that waits for a verdict; it counts without a save."""
    from fiftyone import ViewField

    return (ViewField("state") != "reviewed") & ~ViewField("tags").contains([ACCEPTED, REJECTED])


def is_open_patch() -> "ViewExpression":
    """Return what is true of a patch whose segment waits for a verdict."""
    from fiftyone import ViewField

    return is_open(lambda name: ViewField(f"{SEGMENTS}.{name}"))


def show_queue(dataset: "fo.Dataset", queue: ReviewQueue, part: Part | None = None) -> None:
    """Bring the gains of images and segments up to date, and save the queue as views.

    Args:
        part: of the images, for which there are views of their own; None: those that there are.
    """
    _rank(dataset, queue)
    found = (re.search(r" part (\d+) of (\d+)$", name) for name in dataset.list_saved_views())
    parts = {Part(int(match[1]), int(match[2])) for match in found if match}
    _save_views(dataset, {None, part, *parts})


def _rank(dataset: "fo.Dataset", queue: ReviewQueue) -> None:
    """Write the gains of images and segments where they are other ones now; edits stay."""
    for start in range(0, len(queue), RANKED_AT_ONCE):
        _rank_some(dataset, queue[start : start + RANKED_AT_ONCE])


def _rank_some(dataset: "fo.Dataset", images: Sequence[QueuedImage]) -> None:
    by_image = {queued.image: queued for queued in images}
    # FiftyOne can neither have nor look for a name that is not Unicode.
    names = [name for name in by_image if name.encode(errors="ignore").decode() == name]
    shown = dataset.select_by("image", names)
    gains: dict[str, list[float | None]] = {}
    changed: dict[str, list[bool | None]] = {}
    facts_of_images = ("gain", "unlabelled", "state", "lot", "refused")
    of_images: dict[str, dict[str, float | str]] = {name: {} for name in facts_of_images}
    fields = ["segment_id", "gain", "changed"]
    columns = ["id", "image", *of_images, *(f"{SEGMENTS}.detections.{name}" for name in fields)]
    for id_, image, *facts, segments, had_gains, had_changed in zip(
        *shown.values(columns), strict=True
    ):
        queued = by_image[image]
        refused = len(queued.labels.rejected)
        now = (queued.gain, queued.unlabelled, queued.state, lot_of(image), refused)
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


def _save_views(dataset: "fo.Dataset", parts: AbstractSet[Part | None]) -> None:
    """Save the review queue as views; views with other names belong to people.

    Where the sort values are equal, name and segment decide, so that the order is always the same.
    All views of single segments share one list of them, which FiftyOne makes here.
    """
    from fiftyone import ViewField as F

    by_name = [("filepath", 1), (f"{SEGMENTS}.segment_id", 1)]
    proposed = dataset.filter_labels(SEGMENTS, F("state") == "proposed")
    patches = proposed.to_patches(SEGMENTS, other_fields=["lot"])
    changed = F("changed") == True  # noqa: E712 - an expression
    settled = F("state").is_in(["accepted", "edited"]) | F("tags").contains([ACCEPTED])
    settled |= F("label") != F("was")
    open_images = dataset.match(is_open_image())
    open_patches = patches.match(is_open_patch())
    views = {
        MOST_DOUBTFUL: open_images.sort_by([("gain", -1), ("image", 1)]),
        DOUBTFUL_SEGMENTS: open_patches.sort_by([(f"{SEGMENTS}.gain", -1), *by_name]),
        UNLABELLED: open_images.sort_by([("unlabelled", -1), ("image", 1)]),
        PER_CLASS: open_patches.sort_by(
            [(f"{SEGMENTS}.label", 1), (f"{SEGMENTS}.confidence", 1), *by_name]
        ),
        CHANGED: dataset.filter_labels(SEGMENTS, changed).sort_by([("gain", -1), ("image", 1)]),
        ACCEPTED_VIEW: dataset.filter_labels(SEGMENTS, settled).sort_by("image"),
    }
    for part in parts:
        for name, view in views.items():
            mine = view if part is None else view.match(F("lot") % part.of == part.number - 1)
            dataset.save_view(name_of_view(name, part), mine, overwrite=True)
