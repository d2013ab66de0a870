"""A panel of the App: how far the review is."""

import fiftyone.operators as foo
from fiftyone.operators import types

from frozenseg_label.review.app.progress import progress_of


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
