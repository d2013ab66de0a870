"""How classes of two sets were brought together, for people and for `--json`."""

import logging
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

log = logging.getLogger(__name__)

How = Literal["map", "name", "case", "published", "synonym", "list", "suffix"]

HOW: Mapping[How, str] = {  # in the order in which the ways are tried
    "map": "by --class-map",
    "name": "by name",
    "case": "by name, but for case and blanks",
    "published": "by place in a published set",
    "synonym": "by a synonym",
    "list": "by a name in a comma list",
    "suffix": "by name, but for -merged, -other, -stuff, hyphens and the order of words",
}
SHOWN = 8  # names in a sentence
_CANDIDATES = 3  # of those that a class may mean


@dataclass(frozen=True)
class ClassMatch:
    """A class there that means a class here, and how that is known."""

    there: str
    here: str
    how: How
    is_thing_there: bool
    is_thing_here: bool


@dataclass(frozen=True)
class ClassReport:
    """How the classes of two sets were brought together, in names.

    Attributes:
        counts: how -> number of classes there.
        matches: those of another name or of another kind.
        merged: name here -> the names there that all mean it.
        other_kind: names there of classes that are things in one set and stuff in the other.
        ignored: names there that the class map leaves out.
        ambiguous: name there -> the names here that it may mean.
        unmatched: name there -> the most similar names here; it means none of them.
        unused: names in the class map that are no class there.
    """

    counts: Mapping[How, int] = field(default_factory=dict)
    matches: tuple[ClassMatch, ...] = ()
    merged: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    other_kind: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    ambiguous: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    unmatched: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    unused: tuple[str, ...] = ()

    def notes(self, there: str, here: str, kinds: str | None = None) -> Iterator[str]:
        """Yield a sentence for each way but the same name, and for what a user may not expect.

        Args:
            there: what people call that set; likewise `here`.
            kinds: the one of both whose kinds count; None: here.
        """
        for how, said in HOW.items():
            if how in self.counts and how != "name":
                pairs = [
                    f"{_quoted(m.there)} = {_quoted(m.here)}" for m in self.matches if m.how == how
                ]
                yield f"{self.counts[how]} classes of {there} are known {said} ({listed(pairs)})"
        if self.merged:
            groups = [f"{listed(names)} = {_quoted(name)}" for name, names in self.merged.items()]
            yield f"several classes of {there} are one class of {here}: {listed(groups, '; ')}"
        if self.other_kind:
            yield (
                f"{len(self.other_kind)} classes are things in {there} and stuff in {here}, or the "
                f"other way round ({listed(self.other_kind)}); the kinds of {kinds or here} count"
            )
        if self.ignored:
            yield (
                f"{len(self.ignored)} classes of {there} are left out, as --class-map says "
                f"({listed(self.ignored)})"
            )
        if self.unused:
            yield f"--class-map: {there} has no class {listed(self.unused)}"

    def details(self) -> Iterator[str]:
        """Yield a sentence for each class that has another name here, or is of another kind."""
        for match in self.matches:
            kind = "" if match.is_thing_there == match.is_thing_here else ", of another kind"
            yield f"class {match.there} is {match.here}: {HOW[match.how]}{kind}"

    def tell(self, there: str, here: str) -> None:
        """Log how the classes were brought together: in short, and with -v one by one.

        Args:
            there: what people call that set; likewise `here`, whose kinds count.
        """
        for note in self.notes(there, here):
            log.info("%s", note)
        for detail in self.details():
            log.debug("%s", detail)

    def doubt(self, name: str) -> str:
        """Return what a class there without a match may mean, to follow its name; or nothing."""
        if name in self.ambiguous:
            return f" (may be {either(self.ambiguous[name])})"
        near = self.unmatched.get(name, ())
        return f" (like {either(near)}?)" if near else ""


def listed(names: Collection[str], separator: str = ", ") -> str:
    """Return the first names, for a sentence."""
    shown = separator.join(list(names)[:SHOWN])
    return shown + (f"{separator}..." if len(names) > SHOWN else "")


def either(names: Collection[str]) -> str:
    """Return the first names as alternatives, for a sentence."""
    return " or ".join(map(repr, list(names)[:_CANDIDATES]))


def _quoted(name: str) -> str:
    """Return a name for a list of names: in quotes where it is a list itself."""
    return repr(name) if "," in name or name != name.strip() else name
