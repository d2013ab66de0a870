"""What people did by our buttons, so that it can be undone: a list of the last actions.

An action holds what was before: classes, tags or notes by id. The list is in FiftyOne's own store,
beside the dataset, and is deleted with it.
"""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from frozenseg_label.errors import ReviewError
from frozenseg_label.review.app.segment_fields import set_values_of, values_of

if TYPE_CHECKING:
    import fiftyone as fo
    from fiftyone.operators.store import ExecutionStore

STORE = "frozenseg-label-actions"
KEPT = 20  # actions; older ones are forgotten
SAVED = "saved"  # in the dataset's info: when a save ended; show_anew.js looks for it


@dataclass(frozen=True)
class Action:
    """Something that a person did by one of our buttons.

    Attributes:
        said: what was done, for people.
        at: when, UTC in ISO form; names the action.
        segments: values of segments before, by field and FiftyOne's id.
        images: of images before, likewise.
    """

    said: str
    at: str = field(default_factory=lambda: datetime.now(UTC).isoformat())
    segments: dict[str, dict[str, Any]] = field(default_factory=dict)
    images: dict[str, dict[str, Any]] = field(default_factory=dict)


def before_segments(
    dataset: "fo.Dataset", ids: Collection[str], fields: Sequence[str], said: str
) -> None:
    """Write down fields of segments before they are changed."""
    before = {name: dict(values_of(dataset, ids, name)) for name in fields}
    _remember(dataset, Action(said, segments=before))


def before_images(dataset: "fo.Dataset", ids: Sequence[str], name: str, said: str) -> None:
    """Write down a field of images before it is changed."""
    before = dict(zip(*dataset.select(list(ids)).values(["id", name]), strict=True))
    _remember(dataset, Action(said, images={name: before}))


def last_actions(dataset: "fo.Dataset") -> list[Action]:
    """Return the actions since the last save, the newest first."""
    dataset.reload()
    store = _store(dataset)
    saved = dataset.info.get(SAVED, "")
    keys = sorted((key for key in store.list_keys() if key > saved), reverse=True)
    return [Action(**store.get(key)) for key in keys]


def undo_back_to(dataset: "fo.Dataset", at: str | None = None) -> int:
    """Undo an action and all later ones; returns how many.

    Args:
        at: names the action; None: the last one.

    Raises:
        ReviewError: it was saved since, or undone.
    """
    actions = last_actions(dataset)
    if at is None:
        if not actions:
            raise ReviewError("nothing was done by our buttons since the save")
        at = actions[0].at
    if at not in [action.at for action in actions]:
        raise ReviewError(
            "that action was saved or undone already; an accepted segment can be proposed again by "
            "propose_again"
        )
    undone = [action for action in actions if action.at >= at]
    for action in undone:
        for name, before in action.segments.items():
            set_values_of(dataset, name, before)
        for name, before in action.images.items():
            dataset.set_values(name, before, key_field="id")
        _store(dataset).delete(action.at)
    return len(undone)


def _remember(dataset: "fo.Dataset", action: Action) -> None:
    store = _store(dataset)
    store.set(action.at, asdict(action))
    for key in sorted(store.list_keys(), reverse=True)[KEPT:]:
        store.delete(key)


def _store(dataset: "fo.Dataset") -> "ExecutionStore":
    from fiftyone.operators.store import ExecutionStore

    return ExecutionStore.create(STORE, dataset._doc.id)
