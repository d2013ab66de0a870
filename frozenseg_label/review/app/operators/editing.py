"""Operators that change segments: class, note, parts; that take back, and that save."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import fiftyone.operators as foo
from fiftyone.operators import types

from frozenseg_label.errors import FrozenSegLabelError
from frozenseg_label.review.app.actions import last_actions, reviewer, undo_back_to
from frozenseg_label.review.app.buttons import (
    class_choices,
    counted,
    kinds_of,
    merge_segments,
    note_images,
    note_segments,
    relabel_segments,
    second_classes,
    split_segments,
    take_second,
)
from frozenseg_label.review.app.operators.judging import ClassNext
from frozenseg_label.review.app.operators.review_operator import (
    ReviewOperator,
    chosen_images,
    chosen_segments,
    selected_in_image,
)
from frozenseg_label.review.corrections.correct_image import ImageReport


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
        if selected_in_image(ctx) or ctx.view._is_patches:
            count = note_segments(ctx.dataset, chosen_segments(ctx), note)
            return f"{counted(count, 'segment')} noted"
        count = note_images(ctx.dataset, chosen_images(ctx), note)
        return f"{counted(count, 'image')} noted"


class Undo(ReviewOperator):
    """The last actions of our buttons, back to one of them, did not happen."""

    operator, title, asks = "undo", "undo the last steps", True

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
        undone = undo_back_to(ctx.dataset, ctx.params.get("back_to"))
        said = f"{counted(undone.actions, 'action')} undone"
        return said + f"; {undone.kept} of it is another person's now" * bool(undone.kept)


class Relabel(ClassNext):
    """The selected segments are of a class that is asked for; the next one comes."""

    operator, title, asks = "relabel", "change the class of selected segments", True

    def choices(self, ctx: foo.ExecutionContext) -> dict[str, str]:
        """Return what a person may type, and the class that it means; second classes first."""
        choices = class_choices(ctx.dataset, lambda is_thing: True)
        likely: list[str] = []
        with suppress(FrozenSegLabelError):  # nothing is selected: told when it acts
            likely = second_classes(ctx.dataset, chosen_segments(ctx))
        return {name: name for name in likely if name in choices} | choices

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

    def judge(self, ctx: foo.ExecutionContext, ids: list[str]) -> str:
        given = ctx.params["label"]
        name = self.choices(ctx).get(given, given)
        return f"{counted(relabel_segments(ctx.dataset, ids, name), 'segment')} changed to {name}"


class TakeSecond(ReviewOperator):
    """The selected segments are of the class that their model held for the next likely."""

    operator, title = "second_class", "give selected segments their second class"

    def act(self, ctx: foo.ExecutionContext) -> str:
        count = take_second(ctx.dataset, chosen_segments(ctx))
        return f"{counted(count, 'segment')} changed to the second class"


class Convert(Relabel):
    """The selected things are stuff, or the selected stuff is a thing."""

    operator, title = "change_kind", "turn selected things into stuff, or stuff into things"

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
    signs = False

    def act(self, ctx: foo.ExecutionContext) -> str:
        from frozenseg_label.review.app.save_corrections import save_corrections

        report = save_corrections(Path(ctx.dataset.info["run_folder"]), user=reviewer() or None)
        problems = [image for image in report.images if image.problem]
        if problems:
            count, first = counted(len(problems), "image"), problems[0]
            raise FrozenSegLabelError(f"{count} not saved; {first.image}: {first.problem}")
        changes = sum(len(image.changes) for image in report.images)
        said = f"{counted(changes, 'correction')} of {counted(len(report.images), 'image')} saved"
        return "; ".join([said, *_told(report.images)])


def _told(images: Sequence[ImageReport]) -> Iterator[str]:
    """Yield what another person had saved otherwise before; theirs stays."""
    for image in images:
        for clash in image.clashes:
            yield (
                f"{image.image}, segment {clash.segment}: {image.other or 'somebody'} had saved "
                f"{clash.stays} before, yours was {clash.given_up}"
            )
