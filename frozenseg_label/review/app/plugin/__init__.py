"""Buttons for FiftyOne's App. Every operator is reached from the keyboard: `, its name, Enter.

FiftyOne loads this file by its path, in the process of the App's server. What the operators do
stands in `review/app_edits.py`.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import fiftyone.operators as foo
from fiftyone import ViewField
from fiftyone.operators import types

from frozenseg_label.errors import FrozenSegLabelError
from frozenseg_label.review.app.buttons import (
    class_choices,
    kinds_of,
    merge_segments,
    relabel_segments,
    split_segments,
    tag_images,
    tag_segments,
)
from frozenseg_label.review.app.views import SEGMENTS
from frozenseg_label.review.corrections.regions import ACCEPTED, REJECTED

IN_IMAGE, IN_GRID = types.Places.SAMPLES_VIEWER_ACTIONS, types.Places.SAMPLES_GRID_ACTIONS
SHOW_ANEW = "@frozenseg-label/review/show_anew"  # in show_anew.js
BUTTONS = {  # icon and place of those that have a button; all others are found by `
    "accept_segments": ("check", IN_IMAGE),
    "reject_segments": ("block", IN_IMAGE),
    "relabel": ("edit", IN_IMAGE),
    "accept_image": ("done_all", IN_IMAGE),
    "accept_above": ("verified", IN_GRID),
    "save_corrections": ("save", IN_GRID),
}


class ReviewOperator(foo.Operator):
    """An operator on what is selected; it asks for something, or acts at once.

    Attributes:
        operator: its name.
        title: what people see.
        asks: whether a form comes first.
    """

    operator = ""
    title = ""
    asks = False

    @property
    def config(self) -> foo.OperatorConfig:
        """How FiftyOne lists it."""
        return foo.OperatorConfig(
            name=self.operator,
            label=f"Review: {self.title}",
            icon=BUTTONS.get(self.operator, ("auto_fix_high", None))[0],
            dynamic=self.asks,
        )

    def resolve_placement(self, ctx: Any) -> types.Placement | None:  # noqa: ANN401 - FiftyOne's own
        """Buttons for the most frequent ones, beside the grid and beside an open image."""
        if self.operator not in BUTTONS:
            return None
        icon, place = BUTTONS[self.operator]
        button = types.Button(label=f"Review: {self.title}", icon=icon, prompt=self.asks)
        return types.Placement(place, button)

    def execute(self, ctx: Any) -> dict[str, Any]:  # noqa: ANN401
        """Do it, tell of it, and show the dataset anew."""
        before = datetime.now(UTC)
        try:
            message = self.act(ctx)
        except FrozenSegLabelError as error:
            ctx.ops.notify(f"{error}", variant="error")
            return {"message": f"{error}"}
        ctx.ops.notify(message, variant="success")
        ctx.ops.clear_selected_labels()
        ctx.ops.clear_selected_samples()  # or the next operator would be at them again
        changed = ctx.dataset.match(ViewField("last_modified_at") >= before).values("id")
        ctx.trigger(SHOW_ANEW, {"changed": changed, "open": ctx.current_sample})
        ctx.ops.reload_samples()
        return {"message": message}

    def act(self, ctx: Any) -> str:  # noqa: ANN401
        """Do it; returns what was done, in words."""
        raise NotImplementedError


class AcceptSegments(ReviewOperator):
    """The selected segments are right."""

    operator, title = "accept_segments", "accept selected segments"

    def act(self, ctx: Any) -> str:  # noqa: ANN401
        """See the class."""
        count = tag_segments(ctx.dataset, chosen_segments(ctx), ACCEPTED)
        return f"{counted(count, 'segment')} accepted"


class RejectSegments(ReviewOperator):
    """The selected segments are wrong: they become void, and do not come back."""

    operator, title = "reject_segments", "reject selected segments"

    def act(self, ctx: Any) -> str:  # noqa: ANN401
        """See the class."""
        count = tag_segments(ctx.dataset, chosen_segments(ctx), REJECTED)
        return f"{counted(count, 'segment')} rejected"


class AcceptImage(ReviewOperator):
    """All is right in the selected images; their unlabelled pixels are truth, too."""

    operator, title = "accept_image", "accept whole image"

    def act(self, ctx: Any) -> str:  # noqa: ANN401
        """See the class."""
        count = tag_images(ctx.dataset, chosen_images(ctx), ACCEPTED)
        return f"{counted(count, 'image')} accepted"


class RejectImage(ReviewOperator):
    """All that the model proposed in the selected images is wrong."""

    operator, title = "reject_image", "reject all proposals of the image"

    def act(self, ctx: Any) -> str:  # noqa: ANN401
        """See the class."""
        count = tag_images(ctx.dataset, chosen_images(ctx), REJECTED)
        return f"{counted(count, 'image')} rejected"


class AcceptAbove(ReviewOperator):
    """All proposed segments of the view that are sure enough are right."""

    operator, title, asks = "accept_above", "accept all above a score in this view", True

    def resolve_input(self, ctx: Any) -> types.Property:  # noqa: ANN401
        """Ask for the score, and say how many segments reach it."""
        form = types.Object()
        form.float("score", label="Score, 0 to 1", default=0.9, min=0, max=1, required=True)
        score = ctx.params.get("score")
        if isinstance(score, int | float):
            count = len(sure_segments(ctx, float(score)))
            reach = f"{counted(count, 'proposed segment')} of at least that score"
            form.view("count", types.Notice(label=reach))
        return types.Property(form, view=types.View(label=self.title))

    def act(self, ctx: Any) -> str:  # noqa: ANN401
        """See the class."""
        ids = sure_segments(ctx, float(ctx.params["score"]))
        return f"{counted(tag_segments(ctx.dataset, ids, ACCEPTED), 'segment')} accepted"


class Relabel(ReviewOperator):
    """The selected segments are of another class."""

    operator, title, asks = "relabel", "give selected segments another class", True

    def choices(self, ctx: Any) -> dict[str, str]:  # noqa: ANN401
        """What may be typed, and which class is meant."""
        return class_choices(ctx.dataset, lambda is_thing: True)

    def resolve_input(self, ctx: Any) -> types.Property:  # noqa: ANN401
        """Ask for the class: names and synonyms complete themselves."""
        form = types.Object()
        form.enum(
            "label",
            list(self.choices(ctx)),
            label="Class",
            required=True,
            view=types.AutocompleteView(allow_user_input=False),
        )
        return types.Property(form, view=types.View(label=self.title))

    def act(self, ctx: Any) -> str:  # noqa: ANN401
        """See the class."""
        given = ctx.params["label"]
        name = self.choices(ctx).get(given, given)
        count = relabel_segments(ctx.dataset, chosen_segments(ctx), name)
        return f"{counted(count, 'segment')} made {name}"


class Convert(Relabel):
    """The selected things are stuff, or the selected stuff is a thing."""

    operator, title = "change_kind", "make selected things stuff, or stuff things"

    def choices(self, ctx: Any) -> dict[str, str]:  # noqa: ANN401
        """The classes of the other kind."""
        kinds = kinds_of(ctx.dataset, chosen_segments(ctx))
        return class_choices(ctx.dataset, lambda is_thing: is_thing not in kinds)


class Merge(ReviewOperator):
    """The selected segments are one."""

    operator, title = "merge", "merge selected segments"

    def act(self, ctx: Any) -> str:  # noqa: ANN401
        """See the class."""
        count = merge_segments(ctx.dataset, chosen_segments(ctx))
        return f"merged into {counted(count, 'segment')}"


class Split(ReviewOperator):
    """The parts of the selected segments that do not touch are segments of their own."""

    operator, title = "split", "split disconnected parts of selected segments"

    def act(self, ctx: Any) -> str:  # noqa: ANN401
        """See the class."""
        count = split_segments(ctx.dataset, chosen_segments(ctx))
        return f"{counted(count, 'segment')} split off"


class Save(ReviewOperator):
    """What was corrected goes into the run folder."""

    operator, title = "save_corrections", "save corrections"

    def act(self, ctx: Any) -> str:  # noqa: ANN401
        """See the class."""
        from frozenseg_label.review.app.save_corrections import save_review

        report = save_review(ctx.dataset.info["run_folder"])
        problems = [image for image in report.images if image.problem]
        if problems:
            count, first = counted(len(problems), "image"), problems[0]
            raise FrozenSegLabelError(f"{count} not saved; {first.image}: {first.problem}")
        changes = sum(len(image.changes) for image in report.images)
        return f"{counted(changes, 'correction')} of {counted(len(report.images), 'image')} saved"


def chosen_segments(ctx: Any) -> list[str]:  # noqa: ANN401
    """Ids of the selected segments, be they selected in an image or as patches in the grid."""
    ids = [row["label_id"] for row in ctx.selected_labels or ()]
    if not ids and ctx.selected and ctx.view._is_patches:
        ids = ctx.view.select(ctx.selected).values(f"{SEGMENTS}.id")
    if not ids:
        raise FrozenSegLabelError("select segments first: click them in an image, or tick patches")
    return list(ids)


def chosen_images(ctx: Any) -> Sequence[str]:  # noqa: ANN401
    """Ids of the ticked images; else of the one that is open."""
    ids = list(ctx.selected or ())
    if ids and ctx.view._is_patches:
        ids = sorted(set(ctx.view.select(ids).values("sample_id")))
    if not ids and ctx.current_sample:
        ids = [ctx.current_sample]
    if not ids:
        raise FrozenSegLabelError("open an image, or tick images in the grid first")
    return ids


def sure_segments(ctx: Any, score: float) -> list[str]:  # noqa: ANN401
    """Ids of the view's proposed segments of at least this score that nobody has judged yet."""
    view, field = ctx.view, ViewField

    def is_sure(segment: Callable[[str], Any]) -> Any:  # noqa: ANN401
        is_open = ~segment("tags").contains([ACCEPTED, REJECTED])
        return (segment("confidence") >= score) & (segment("state") == "proposed") & is_open

    if view._is_patches:
        patches = view.match(is_sure(lambda name: field(f"{SEGMENTS}.{name}")))
        return list(patches.values(f"{SEGMENTS}.id"))
    labels = view.filter_labels(SEGMENTS, is_sure(field))
    return list(labels.values(f"{SEGMENTS}.detections.id", unwind=True))


def counted(count: int, noun: str) -> str:
    """1 segment, 2 segments."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def register(plugin: Any) -> None:  # noqa: ANN401
    """Called by FiftyOne."""
    for operator in (
        AcceptSegments,
        RejectSegments,
        AcceptImage,
        RejectImage,
        AcceptAbove,
        Relabel,
        Convert,
        Merge,
        Split,
        Save,
    ):
        plugin.register(operator)
