"""Finds what is doubtful in a vocabulary, and says for each finding what to write instead."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from frozenseg_label.vocabulary import Category, Vocabulary, same_name, seen_categories
from frozenseg_label.words.near_names import near_pairs
from frozenseg_label.words.run_evidence import RunEvidence, read_evidence

if TYPE_CHECKING:
    from frozenseg_label.checkpoints.header import CheckpointInfo

FindingKind = Literal[
    "shared name", "unknown word", "likely stuff", "near names", "no stuff", "always loses"
]

MOST_WORDS = 6  # background words that are suggested
MUCH_UNLABELLED = 0.5  # of a run's area; a few classes that are likely stuff do not explain more


@dataclass(frozen=True)
class Finding:
    """Something doubtful.

    Attributes:
        kind: of the finding.
        classes: that it is about; none where it is about the whole vocabulary.
        message: what is doubtful, in one sentence.
        suggestion: lines to put into the vocabulary's file, or a command.
    """

    kind: FindingKind
    classes: tuple[str, ...]
    message: str
    suggestion: str


@dataclass(frozen=True)
class VocabularyCheck:
    """What a check found.

    Attributes:
        vocabulary: that was checked.
        shared_names: names of several classes, with the names of those classes.
        unknown_words: words that the text encoder does not know, by class.
        likely_stuff: things that are stuff in most published lists.
        unseen: classes of which the weights saw no mask in training.
        findings: all that is doubtful, these included; unseen classes are no doubt.
        evidence: of the run that was given; None without one.
    """

    vocabulary: Vocabulary
    shared_names: dict[str, list[str]]
    unknown_words: dict[str, tuple[str, ...]]
    likely_stuff: list[str]
    unseen: list[str]
    findings: list[Finding]
    evidence: RunEvidence | None


def check_vocabulary(
    vocabulary: str | Path, weights: str | Path = "nano", run: str | Path | None = None
) -> VocabularyCheck:
    """Return what is doubtful in a vocabulary.

    Args:
        vocabulary: a file or a shipped name.
        weights: a name or a file; its text encoder is asked, and its training.
        run: a run folder in which to see which classes always lose to another one.

    Returns:
        The doubts, by kind.

    Example:
        >>> check = frozenseg_label.check_vocabulary("stickers")  # doctest: +SKIP
    """
    from frozenseg_label.checkpoints.header import read_checkpoint_info
    from frozenseg_label.checkpoints.named_weights import find_weights
    from frozenseg_label.vocabulary_files import likely_stuff, read_vocabulary, shipped_vocabularies

    words = read_vocabulary(vocabulary)
    evidence = None if run is None else read_evidence(Path(run))
    file = find_weights(weights)  # before torch is imported, which takes seconds
    info = read_checkpoint_info(file)
    writes = _Writer.like(vocabulary)
    is_shipped = str(vocabulary) in shipped_vocabularies()
    regions = [] if is_shipped else likely_stuff(words)
    shared = _shared_names(words)
    unknown = _unknown_words(words, file)
    seen = seen_categories(words, info.seen_names)
    findings = [
        *_of_shared(words, shared, writes),
        *_of_unknown(words, unknown, str(weights), writes),
        *_of_stuff(words, regions, info, evidence, writes),
        *_of_near(words, file, shared, unknown, writes),
        *([] if evidence is None else _of_losers(words, evidence, writes)),
    ]
    unseen = [c.name for c, is_seen in zip(words.categories, seen, strict=True) if not is_seen]
    return VocabularyCheck(words, shared, unknown, regions, unseen, findings, evidence)


@dataclass(frozen=True)
class _Writer:
    """Writes classes as the file does that they shall be put into.

    Attributes:
        is_text: a text file, a name a line.
        has_ids: a YAML file in which classes have ids.
    """

    is_text: bool
    has_ids: bool

    @classmethod
    def like(cls, vocabulary: str | Path) -> "_Writer":
        """Return the writer for a vocabulary's file, which was read before."""
        from frozenseg_label.vocabulary_files import shipped_vocabularies

        path = shipped_vocabularies().get(str(vocabulary), Path(vocabulary))
        text = path.read_text(encoding="utf-8-sig")
        return cls(path.suffix.lower() not in (".yaml", ".yml"), bool(re.search(r"\bid\s*:", text)))

    def line(self, category: Category) -> str:
        """Return the line of a class."""
        from frozenseg_label.vocabulary_files import in_yaml, yaml_entry

        if self.is_text:
            return " | ".join(category.names) + ("" if category.is_thing else ": stuff")
        entry = yaml_entry(category)
        if not self.has_ids:
            del entry["id"]
        return f"- {in_yaml(entry)}"


def _shared_names(words: Vocabulary) -> dict[str, list[str]]:
    """Return the names that several classes have, each with those classes' main names."""
    owners: dict[str, list[str]] = {}
    for category in words.categories:
        for name in category.names:
            owners.setdefault(same_name(name), []).append(category.name)
    return {name: some for name, some in owners.items() if len(some) > 1}


def _unknown_words(words: Vocabulary, weights: Path) -> dict[str, tuple[str, ...]]:
    """Return the words that the text encoder does not know, by class; "background" has its own."""
    from frozenseg_label.checkpoints.known_words import stored_tokens, unknown_words

    stored = stored_tokens(weights)
    asked = {c.name: (*c.names, *c.not_names) for c in words.categories}
    if words.background:
        asked["background"] = (*asked.get("background", ()), *words.background)
    return {name: found for name, some in asked.items() if (found := unknown_words(some, stored))}


