"""What all operators have in common: a form or none, an act, a sentence; and what is selected.

A class's docstring says what its `act` means.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import fiftyone.operators as foo
from fiftyone import ViewField
from fiftyone.operators import types

from frozenseg_label.errors import FrozenSegLabelError
from frozenseg_label.review.app.actions import others_before, reviewer
from frozenseg_label.review.app.buttons import next_segment
from frozenseg_label.review.app.segment_documents import SEGMENTS

IN_IMAGE, IN_GRID = types.Places.SAMPLES_VIEWER_ACTIONS, types.Places.SAMPLES_GRID_ACTIONS
SHOW_ANEW = "@frozenseg-label/review/show_anew"  # in show_anew.js
READY = "@frozenseg-label/review/ready"  # in keys.js; the next key may act
Shown = dict[str, str | None]  # ids: `segment`, the selected one; `open`, the image or patch
# As the list of operators shows them: the first two letters of a title find it before all others
# that have these letters somewhere, so that nobody rejects an image by the beginning of "save".
LISTED = (
    "undo",
    "merge",
    "next_segment",
    "accept_next",
    "reject_next",
    "second_next",
    "note",
    "accept_segments",
    "reject_segments",
    "propose_again",
    "second_class",
    "split",
    "accept_image",
    "reject_image",
    "relabel",
    "accept_above",
    "change_kind",
    "save_corrections",
)
BUTTONS = {  # icon and place of operators with a button; people find the others with `
    "accept_next": ("check", IN_IMAGE),
    "reject_next": ("block", IN_IMAGE),
    "relabel": ("edit", IN_IMAGE),
    "note": ("sticky_note_2", IN_IMAGE),
    "accept_above": ("verified", IN_GRID),
    "save_corrections": ("save", IN_GRID),
}


class ReviewOperator(foo.Operator):
    """An operator on what is selected; it shows a form first, or acts at once.

    Attributes:
        operator: its name.
        title: what people see.
        asks: whether a form comes first.
        signs: whether the images that it changes get the reviewer's name.
    """

    operator = ""
    title = ""
    asks = False
    signs = True

    @property
    def config(self) -> foo.OperatorConfig:
        """Return how FiftyOne lists it."""
        return foo.OperatorConfig(
            name=self.operator,
            # The list sorts by characters: spaces, which no page shows, put ours before FiftyOne's
            # own, and in our order. What was used last is always on top.
            label=" " * (len(LISTED) - LISTED.index(self.operator)) + self.title,
            icon=BUTTONS.get(self.operator, ("auto_fix_high", None))[0],
            dynamic=self.asks,
        )

    def resolve_placement(self, ctx: foo.ExecutionContext) -> types.Placement | None:
        """Return the button beside the grid or an open image; None where it has none."""
        if self.operator not in BUTTONS:
            return None
        icon, place = BUTTONS[self.operator]
        button = types.Button(label=f"Review: {self.title}", icon=icon, prompt=self.asks)
        return types.Placement(place, button)

    def execute(self, ctx: foo.ExecutionContext) -> dict[str, Any]:
        """Act, tell the person about it, show the dataset again, and let the next key act."""
        said, shown = self._act_and_tell(ctx)
        ctx.trigger(READY, shown)
        return {"message": said}

    def _act_and_tell(self, ctx: foo.ExecutionContext) -> tuple[str, Shown]:
        """Return what was said, and what the page shows then."""
        before = datetime.now(UTC)
        try:
            message = self.act(ctx)
        except FrozenSegLabelError as error:
            ctx.ops.notify(f"{error}", variant="error")
            return f"{error}", {}
        user = reviewer() if self.signs else ""
        others = others_before(ctx.dataset, before.isoformat()) if user else ""
        message = f"{message} ({others})" if others else message
        ctx.ops.notify(message, variant="warning" if others else "success")
        ctx.ops.clear_selected_labels()
        ctx.ops.clear_selected_samples()  # or the next operator would act on them again
        changed = ctx.dataset.match(ViewField("last_modified_at") >= before).values("id")
        if user:
            ctx.dataset.set_values("reviewer", dict.fromkeys(changed, user), key_field="id")
        if changed:
            ctx.trigger(SHOW_ANEW, {"changed": changed, "open": open_id(ctx)})
        return message, self.go_on(ctx)

    def go_on(self, ctx: foo.ExecutionContext) -> Shown:
        """Show what comes after the act, and return what that is; most operators stay there."""
        return {"open": open_id(ctx)}

    def act(self, ctx: foo.ExecutionContext) -> str:
        """Act on the dataset; return a sentence that says what was done."""
        raise NotImplementedError


def open_id(ctx: foo.ExecutionContext) -> str | None:
    """Return the id of the image or patch that is open; None: the grid is."""
    here: str | None = ctx.params.get("open") or ctx.current_sample
    return here


def selected_in_image(ctx: foo.ExecutionContext) -> list[str]:
    """Return ids of the segments that are selected in the open image.

    A key of ours names what it is about, for the App's own answer may be late (keys.js).
    """
    if ctx.params.get("open"):
        return [ctx.params["segment"]] if ctx.params.get("segment") else []
    return [row["label_id"] for row in ctx.selected_labels or ()]


def chosen_segments(ctx: foo.ExecutionContext) -> list[str]:
    """Return ids of the selected segments: selected in an image, or as patches in the grid."""
    ids = selected_in_image(ctx)
    if not ids and ctx.selected and ctx.view._is_patches:
        ids = ctx.view.select(ctx.selected).values(f"{SEGMENTS}.id")
    if not ids and (here := open_id(ctx)) and ctx.view._is_patches:
        ids = [here]  # a patch has the id of its segment
    if not ids:
        raise FrozenSegLabelError("select segments first: click them in an image, or tick patches")
    return list(ids)


def chosen_images(ctx: foo.ExecutionContext) -> Sequence[str]:
    """Return ids of the ticked images; if none is ticked, of the one that is open."""
    ids = list(ctx.selected or ())
    if ids and ctx.view._is_patches:
        ids = sorted(set(ctx.view.select(ids).values("sample_id")))
    if not ids and (here := open_id(ctx)):
        ids = [here]
    if not ids:
        raise FrozenSegLabelError("open an image, or tick images in the grid first")
    return ids


def select_next(ctx: foo.ExecutionContext) -> Shown:
    """Select the most doubtful segment of the open image that waits; return what the page shows."""
    image = open_id(ctx)
    id_ = next_segment(ctx.dataset, image) if image else None
    if id_ is not None:
        ctx.ops.set_selected_labels([{"label_id": id_, "sample_id": image, "field": SEGMENTS}])
    elif image:
        ctx.ops.notify("All segments here are judged; key a accepts the image", variant="info")
    return {"segment": id_, "open": image}
