"""What people did by our buttons, so that it can be undone: a list of the last actions.

An action holds what was before: classes or tags by id. The list is in FiftyOne's own store, beside
the dataset, and is deleted with it.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from frozenseg_label.errors import ReviewError
from frozenseg_label.review.app.samples import SEGMENTS

if TYPE_CHECKING:
    import fiftyone as fo
    from fiftyone.operators.store import ExecutionStore

STORE = "frozenseg-label-actions"
KEPT = 20  # actions; older ones are forgotten
SAVED = "saved"  # in the dataset's info: when a save ended; show_anew.js looks for it
_DETECTIONS = f"{SEGMENTS}.detections"


@dataclass(frozen=True)
class Action:
    """Something that a person did by one of our buttons.

    Attributes:
        said: what was done, for people.
        at: when, UTC in ISO form; names the action.
        labels: classes of segments before, by FiftyOne's id.
        tags: of segments before, likewise.
        image_tags: of images before, likewise.
    """

    said: str
    at: str = field(default_factory=lambda: datetime.now(UTC).isoformat())
    labels: dict[str, str] = field(default_factory=dict)
    tags: dict[str, list[str]] = field(default_factory=dict)
    image_tags: dict[str, list[str]] = field(default_factory=dict)


def before_labels(dataset: "fo.Dataset", ids: Collection[str], said: str) -> None:
    """Write down the classes of segments before they are changed."""
    _remember(dataset, Action(said, labels=dict(values_of(dataset, ids, "label"))))


def before_tags(dataset: "fo.Dataset", ids: Collection[str], said: str) -> None:
    """Write down the tags of segments before they are changed."""
    tags = {id_: list(tags or ()) for id_, tags in values_of(dataset, ids, "tags")}
    _remember(dataset, Action(said, tags=tags))


def before_image_tags(dataset: "fo.Dataset", ids: Sequence[str], said: str) -> None:
    """Write down the tags of images before they are changed."""
    tags = dict(zip(*dataset.select(list(ids)).values(["id", "tags"]), strict=True))
    _remember(dataset, Action(said, image_tags=tags))


def last_actions(dataset: "fo.Dataset") -> list[Action]:
    """Return the actions since the last save, the newest first."""
    dataset.reload()
    store = _store(dataset)
    saved = dataset.info.get(SAVED, "")
    keys = sorted((key for key in store.list_keys() if key > saved), reverse=True)
    return [Action(**store.get(key)) for key in keys]


def undo_back_to(dataset: "fo.Dataset", at: str) -> int:
    """Undo an action and all later ones; returns how many.

    Raises:
        ReviewError: it was saved since, or undone.
    """
    actions = last_actions(dataset)
    if at not in [action.at for action in actions]:
        raise ReviewError(
            "that action was saved or undone already; an accepted segment can be proposed again by "
            "propose_again"
        )
    undone = [action for action in actions if action.at >= at]
    for action in undone:
        if action.labels:
            dataset.set_label_values(f"{_DETECTIONS}.label", action.labels)
        if action.tags:
            dataset.set_label_values(f"{_DETECTIONS}.tags", action.tags)
        if action.image_tags:
            dataset.set_values("tags", action.image_tags, key_field="id")
        _store(dataset).delete(action.at)
    return len(undone)


def values_of(dataset: "fo.Dataset", ids: Collection[str], name: str) -> Iterator[tuple[str, Any]]:
    """Yield id and value of a field of segments; their masks are not read."""
    view = dataset.select_labels(ids=list(ids), fields=SEGMENTS)
    columns = view.values([f"{_DETECTIONS}.id", f"{_DETECTIONS}.{name}"])
    for of_image in zip(*columns, strict=True):
        yield from zip(*of_image, strict=True)


def _remember(dataset: "fo.Dataset", action: Action) -> None:
    store = _store(dataset)
    store.set(action.at, asdict(action))
    for key in sorted(store.list_keys(), reverse=True)[KEPT:]:
        store.delete(key)


def _store(dataset: "fo.Dataset") -> "ExecutionStore":
    from fiftyone.operators.store import ExecutionStore

    return ExecutionStore.create(STORE, dataset._doc.id)
