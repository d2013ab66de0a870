"""What people did by our buttons, so that it can be undone: a list of the last actions.

An action holds what was before: classes, tags or notes by id. The list is in FiftyOne's own store,
beside the dataset, and is deleted with it. Where several people work, each undoes what is theirs.
"""

import os
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from frozenseg_label.errors import ReviewError
from frozenseg_label.review.app.pace import forget_decided, note_decided, store_beside
from frozenseg_label.review.app.samples import EDITED_TAG, SAVED_TAGS
from frozenseg_label.review.app.segment_fields import set_values_of, values_of
from frozenseg_label.review.app.server import REVIEWER
from frozenseg_label.review.app.views import is_open, is_open_image
from frozenseg_label.review.corrections.regions import ACCEPTED, PROPOSED, REJECTED

if TYPE_CHECKING:
    import fiftyone as fo
    from fiftyone.operators.store import ExecutionStore

STORE = "frozenseg-label-actions"
KEPT = 20  # actions of each person; older ones are forgotten
SAVED = "saved"  # in the dataset's info: when a save ended; show_anew.js looks for it
DECIDED_TAGS = {ACCEPTED, REJECTED, EDITED_TAG, *SAVED_TAGS.values()}  # of segments


@dataclass(frozen=True)
class Action:
    """Something that a person did by one of our buttons.

    Attributes:
        said: what was done, for people.
        at: when, UTC in ISO form; names the action.
        user: who did it; empty: nobody said.
        segments: values of segments before, by field and FiftyOne's id.
        images: of images before, likewise.
    """

    said: str
    at: str = field(default_factory=lambda: datetime.now(UTC).isoformat())
    user: str = field(default_factory=lambda: reviewer())
    segments: dict[str, dict[str, Any]] = field(default_factory=dict)
    images: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Return its key in the store; keys are in the order of time."""
        return f"{self.at} {self.user}".strip()

    def touched(self) -> set[str]:
        """Return ids of the segments and images that it changed."""
        return {
            id_ for before in (self.segments, self.images) for of in before.values() for id_ in of
        }


@dataclass(frozen=True)
class Undone:
    """What an undo did.

    Attributes:
        actions: how many were undone.
        kept: segments and images that stay as they are, because another person changed them later.
    """

    actions: int
    kept: int


def reviewer() -> str:
    """Return the name of the person for whom this App was started; empty: nobody said."""
    return os.environ.get(REVIEWER, "")


def before_segments(
    dataset: "fo.Dataset",
    ids: Collection[str],
    fields: Sequence[str],
    said: str,
    *,
    verdict: str | None = None,
) -> None:
    """Write down fields of segments before they are changed.

    Args:
        fields: with `tags`, where there is a verdict.
        verdict: the tag that they get; None: the change decides nothing.
    """
    before = {name: dict(values_of(dataset, ids, name)) for name in fields}
    decided = 0
    if verdict is not None:
        already = sum(bool(DECIDED_TAGS & {*(tags or ())}) for tags in before["tags"].values())
        decided = -already if verdict == PROPOSED else len(before["tags"]) - already
    _remember(dataset, Action(said, segments=before), decided)


def before_images(
    dataset: "fo.Dataset", ids: Sequence[str], name: str, said: str, *, decides: bool = False
) -> None:
    """Write down a field of images before it is changed.

    Args:
        decides: whether the open segments of the images get a verdict by the change.
    """
    view = dataset.select(list(ids))
    before = dict(zip(*view.values(["id", name]), strict=True))
    decided = _waiting(view) if decides else 0
    _remember(dataset, Action(said, images={name: before}), decided)


def last_actions(dataset: "fo.Dataset") -> list[Action]:
    """Return this person's actions since the last save, the newest first."""
    return [action for action in _all_actions(dataset) if action.user == reviewer()]


def others_before(dataset: "fo.Dataset", since: str) -> str:
    """Return who had changed what this person just changed, as a sentence; empty: nobody.

    Args:
        since: UTC in ISO form; what this person did since then is what was just changed.
    """
    actions = _all_actions(dataset)
    mine = {id_ for a in actions if a.user == reviewer() and a.at >= since for id_ in a.touched()}
    by_name: dict[str, set[str]] = {}
    for action in actions:
        if action.user != reviewer() and (shared := action.touched() & mine):
            by_name.setdefault(action.user or "somebody", set()).update(shared)
    return ", ".join(f"{who} had changed {len(ids)} of them" for who, ids in by_name.items())


def undo_back_to(dataset: "fo.Dataset", at: str | None = None) -> Undone:
    """Undo an action of this person and all their later ones.

    Args:
        at: names the action; None: the last one.

    Raises:
        ReviewError: it was saved since, or undone.
    """
    every = _all_actions(dataset)
    actions = [action for action in every if action.user == reviewer()]
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
    kept: set[str] = set()
    for action in undone:
        later = {
            id_ for a in every if a.user != action.user and a.at > action.at for id_ in a.touched()
        }
        kept |= later & action.touched()
        for name, before in action.segments.items():
            mine = {id_: value for id_, value in before.items() if id_ not in later}
            set_values_of(dataset, name, mine)
        for name, before in action.images.items():
            mine = {id_: value for id_, value in before.items() if id_ not in later}
            dataset.set_values(name, mine, key_field="id")
        _store(dataset).delete(action.key)
    forget_decided(dataset, [action.at for action in undone])
    return Undone(len(undone), len(kept))


def _waiting(images: "fo.DatasetView") -> int:
    """Return how many segments of images have no verdict, neither their own nor their image's."""
    from fiftyone import Sum
    from fiftyone import ViewField as F

    number = F("segments.detections").filter(is_open(F)).length()
    return int(images.match(is_open_image()).aggregate(Sum(number)) or 0)


def _all_actions(dataset: "fo.Dataset") -> list[Action]:
    """Return everybody's actions since the last save, the newest first."""
    dataset.reload()
    store = _store(dataset)
    saved = dataset.info.get(SAVED, "")
    keys = sorted((key for key in store.list_keys() if key > saved), reverse=True)
    found = [store.get(key) for key in keys]
    # An earlier version of ours wrote no name; what another person undid meanwhile is None.
    return [Action(**{"user": "", **values}) for values in found if values is not None]


def _remember(dataset: "fo.Dataset", action: Action, decided: int) -> None:
    store = _store(dataset)
    store.set(action.key, asdict(action))
    note_decided(dataset, action.at, decided, action.user)
    mine = [key for key in store.list_keys() if key.partition(" ")[2] == action.user]
    for key in sorted(mine, reverse=True)[KEPT:]:
        store.delete(key)


def _store(dataset: "fo.Dataset") -> "ExecutionStore":
    return store_beside(dataset, STORE)
