"""The data of one training: the labelled images of all label sets, checked, split and weighted."""

import hashlib
import logging
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from frozenseg_label.errors import FormatError, RunError, TrainingError
from frozenseg_label.label_sets.class_map import ClassMap
from frozenseg_label.label_sets.class_report import ClassReport, listed
from frozenseg_label.label_sets.match_classes import match_classes
from frozenseg_label.training.data.labelled_images import (
    LabelledImage,
    check_images,
    read_labelled_images,
)
from frozenseg_label.training.data.sample_sources import LabelledPictures
from frozenseg_label.training.data.targets import Truth
from frozenseg_label.training.data.words import class_weights, join_vocabularies
from frozenseg_label.training.settings import TrainSettings
from frozenseg_label.vocabulary import Vocabulary, same_name

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingData:
    """The labelled images of one training, and the words of their labels.

    Attributes:
        train: images to train on.
        held_out: images that are never trained on.
        vocabulary: the words that labels may use.
        classes: of each label set, how its classes were found in the vocabulary.
    """

    train: tuple[LabelledImage, ...]
    held_out: tuple[LabelledImage, ...]
    vocabulary: Vocabulary
    classes: Mapping[str, ClassReport] = field(default_factory=dict)

    def words(self, settings: TrainSettings) -> Vocabulary:
        """Return the training vocabulary; labels are indices into it."""
        if settings.negatives == "all":
            return self.vocabulary
        said = {same_name(name) for image in self.train for name in image.class_names()}
        return Vocabulary(
            self.vocabulary.name,
            tuple(c for c in self.vocabulary.categories if same_name(c.name) in said),
        )

    def named_classes(self) -> Counter[str]:
        """Count the targets of each class in the training images, by its name in the vocabulary."""
        names = Counter(
            same_name(segment.name)
            for image in self.train
            for segment in image.segments
            if segment.is_truth
        )
        return Counter(
            {
                c.name: names[same_name(c.name)]
                for c in self.vocabulary.categories
                if same_name(c.name) in names
            }
        )

    def named_words(self) -> list[str]:
        """Return the names of the classes with targets in the training images, and synonyms."""
        classes = self.named_classes()
        return [
            name
            for category in self.vocabulary.categories
            if category.name in classes
            for name in category.names
        ]

    def pictures(
        self, images: Sequence[LabelledImage], settings: TrainSettings
    ) -> LabelledPictures:
        """Return images with what they teach; targets are weighted as the settings say."""
        of_class = class_weights(self.named_classes(), settings)
        categories = enumerate(self.words(settings).categories)
        labels = {same_name(category.name): index for index, category in categories}
        truths: list[Truth] = []
        for image in images:
            weights = {
                s.id: of_class.get(same_name(s.name), 1.0)
                * (settings.edited_weight if s.state == "edited" else 1.0)
                for s in image.segments
                if s.is_truth
            }
            unequal = any(weight != 1.0 for weight in weights.values())
            truths.append(image.truth(labels, weights if unequal else {}))
        return LabelledPictures(images, truths)

    def fingerprint(self) -> str:
        """Return the SHA-256 (hex) of the words and of all images and labels, held out or not."""
        sides = [[image.fingerprint() for image in side] for side in (self.train, self.held_out)]
        return hashlib.sha256(f"{self.vocabulary.fingerprint} {sides}".encode()).hexdigest()


