"""Buttons for FiftyOne's App. Each works from the keyboard, too: `, the button's name, Enter.

FiftyOne loads this file by its path, in the process of the App's server. An operator asks, acts and
tells; `buttons.py` has what it does to the dataset. A class's docstring says what its `act` means.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fiftyone.operators as foo
from fiftyone import ViewField
from fiftyone.operators import types

from frozenseg_label.errors import FrozenSegLabelError
from frozenseg_label.review.app.actions import last_actions, undo_back_to
from frozenseg_label.review.app.buttons import (
    class_choices,
    counted,
    kinds_of,
    merge_segments,
    relabel_segments,
    split_segments,
    sure_segments,
    tag_images,
    tag_segments,
    take_second,
)
from frozenseg_label.review.app.samples import SEGMENTS
from frozenseg_label.review.corrections.regions import ACCEPTED, PROPOSED, REJECTED

IN_IMAGE, IN_GRID = types.Places.SAMPLES_VIEWER_ACTIONS, types.Places.SAMPLES_GRID_ACTIONS
SHOW_ANEW = "@frozenseg-label/review/show_anew"  # in show_anew.js
BUTTONS = {  # icon and place of operators with a button; people find the others with `
    "accept_segments": ("check", IN_IMAGE),
    "reject_segments": ("block", IN_IMAGE),
    "relabel": ("edit", IN_IMAGE),
    "accept_image": ("done_all", IN_IMAGE),
    "accept_above": ("verified", IN_GRID),
    "save_corrections": ("save", IN_GRID),
}


class ReviewOperator(foo.Operator):
    """An operator on what is selected; it shows a form first, or acts at once.

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
        """Return how FiftyOne lists it."""
        return foo.OperatorConfig(
            name=self.operator,
            label=f"Review: {self.title}",
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
        """Act, tell the person about it, and show the dataset again."""
        before = datetime.now(UTC)
        try:
            message = self.act(ctx)
        except FrozenSegLabelError as error:
            ctx.ops.notify(f"{error}", variant="error")
            return {"message": f"{error}"}
        ctx.ops.notify(message, variant="success")
        ctx.ops.clear_selected_labels()
        ctx.ops.clear_selected_samples()  # or the next operator would act on them again
        changed = ctx.dataset.match(ViewField("last_modified_at") >= before).values("id")
        ctx.trigger(SHOW_ANEW, {"changed": changed, "open": ctx.current_sample})
        return {"message": message}

    def act(self, ctx: foo.ExecutionContext) -> str:
        """Act on the dataset; return a sentence that says what was done."""
        raise NotImplementedError


class AcceptSegments(ReviewOperator):
    """The selected segments are right."""

    operator, title = "accept_segments", "accept selected segments"

    def act(self, ctx: foo.ExecutionContext) -> str:
        count = tag_segments(ctx.dataset, chosen_segments(ctx), ACCEPTED)
        return f"{counted(count, 'segment')} accepted"


class RejectSegments(ReviewOperator):
    """The selected segments are wrong: they become void and do not come back."""

    operator, title = "reject_segments", "reject selected segments"

    def act(self, ctx: foo.ExecutionContext) -> str:
        count = tag_segments(ctx.dataset, chosen_segments(ctx), REJECTED)
        return f"{counted(count, 'segment')} rejected"


class ProposeAgain(ReviewOperator):
    """The selected segments wait for a verdict again, also those accepted before a save."""

    operator, title = "propose_again", "take back the verdict on selected segments"

    def act(self, ctx: foo.ExecutionContext) -> str:
        count = tag_segments(ctx.dataset, chosen_segments(ctx), PROPOSED)
        return f"{counted(count, 'segment')} proposed again"


class Undo(ReviewOperator):
    """The last actions of our buttons, back to one of them, did not happen."""

    operator, title, asks = "undo", "undo the last actions", True

    def resolve_input(self, ctx: foo.ExecutionContext) -> types.Property:
        """Ask how far back; the last action comes first."""
        form = types.Object()
        actions = last_actions(ctx.dataset)
        if actions:
            choices = types.Dropdown()
            for action in actions:
                choices.add_choice(action.at, label=f"{action.at[11:19]} UTC: {action.said}")
            values = choices.values()
            form.enum("back_to", values, default=values[0], label="Undo back to", view=choices)
        else:
            form.view("none", types.Notice(label="Nothing was done by our buttons since the save"))
        return types.Property(form, view=types.View(label=self.title))

    def act(self, ctx: foo.ExecutionContext) -> str:
        count = undo_back_to(ctx.dataset, ctx.params.get("back_to", ""))
        return f"{counted(count, 'action')} undone"


class AcceptImage(ReviewOperator):
    """All labels of the selected images are right; unlabelled pixels count as truth, too."""

    operator, title = "accept_image", "accept whole image"

    def act(self, ctx: foo.ExecutionContext) -> str:
        count = tag_images(ctx.dataset, chosen_images(ctx), ACCEPTED)
        return f"{counted(count, 'image')} accepted"


class RejectImage(ReviewOperator):
    """All that the model proposed in the selected images is wrong."""

    operator, title = "reject_image", "reject all proposals of the image"

    def act(self, ctx: foo.ExecutionContext) -> str:
        count = tag_images(ctx.dataset, chosen_images(ctx), REJECTED)
        return f"{counted(count, 'image')} rejected"


class AcceptAbove(ReviewOperator):
    """All proposed segments of the view that are sure enough are right."""

    operator, title, asks = "accept_above", "accept all segments above a score in this view", True

    def resolve_input(self, ctx: foo.ExecutionContext) -> types.Property:
        """Ask for the score, and say how many segments reach it."""
        form = types.Object()
        form.float("score", label="Score, 0 to 1", default=0.9, min=0, max=1, required=True)
        score = ctx.params.get("score")
        if isinstance(score, int | float):
            count = len(sure_segments(ctx.view, float(score)))
            reach = f"{counted(count, 'proposed segment')} with this score or a higher one"
            form.view("count", types.Notice(label=reach))
        return types.Property(form, view=types.View(label=self.title))

    def act(self, ctx: foo.ExecutionContext) -> str:
        ids = sure_segments(ctx.view, float(ctx.params["score"]))
        return f"{counted(tag_segments(ctx.dataset, ids, ACCEPTED), 'segment')} accepted"


class Relabel(ReviewOperator):
    """The selected segments are of another class."""

    operator, title, asks = "relabel", "change the class of selected segments", True

    def choices(self, ctx: foo.ExecutionContext) -> dict[str, str]:
        """Return what a person may type, and the class that it means."""
        return class_choices(ctx.dataset, lambda is_thing: True)

    def resolve_input(self, ctx: foo.ExecutionContext) -> types.Property:
        """Ask for the class; the form completes names and synonyms."""
        form = types.Object()
        form.enum(
            "label",
            list(self.choices(ctx)),
            label="Class",
            required=True,
            view=types.AutocompleteView(allow_user_input=False),
        )
        return types.Property(form, view=types.View(label=self.title))

    def act(self, ctx: foo.ExecutionContext) -> str:
        given = ctx.params["label"]
        name = self.choices(ctx).get(given, given)
        count = relabel_segments(ctx.dataset, chosen_segments(ctx), name)
        return f"{counted(count, 'segment')} changed to {name}"


class TakeSecond(ReviewOperator):
    """The selected segments are of the class that their model held for the next likely."""

    operator, title = "second_class", "give selected segments their second class"

    def act(self, ctx: foo.ExecutionContext) -> str:
        count = take_second(ctx.dataset, chosen_segments(ctx))
        return f"{counted(count, 'segment')} changed to the second class"


class Convert(Relabel):
    """The selected things are stuff, or the selected stuff is a thing."""

    operator, title = "change_kind", "make selected things stuff, or selected stuff things"

    def choices(self, ctx: foo.ExecutionContext) -> dict[str, str]:
        """Return the classes of the other kind."""
        kinds = kinds_of(ctx.dataset, chosen_segments(ctx))
        return class_choices(ctx.dataset, lambda is_thing: is_thing not in kinds)


class Merge(ReviewOperator):
    """The selected segments are one segment."""

    operator, title = "merge", "merge selected segments"

    def act(self, ctx: foo.ExecutionContext) -> str:
        count = merge_segments(ctx.dataset, chosen_segments(ctx))
        return f"merged into {counted(count, 'segment')}"


class Split(ReviewOperator):
    """Parts of the selected segments that do not touch are separate segments."""

    operator, title = "split", "split disconnected parts of selected segments"

    def act(self, ctx: foo.ExecutionContext) -> str:
        count = split_segments(ctx.dataset, chosen_segments(ctx))
        return f"{counted(count, 'segment')} split off"


class Save(ReviewOperator):
    """Write the corrections into the run folder."""

    operator, title = "save_corrections", "save corrections"

    def act(self, ctx: foo.ExecutionContext) -> str:
        from frozenseg_label.review.app.save_corrections import save_corrections

        report = save_corrections(Path(ctx.dataset.info["run_folder"]))
        problems = [image for image in report.images if image.problem]
        if problems:
            count, first = counted(len(problems), "image"), problems[0]
            raise FrozenSegLabelError(f"{count} not saved; {first.image}: {first.problem}")
        changes = sum(len(image.changes) for image in report.images)
        return f"{counted(changes, 'correction')} of {counted(len(report.images), 'image')} saved"


def chosen_segments(ctx: foo.ExecutionContext) -> list[str]:
    """Return ids of the selected segments: selected in an image, or as patches in the grid."""
    ids = [row["label_id"] for row in ctx.selected_labels or ()]
    if not ids and ctx.selected and ctx.view._is_patches:
        ids = ctx.view.select(ctx.selected).values(f"{SEGMENTS}.id")
    if not ids:
        raise FrozenSegLabelError("select segments first: click them in an image, or tick patches")
    return list(ids)


def chosen_images(ctx: foo.ExecutionContext) -> Sequence[str]:
    """Return ids of the ticked images; if none is ticked, of the one that is open."""
    ids = list(ctx.selected or ())
    if ids and ctx.view._is_patches:
        ids = sorted(set(ctx.view.select(ids).values("sample_id")))
    if not ids and ctx.current_sample:
        ids = [ctx.current_sample]
    if not ids:
        raise FrozenSegLabelError("open an image, or tick images in the grid first")
    return ids


def register(plugin: Any) -> None:  # noqa: ANN401 - FiftyOne gives its type no public name
    """Register all operators; FiftyOne calls this."""
    for operator in (
        AcceptSegments,
        RejectSegments,
        ProposeAgain,
        Undo,
        AcceptImage,
        RejectImage,
        AcceptAbove,
        Relabel,
        TakeSecond,
        Convert,
        Merge,
        Split,
        Save,
    ):
        plugin.register(operator)
