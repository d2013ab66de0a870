"""What Tab offers in a shell, where an option wants one of some names, or a file."""

from collections.abc import Iterable

import click
from click.shell_completion import CompletionItem


def complete_vocabulary(_: click.Context, __: click.Parameter, begun: str) -> list[CompletionItem]:
    """Return the shipped vocabularies whose names begin so; where there is none, files."""
    from frozenseg_label.vocabulary_files import shipped_vocabularies

    return _offer(shipped_vocabularies(), begun)


def complete_weights(_: click.Context, __: click.Parameter, begun: str) -> list[CompletionItem]:
    """Return the weights whose names begin so; where there are none, files."""
    from frozenseg_label.checkpoints.named_weights import known_names

    return _offer(known_names(), begun)


def complete_recipe(_: click.Context, __: click.Parameter, begun: str) -> list[CompletionItem]:
    """Return the shipped recipes whose names begin so; where there is none, files."""
    from frozenseg_label.training.settings import shipped_recipes

    return _offer(shipped_recipes(), begun)


def _offer(names: Iterable[str], begun: str) -> list[CompletionItem]:
    found = [CompletionItem(name) for name in names if name.startswith(begun)]
    return found or [CompletionItem(begun, type="file")]