def _of_shared(
    words: Vocabulary, shared: Mapping[str, Sequence[str]], writes: _Writer
) -> Iterator[Finding]:
    for name, owners in shared.items():
        categories = [c for c in words.categories if c.name in owners]
        # The class whose own name it is keeps it, else the first.
        loser = [c for c in categories if same_name(c.name) != name][-1]
        others = tuple(other for other in loser.synonyms if same_name(other) != name)
        yield Finding(
            "shared name",
            tuple(owners),
            f"{name!r} names {len(owners)} classes ({', '.join(owners)}): the first is used",
            writes.line(replace(loser, synonyms=others)),
        )


def _of_unknown(
    words: Vocabulary, unknown: Mapping[str, Sequence[str]], weights: str, writes: _Writer
) -> Iterator[Finding]:
    by_name = {category.name: category for category in words.categories}
    for name, found in unknown.items():
        category = by_name.get(name)
        clear = category and _without(category, frozenset(found))
        yield Finding(
            "unknown word",
            (name,),
            f"{name}: {weights} does not know {', '.join(map(repr, found))}",
            # Labels carry the main name, so another one is the person's choice.
            writes.line(clear)
            if clear is not None
            else "frozenseg-label vocab show stickers  # has the words that nano knows",
        )


def _without(category: Category, words: frozenset[str]) -> Category | None:
    """Return a class without the names that have one of the words; None if its own name has."""
    if words.intersection(category.name.split()):
        return None
    return replace(
        category,
        synonyms=tuple(n for n in category.synonyms if not words.intersection(n.split())),
        not_names=tuple(n for n in category.not_names if not words.intersection(n.split())),
    )


def _of_stuff(
    words: Vocabulary,
    regions: Sequence[str],
    info: "CheckpointInfo",
    evidence: RunEvidence | None,
    writes: _Writer,
) -> Iterator[Finding]:
    """Yield what is to say of regions: things that are stuff, and no stuff at all."""
    from frozenseg_label.vocabulary_files import in_yaml

    if regions:
        yield Finding(
            "likely stuff",
            tuple(regions),
            f"likely stuff, regions that nobody counts: {', '.join(regions)}; write "
            f"`{regions[0]}: stuff` in a text file, or `kind: stuff` in YAML",
            "\n".join(
                writes.line(replace(c, is_thing=False))
                for c in words.categories
                if c.name in regions
            ),
        )
    much_is_left = evidence is not None and evidence.unlabelled_share > MUCH_UNLABELLED
    bare = all(c.is_thing for c in words.categories) and not words.background
    if bare and (much_is_left or not regions):
        share = "" if evidence is None else f" ({evidence.unlabelled_share:.0%} of the run's area)"
        known = {same_name(word) for word in words.all_words()}
        stuff = [c.names[0] for c in info.categories if not c.is_thing]
        new = [word for word in stuff if same_name(word) not in known][:MOST_WORDS]
        yield Finding(
            "no stuff",
            (),
            f"there is no stuff and no background: regions between things stay unlabelled{share}, "
            "or get the name of a thing",
            f"background: {in_yaml(new or ['wall', 'floor', 'sky', 'grass', 'road'])}"
            + ("  # in a YAML file" if writes.is_text else ""),
        )


def _of_near(
    words: Vocabulary,
    weights: Path,
    shared: Mapping[str, Sequence[str]],
    unknown: Mapping[str, Sequence[str]],
    writes: _Writer,
) -> Iterator[Finding]:
    unclear = {word for some in unknown.values() for word in some}
    names = words.all_names()
    clear = [not unclear.intersection(n.split()) and same_name(n) not in shared for n in names]
    for pair in near_pairs(words, weights, clear):
        first, second = pair.first, pair.second
        yield Finding(
            "near names",
            (first.name, second.name),
            f"{pair.first_name!r} ({first.name}) and {pair.second_name!r} ({second.name}) are "
            f"nearly the same to the text encoder (cosine {pair.cosine:.3f}): find other words, or "
            "make one class of both",
            writes.line(_joined(first, second)),
        )


def _of_losers(words: Vocabulary, evidence: RunEvidence, writes: _Writer) -> Iterator[Finding]:
    by_name = {same_name(category.name): category for category in words.categories}
    for lost in evidence.losers():
        loser, rival = by_name.get(same_name(lost.name)), by_name.get(same_name(lost.rival))
        if loser is None or rival is None:
            continue
        yield Finding(
            "always loses",
            (loser.name, rival.name),
            f"{loser.name} never wins: it came second {lost.seconds} times, {lost.to_rival} of "
            f"them to {rival.name}, by {lost.margin:.2f}: give it words that {rival.name} does not "
            "fit, or make one class of both",
            writes.line(_joined(rival, loser)),
        )


def _joined(kept: Category, gone: Category) -> Category:
    """Return the first class with the names of the second."""
    own = {same_name(name) for name in kept.names}
    new = (name for name in gone.names if same_name(name) not in own)
    synonyms = (*kept.synonyms, *new)
    names = {same_name(name) for name in synonyms}
    rivals = tuple(name for name in kept.not_names if same_name(name) not in names)
    return replace(kept, synonyms=synonyms, not_names=rivals)
