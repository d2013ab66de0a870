"""Buttons for FiftyOne's App. Each works from the keyboard, too: `, the button's name, Enter.

FiftyOne loads this file by its path, in the process of the App's server. An operator asks, acts and
tells; `buttons.py` has what it does to the dataset. A class's docstring says what its `act` means.
"""

import os
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
    next_segment,
    next_shown,
    note_images,
    note_segments,
    relabel_segments,
    split_segments,
    sure_segments,
    tag_images,
    tag_segments,
    take_second,
)
from frozenseg_label.review.app.progress import progress_of
from frozenseg_label.review.app.samples import SEGMENTS
from frozenseg_label.review.app.server import REVIEWER
from frozenseg_label.review.corrections.regions import ACCEPTED, PROPOSED, REJECTED

IN_IMAGE, IN_GRID = types.Places.SAMPLES_VIEWER_ACTIONS, types.Places.SAMPLES_GRID_ACTIONS
SHOW_ANEW = "@frozenseg-label/review/show_anew"  # in show_anew.js
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
    """

    operator = ""
    title = ""
    asks = False

    @property
    def config(self) -> foo.OperatorConfig:
        """Return how FiftyOne lists it."""
        return foo.OperatorConfig(
            name=self.operator,
            # The browser of operators sorts by the first character: a space, which no page shows,
            # puts ours before FiftyOne's own. What was used last is always on top.
            label=f" {self.title}",
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
        user = os.environ.get(REVIEWER)
        if user and self.operator != Save.operator:
            ctx.dataset.set_values("reviewer", dict.fromkeys(changed, user), key_field="id")
        ctx.trigger(SHOW_ANEW, {"changed": changed, "open": ctx.current_sample})
        self.go_on(ctx)
        return {"message": message}

    def go_on(self, ctx: foo.ExecutionContext) -> None:
        """Show what comes after the act; most operators stay where they are."""

    def act(self, ctx: foo.ExecutionContext) -> str:
        """Act on the dataset; return a sentence that says what was done."""
        raise NotImplementedError


class Judge(ReviewOperator):
    """The selected segments, or else the open or ticked images, have this verdict; what is next?

    With segments of an open image, the next one is the most doubtful one of that image that waits
    for a verdict; after the last one, and otherwise, what comes next in the view is opened.
    """

    verdict = ACCEPTED

    def act(self, ctx: foo.ExecutionContext) -> str:
        current = ctx.current_sample
        self.following = next_shown(ctx.view, current) if current else None
        self.was_segment = bool(ctx.selected_labels) and not ctx.view._is_patches
        if ctx.view._is_patches or self.was_segment:
            count = self.judge(ctx, chosen_segments(ctx))
            return f"{counted(count, 'segment')} {self.said}"
        return self.judge_images(ctx)

    @property
    def said(self) -> str:
        """Return what happened to segments."""
        return self.verdict

    def judge(self, ctx: foo.ExecutionContext, ids: list[str]) -> int:
        """Give segments the verdict; return how many there are."""
        return tag_segments(ctx.dataset, ids, self.verdict)

    def judge_images(self, ctx: foo.ExecutionContext) -> str:
        """Give images the verdict."""
        count = tag_images(ctx.dataset, chosen_images(ctx), self.verdict)
        return f"{counted(count, 'image')} {self.verdict}"

    def go_on(self, ctx: foo.ExecutionContext) -> None:
        if not ctx.current_sample:
            return
        if self.was_segment and select_next(ctx):
            return
        if self.following:
            ctx.ops.open_sample(id=self.following)
        else:
            ctx.ops.close_sample()
            ctx.ops.notify("Nothing in this view waits for a verdict any more", variant="info")


class AcceptNext(Judge):
    """What is selected or open is right; the next one comes."""

    operator, title = "accept_next", "accept and go on (key a)"


class RejectNext(Judge):
    """What is selected or open is wrong; the next one comes."""

    operator, title, verdict = "reject_next", "reject and go on (key d)", REJECTED


class SecondNext(Judge):
    """The selected segments have their second class; the next one comes."""

    operator, title = "second_next", "2nd class and go on (key 2)"
    said = "changed to the second class"

    def judge(self, ctx: foo.ExecutionContext, ids: list[str]) -> int:
        return take_second(ctx.dataset, ids)

    def judge_images(self, ctx: foo.ExecutionContext) -> str:
        raise FrozenSegLabelError("select a segment first: click it, or press n")


class NextSegment(ReviewOperator):
    """The most doubtful segment of the open image is selected."""

    operator, title = "next_segment", "select the most doubtful segment (key n)"

    def act(self, ctx: foo.ExecutionContext) -> str:
        if not ctx.current_sample or ctx.view._is_patches:
            raise FrozenSegLabelError("open an image first")
        if next_segment(ctx.dataset, ctx.current_sample) is None:
            raise FrozenSegLabelError("no segment of this image waits for a verdict")
        return "the most doubtful segment is selected"

    def go_on(self, ctx: foo.ExecutionContext) -> None:
        select_next(ctx)


class Note(ReviewOperator):
    """A text is written on the selected segments, or else on the open or ticked images."""

    operator, title, asks = "note", "note on segments or the image (key m)", True

    def resolve_input(self, ctx: foo.ExecutionContext) -> types.Property:
        """Ask for the text; an empty one takes the note away."""
        form = types.Object()
        form.str("note", label="Note", default="", view=types.TextFieldView(autoFocus=True))
        return types.Property(form, view=types.View(label=self.title))

    def act(self, ctx: foo.ExecutionContext) -> str:
        note = (ctx.params.get("note") or "").strip()
        if ctx.selected_labels or ctx.view._is_patches:
            count = note_segments(ctx.dataset, chosen_segments(ctx), note)
            return f"{counted(count, 'segment')} noted"
        count = note_images(ctx.dataset, chosen_images(ctx), note)
        return f"{counted(count, 'image')} noted"


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
        count = undo_back_to(ctx.dataset, ctx.params.get("back_to"))
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

        report = save_corrections(
            Path(ctx.dataset.info["run_folder"]), user=os.environ.get(REVIEWER) or None
        )
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
    if not ids and ctx.current_sample and ctx.view._is_patches:
        ids = [ctx.current_sample]  # a patch has the id of its segment
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


def select_next(ctx: foo.ExecutionContext) -> bool:
    """Select the most doubtful segment of the open image that waits; False: there is none."""
    image = ctx.current_sample
    id_ = next_segment(ctx.dataset, image)
    if id_ is not None:
        ctx.ops.set_selected_labels([{"label_id": id_, "sample_id": image, "field": SEGMENTS}])
    return id_ is not None


class ProgressPanel(foo.Panel):
    """How far the review is, with what is not saved yet."""

    @property
    def config(self) -> foo.PanelConfig:
        """Return how FiftyOne lists it."""
        return foo.PanelConfig(
            name="review_progress",
            label="Review: progress",
            icon="checklist",
            surfaces="grid modal",
        )

    def on_load(self, ctx: foo.ExecutionContext) -> None:
        """Count."""
        ctx.panel.set_state("text", progress_of(ctx.dataset).text())

    # Our operators clear the selection, and this tells the panel to count again.
    on_change_selected_labels = on_change_view = on_change_current_sample = on_load
    on_change_dataset = on_change_selected = count_again = on_load

    def render(self, ctx: foo.ExecutionContext) -> types.Property:
        """Return what the panel shows."""
        shown = types.Object()
        shown.md(ctx.panel.get_state("text") or "", name="text")
        shown.btn("again", label="Count again", on_click=self.count_again)
        return types.Property(shown, view=types.GridView(orientation="vertical"))


def register(plugin: Any) -> None:  # noqa: ANN401 - FiftyOne gives its type no public name
    """Register all operators; FiftyOne calls this."""
    for operator in (  # in the order of the operator browser
        AcceptNext,
        RejectNext,
        SecondNext,
        NextSegment,
        Note,
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
    plugin.register(ProgressPanel)