def collect(
    labels: Sequence[Path],
    pictures: Path | None,
    vocabulary: Vocabulary | None,
    held_out: float,
    *,
    trust_states: bool = False,
    class_map: ClassMap | None = None,
) -> TrainingData:
    """Read and check all label sets; TrainingError lists what is wrong in any of them.

    Args:
        labels: run folders, and sets of other tools.
        pictures: folder of their pictures; None: the folder that each label set names.
        vocabulary: words that labels may use; None: the words of all label sets.
        held_out: share of the images that is never trained on.
        trust_states: believe the states that sets of other tools say.
        class_map: class of a set -> word of the vocabulary; None: nothing is learnt from it.
    """
    images: list[LabelledImage] = []
    vocabularies, shapes = list[Vocabulary](), list[Vocabulary]()
    problems: list[str] = []
    reports: dict[str, ClassReport] = {}
    for path in labels:
        try:
            some, words, faults = read_labelled_images(path, pictures, trust_states=trust_states)
        except (FormatError, RunError, TrainingError) as error:
            problems.append(f"{error}")
            continue
        problems += faults
        words, matches, renamed = _in_our_words(some, words, vocabulary, class_map or {})
        _tell(matches, f"{path}", {name for image in some for name in image.class_names()})
        images += renamed
        (shapes if any(image.read_map for image in some) else vocabularies).append(words)
        reports[f"{path}"] = matches
    if not vocabularies and not shapes:
        raise TrainingError("\n".join(problems))
    vocabulary = vocabulary or join_vocabularies(vocabularies, shapes)
    if not problems and not any(image.has_targets for image in images):
        names = ", ".join(str(path) for path in labels)
        raise TrainingError(
            f"{names}: no segment that a person accepted or drew; correct some labels first "
            "(`frozenseg-label review` or `import`)"
        )
    checked = check_images(images, vocabulary, problems)
    train, held = split_images(checked, held_out)
    data = TrainingData(tuple(train), tuple(held), vocabulary, reports)
    _say_what_there_is(data)
    return data


def _say_what_there_is(data: TrainingData) -> None:
    """Log the numbers; TrainingError where nothing is left to train on."""
    classes = data.named_classes()
    if not classes:
        raise TrainingError(
            "all corrected images are held out; correct more, or give --set held_out=0"
        )
    log.info(
        "%d images to train on, %d held out; %d classes, %d segments",
        len(data.train),
        len(data.held_out),
        len(classes),
        classes.total(),
    )
    if len(classes) == 1:
        log.warning(
            "there is one class only (%s): the model can learn its shape, but not to tell it from "
            "anything but background",
            next(iter(classes)),
        )


def split_images(
    images: Sequence[LabelledImage], share: float
) -> tuple[list[LabelledImage], list[LabelledImage]]:
    """Split images into those to train on and those held out.

    The side of an image depends only on its own content, so it stays when others come or go. But at
    least one image is held out if the share is not 0, and at least one is trained on in any case.

    Args:
        share: share of the images that are held out, 0..1.
    """
    digests = sorted({image.digest for image in images})
    count = sum(int(digest[:8], 16) < share * 2**32 for digest in digests)
    if share > 0:
        count = max(count, 1)
    held_out = set(digests[: min(count, len(digests) - 1)])
    return (
        [image for image in images if image.digest not in held_out],
        [image for image in images if image.digest in held_out],
    )


def _in_our_words(
    images: Sequence[LabelledImage],
    words: Vocabulary,
    vocabulary: Vocabulary | None,
    class_map: ClassMap,
) -> tuple[Vocabulary, ClassReport, list[LabelledImage]]:
    """Return the words of a set, how they were found, and its images in these words.

    Without a vocabulary, only what the class map says is changed.
    """
    if vocabulary is None and class_map:
        names = {same_name(name): meant for name, meant in class_map.items()}
        meant = ((c, names.get(same_name(c.name), c.name)) for c in words.categories)
        rows = {same_name(name): replace(c, name=name) for c, name in meant if name is not None}
        here = Vocabulary(words.name, tuple(rows.values()))
    else:
        here = vocabulary or words
    matches = match_classes(words, here, class_map)
    new = {words.by_id(there).name: here.by_id(ours).name for there, ours in matches.ids.items()}
    report = matches.report
    return here, report, [image.renamed(new, report.ignored) for image in images]


def _tell(report: ClassReport, path: str, used: Collection[str]) -> None:
    """Say how the classes of a set were found; with -v one by one.

    Args:
        used: names of the classes that its images have.
    """
    report.tell(path, "the vocabulary")
    lost = [name for name in (*report.ambiguous, *report.unmatched) if name in used]
    if lost:
        log.warning(
            "%d classes of %s are not in the vocabulary: %s; --class-map FILE says what they are",
            len(lost),
            path,
            listed([f"{name}{report.doubt(name)}" for name in lost]),
        )
