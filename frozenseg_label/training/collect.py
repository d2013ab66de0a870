"""What a training is given: the labelled images of all sources, sorted, split, and with weights."""

import hashlib
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from frozenseg_label.errors import FormatError, RunError, TrainingError
from frozenseg_label.model.checkpoint_info import CheckpointInfo, TrainingCategory
from frozenseg_label.training.dataset import Truth
from frozenseg_label.training.labelled_images import (
    LabelledImage,
    check_images,
    join_vocabularies,
    read_labelled_images,
    split_images,
)
from frozenseg_label.training.settings import TrainSettings
from frozenseg_label.training.sources import LabelledPictures
from frozenseg_label.vocabulary import Vocabulary, same_name

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingData:
    """All that is learnt from, and what is held out.

    Attributes:
        train: images that are trained on.
        held_out: images that never are.
        vocabulary: the words that labels may use.
    """

    train: tuple[LabelledImage, ...]
    held_out: tuple[LabelledImage, ...]
    vocabulary: Vocabulary

    def words(self, settings: TrainSettings) -> Vocabulary:
        """What the decoder chooses a name from while it learns; a label is a place in it."""
        if settings.negatives == "all":
            return self.vocabulary
        said = {same_name(name) for image in self.train for name in image.class_names()}
        return Vocabulary(
            self.vocabulary.name,
            tuple(c for c in self.vocabulary.categories if same_name(c.name) in said),
        )

    def named_classes(self) -> Counter[str]:
        """How many targets each class has in the training images, by its name there."""
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

    def pictures(
        self, images: Sequence[LabelledImage], settings: TrainSettings
    ) -> LabelledPictures:
        """Images with what they teach, targets weighted as the settings say."""
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
        """SHA-256 (hex) of the words and of the images and labels, held out or not."""
        sides = [
            [(image.digest, image.label_digest) for image in side]
            for side in (self.train, self.held_out)
        ]
        return hashlib.sha256(f"{self.vocabulary.fingerprint} {sides}".encode()).hexdigest()


def collect(
    sources: Sequence[Path],
    pictures: Path | None,
    vocabulary: Vocabulary | None,
    held_out: float,
) -> TrainingData:
    """Read and check all sources; TrainingError lists what is wrong in any of them.

    Args:
        sources: run folders and COCO panoptic sets.
        pictures: folder of their pictures; None: where each of them says.
        vocabulary: words that labels may use; None: those of all sources.
        held_out: share of the images that is never trained on.
    """
    images: list[LabelledImage] = []
    vocabularies: list[Vocabulary] = []
    problems: list[str] = []
    for source in sources:
        try:
            some, words = read_labelled_images(source, pictures, problems)
        except (FormatError, RunError, TrainingError) as error:
            problems.append(f"{error}")
            continue
        images += some
        vocabularies.append(words)
    if not vocabularies:
        raise TrainingError("\n".join(problems))
    vocabulary = vocabulary or join_vocabularies(vocabularies)
    teaching = [image for image in images if image.teaches]
    if not problems and not any(image.has_targets for image in teaching):
        names = ", ".join(str(source) for source in sources)
        raise TrainingError(
            f"{names}: no segment that a person accepted or drew; correct some labels first "
            "(`frozenseg-label review` or `import`)"
        )
    checked = check_images(teaching, vocabulary, problems)
    train, held = split_images(checked, held_out)
    data = TrainingData(tuple(train), tuple(held), vocabulary)
    classes = data.named_classes()
    if not classes:
        raise TrainingError("all corrected images are held out; correct more, or set held_out=0")
    log.info(
        "%d images to train on, %d held out; %d classes, %d segments",
        len(train),
        len(held),
        len(classes),
        classes.total(),
    )
    if len(classes) == 1:
        log.warning(
            "there is one class only (%s): the model can learn its shape, but not to tell it from "
            "anything but background",
            next(iter(classes)),
        )
    return data


def class_weights(counts: Mapping[str, int], settings: TrainSettings) -> dict[str, float]:
    """How much a target of each class weighs, by `same_name`; 1 for the most frequent class.

    As in LVIS's square-root sampling (Gupta et al. 2019, arXiv 1908.03195), but by weight: a class
    that is n times rarer weighs n^power.
    """
    most = max(counts.values())
    power, limit = settings.rare_class_power, settings.max_rare_weight
    return {same_name(name): min((most / n) ** power, limit) for name, n in counts.items()}


def trained_categories(
    info: CheckpointInfo, vocabulary: Vocabulary, named: Mapping[str, int]
) -> tuple[TrainingCategory, ...]:
    """The training vocabulary of a model that has also learnt the named classes.

    Old ones stay, new ones come behind them; a new name of an old class joins the old one's names.
    """
    categories = list(info.categories)
    place = {name: i for i, category in enumerate(categories) for name in category.names}
    for category in vocabulary.categories:
        if category.name not in named:
            continue
        known = next((place[name] for name in category.names if name in place), None)
        if known is None:
            place |= dict.fromkeys(category.names, len(categories))
            categories.append(TrainingCategory(names=category.names, is_thing=category.is_thing))
        else:
            old = categories[known]
            further = [name for name in category.names if name not in place]
            categories[known] = old.model_copy(update={"names": (*old.names, *further)})
            place |= dict.fromkeys(further, known)
    return tuple(categories)
