"""Operators that judge: accept, reject, propose again; and go on to the next segment."""

import fiftyone.operators as foo
from fiftyone.operators import types

from frozenseg_label.errors import FrozenSegLabelError
from frozenseg_label.review.app.buttons import (
    counted,
    next_segment,
    next_shown,
    sure_segments,
    tag_images,
    tag_segments,
    take_second,
)
from frozenseg_label.review.app.operators.review_operator import (
    ReviewOperator,
    Shown,
    chosen_images,
    chosen_segments,
    open_id,
    select_next,
    selected_in_image,
)
from frozenseg_label.review.corrections.regions import ACCEPTED, PROPOSED, REJECTED


class Judge(ReviewOperator):
    """The selected segments, or else the open or ticked images, have this verdict; what is next?

    With segments of an open image, the next one is the most doubtful one of that image that waits
    for a verdict; after the last one, the image itself waits for one. Otherwise, what comes next in
    the view is opened.
    """

    verdict = ACCEPTED

    def act(self, ctx: foo.ExecutionContext) -> str:
        current = open_id(ctx)
        self.following = next_shown(ctx.view, current) if current else None
        self.was_segment = bool(selected_in_image(ctx)) and not ctx.view._is_patches
        if ctx.view._is_patches or self.was_segment:
            return self.judge(ctx, chosen_segments(ctx))
        return self.judge_images(ctx)

    def judge(self, ctx: foo.ExecutionContext, ids: list[str]) -> str:
        """Give segments the verdict; return a sentence that says what was done."""
        return f"{counted(tag_segments(ctx.dataset, ids, self.verdict), 'segment')} {self.verdict}"

    def judge_images(self, ctx: foo.ExecutionContext) -> str:
        """Give images the verdict; return such a sentence."""
        count = tag_images(ctx.dataset, chosen_images(ctx), self.verdict)
        return f"{counted(count, 'image')} {self.verdict}"

    def go_on(self, ctx: foo.ExecutionContext) -> Shown:
        if not open_id(ctx):
            return {}
        if self.was_segment:
            return select_next(ctx)
        if self.following:
            ctx.ops.open_sample(id=self.following)
        else:
            ctx.ops.close_sample()
            ctx.ops.notify("Nothing in this view waits for a verdict any more", variant="info")
        return {"open": self.following}


class AcceptNext(Judge):
    """What is selected or open is right; the next one comes."""

    operator, title = "accept_next", "accept and go on (key a)"


class RejectNext(Judge):
    """What is selected or open is wrong; the next one comes."""

    operator, title, verdict = "reject_next", "reject and go on (key d)", REJECTED


class ClassNext(Judge):
    """The selected segments have another class; the next one comes."""

    def judge_images(self, ctx: foo.ExecutionContext) -> str:
        raise FrozenSegLabelError("select a segment first: click it, or press n")


class SecondNext(ClassNext):
    """The selected segments have their second class; the next one comes."""

    operator, title = "second_next", "2nd class and go on (key 2)"

    def judge(self, ctx: foo.ExecutionContext, ids: list[str]) -> str:
        count = take_second(ctx.dataset, ids)
        return f"{counted(count, 'segment')} changed to the second class"


class NextSegment(ReviewOperator):
    """The most doubtful segment of the open image is selected; in the grid, an image is opened."""

    operator, title = "next_segment", "next: select the most doubtful segment (key n)"

    def act(self, ctx: foo.ExecutionContext) -> str:
        here = open_id(ctx)
        if not here:
            self.first = next_shown(ctx.view, None)
            if self.first is None:
                raise FrozenSegLabelError("nothing in this view waits for a verdict")
            return "the first one that waits for a verdict is open"
        if ctx.view._is_patches:
            raise FrozenSegLabelError("a patch is one segment: judge it")
        if next_segment(ctx.dataset, here) is None:
            raise FrozenSegLabelError("no segment of this image waits for a verdict")
        return "the most doubtful segment is selected"

    def go_on(self, ctx: foo.ExecutionContext) -> Shown:
        if open_id(ctx):
            return select_next(ctx)
        ctx.ops.open_sample(id=self.first)
        return {"open": self.first}


class TagSegments(ReviewOperator):
    """The selected segments have this verdict."""

    verdict = ACCEPTED

    def act(self, ctx: foo.ExecutionContext) -> str:
        count = tag_segments(ctx.dataset, chosen_segments(ctx), self.verdict)
        return f"{counted(count, 'segment')} {self.said}"

    @property
    def said(self) -> str:
        """Return what happened to them."""
        return self.verdict


class AcceptSegments(TagSegments):
    """The selected segments are right."""

    operator, title = "accept_segments", "accept selected segments"


class RejectSegments(TagSegments):
    """The selected segments are wrong: they become void and do not come back."""

    operator, title, verdict = "reject_segments", "reject selected segments", REJECTED


class ProposeAgain(TagSegments):
    """The selected segments wait for a verdict again, also those accepted before a save."""

    operator, title = "propose_again", "withdraw the verdict on selected segments"
    verdict, said = PROPOSED, "proposed again"


class TagImages(ReviewOperator):
    """The selected images have this verdict."""

    verdict = ACCEPTED

    def act(self, ctx: foo.ExecutionContext) -> str:
        count = tag_images(ctx.dataset, chosen_images(ctx), self.verdict)
        return f"{counted(count, 'image')} {self.verdict}"


class AcceptImage(TagImages):
    """All labels of the selected images are right; unlabelled pixels count as truth, too."""

    operator, title = "accept_image", "accept whole image"


class RejectImage(TagImages):
    """All that the model proposed in the selected images is wrong."""

    operator, title, verdict = "reject_image", "reject whole image", REJECTED


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
