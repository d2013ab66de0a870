"""How far a review is: what the run folder says, and what people did since the last save."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from frozenseg_label.review.app.actions import reviewer
from frozenseg_label.review.app.pace import Pace, pace_today
from frozenseg_label.review.app.segment_documents import SEGMENTS
from frozenseg_label.review.app.views import is_open
from frozenseg_label.review.corrections.regions import ACCEPTED, PROPOSED, REJECTED

if TYPE_CHECKING:
    import fiftyone as fo
    from fiftyone import ViewExpression


@dataclass(frozen=True)
class Progress:
    """What is decided in a dataset, saved or not.

    Attributes:
        images: how many there are.
        reviewed: of them, accepted as a whole.
        segments: how many there are, rejected ones too.
        accepted: of them, as the model proposed them.
        relabelled: of another class now, drawn or painted by a person.
        rejected: by a person; those that were deleted in the Annotate tab count after a save.
        waiting: without a verdict.
        promised: about how many of the waiting ones are wrong: the sum of their gains.
        pace: what this App's person decided today by our buttons.
    """

    images: int
    reviewed: int
    segments: int
    accepted: int
    relabelled: int
    rejected: int
    waiting: int
    promised: float
    pace: Pace

    def text(self) -> str:
        """Return it as Markdown."""
        judged = self.segments - self.waiting
        return (
            f"**{self.reviewed} of {self.images} images** reviewed\n\n"
            f"**{judged} of {self.segments} segments** judged: {self.accepted} accepted, "
            f"{self.relabelled} relabelled or edited, {self.rejected} rejected\n\n"
            f"The queue still promises about **{self.promised:.0f}** segments to mend\n\n"
            f"{self.pace.text(self.waiting)}"
        )


def progress_of(dataset: "fo.Dataset") -> Progress:
    """Count what is decided; the database reads all segments once."""
    from fiftyone import Count, Sum
    from fiftyone import ViewField as F

    all_ = F(f"{SEGMENTS}.detections")
    accepted_image = F("$tags").contains([ACCEPTED])
    refused_image = F("$tags").contains([REJECTED])
    is_changed = (F("state") == "edited") | (F("label") != F("was"))
    is_refused = F("tags").contains([REJECTED]) | (is_open(F) & refused_image)
    is_taken = F("tags").contains([ACCEPTED]) | (F("state") == "accepted")
    is_taken &= ~F("tags").contains([PROPOSED]) | F("tags").contains([ACCEPTED])
    is_taken |= is_open(F) & accepted_image
    waits = is_open(F) & ~accepted_image & ~refused_image

    def number(condition: "ViewExpression") -> Sum:
        return Sum(all_.filter(condition).length())

    gains = all_.filter(waits).map(F("gain")).sum()
    images, reviewed, refused, segments, changed, gone, taken, waiting, promised = (
        dataset.aggregate(
            [
                Count(),
                Sum((F("state") == "reviewed").if_else(1, accepted_image.if_else(1, 0))),
                Sum("refused"),
                Sum(all_.length()),
                number(is_changed & ~is_refused),
                number(is_refused),
                number(is_taken & ~is_changed & ~is_refused),
                number(waits),
                Sum(gains),
            ]
        )
    )
    return Progress(
        images=images,
        reviewed=reviewed,
        segments=segments + (refused or 0),
        accepted=taken,
        relabelled=changed,
        rejected=gone + (refused or 0),
        waiting=waiting,
        promised=promised or 0.0,
        pace=pace_today(dataset, reviewer()),
    )
