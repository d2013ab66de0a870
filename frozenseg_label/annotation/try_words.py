"""Words tried on one image of a run: what each would get, and a picture; the run stays as it is.

Heavy imports stay inside the functions: the command line imports this module.
"""

import logging
import time
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from frozenseg_label.annotation.relabel import manifest_with_proposals, spec_of_run
from frozenseg_label.errors import RunError

if TYPE_CHECKING:
    from frozenseg_label.inference.predictor import Predictor
    from frozenseg_label.panoptic import PanopticMap
    from frozenseg_label.runs.run_reader import RunReader
    from frozenseg_label.vocabulary import Vocabulary

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TriedClass:
    """What one class gets on an image.

    Attributes:
        name: of the class.
        segments: how many.
        share: of the image's pixels, 0..1.
        best_score: the highest probability that any proposal has of it, 0..1, also where the
            proposal went to another class.
    """

    name: str
    segments: int
    share: float
    best_score: float


@dataclass(frozen=True)
class TriedWords:
    """What words get on an image.

    Attributes:
        image: its name in the run.
        classes: in the order of the words.
        unlabelled: share of the image's pixels that no word gets, 0..1.
        seconds: for the labels, from kept proposals that were read before.
        encoding_seconds: for the vectors of words that were not tried before.
        panoptic: the labels.
        vocabulary: the words.
    """

    image: str
    classes: tuple[TriedClass, ...]
    unlabelled: float
    seconds: float
    encoding_seconds: float
    panoptic: "PanopticMap"
    vocabulary: "Vocabulary"


class WordTrial:
    """One image of a run, on which words are tried; weights and proposals are read once.

    RunError: no proposals are kept, or there is no such image. ImageError: its file is damaged.

    Args:
        run: the run folder.
        image: its name in the run, or its file; None is the first with kept proposals.
        weights, sam_masks, min_score, device: as of `relabel`.
    """

    def __init__(
        self,
        run: str | Path,
        image: str | Path | None = None,
        *,
        weights: str | Path | None = None,
        sam_masks: bool | None = None,
        min_score: float | None = None,
        device: str = "auto",
    ) -> None:
        from frozenseg_label.annotation.relabel_images import load_proposals
        from frozenseg_label.runs.run_reader import RunReader

        folder = Path(run)
        manifest = manifest_with_proposals(folder)
        words = manifest.vocabulary.vocabulary()
        spec = spec_of_run(
            folder, manifest, words, weights, device,
            semantic=False, sam_masks=sam_masks, min_score=min_score,
        )  # fmt: skip
        if "memory" in manifest.options:
            log.warning("words are tried without the run's memory of corrections")
        with RunReader.read(folder) as reader:
            self.image = _find_image(reader, image)
            self._predictor: Predictor = spec.load(encoders=False)
            self._proposals = load_proposals(self.image, self._predictor, reader)
            root = reader.root
            self._picture = None if root is None else root / self.image
        self._spec, self._seen_names = spec, manifest.seen_names

    def try_words(self, words: "str | Vocabulary") -> TriedWords:
        """Return what words get: "cat|kitten, sky:stuff", or a vocabulary."""
        import torch

        from frozenseg_label.checkpoints.named_weights import cache_folder
        from frozenseg_label.checkpoints.text_embeddings import build_text_classifier
        from frozenseg_label.vocabulary_files import given_vocabulary, parse_classes

        vocabulary = parse_classes(words) if isinstance(words, str) else given_vocabulary(words)
        replace(self._spec, vocabulary=vocabulary).warn_of_unknown_words()
        start = time.perf_counter()
        with torch.inference_mode():
            names = build_text_classifier(
                self._predictor.model.clip,
                vocabulary,
                self._seen_names,
                clip_fingerprint=self._predictor.clip,
                cache_folder=cache_folder() / "text",
            )
        encoded = time.perf_counter()
        predictor = replace(self._predictor, names=names, vocabulary=vocabulary)
        panoptic = predictor.name_proposals(self._proposals).panoptic
        named = time.perf_counter()
        with torch.inference_mode():
            masks = predictor.model.classify(self._proposals.queries, names)
        best = masks.class_probs[0, :, :-1].amax(dim=0).tolist()  # [K]
        return TriedWords(
            image=self.image,
            classes=_tried_classes(panoptic, vocabulary, best),
            unlabelled=1 - sum(segment.area for segment in panoptic.segments) / panoptic.ids.size,
            seconds=named - encoded,
            encoding_seconds=encoded - start,
            panoptic=panoptic,
            vocabulary=vocabulary,
        )

    def draw(self, tried: TriedWords, file: str | Path) -> None:
        """Draw labels over the picture, into a JPEG file; ImageError where it cannot be read."""
        from frozenseg_label.decoding import decode_image
        from frozenseg_label.errors import ImageError
        from frozenseg_label.files import atomic_write
        from frozenseg_label.formats.overlay import overlay_file
        from frozenseg_label.images import ImageRecord

        if self._picture is None:
            raise ImageError(f"{self.image}: the run does not know the folder of its pictures")
        pixels = decode_image(ImageRecord(self._picture, self.image, 0, 0))
        if pixels.shape[:2] != tried.panoptic.ids.shape:
            raise ImageError(f"{self._picture}: is of another size than its labels")
        drawn = overlay_file(pixels, tried.panoptic, tried.vocabulary)
        atomic_write(Path(file), drawn, error=ImageError)


def _find_image(run: "RunReader", image: str | Path | None) -> str:
    """Return the name in the run of the image that is meant."""
    if image is None:
        return next(entry.image for entry in run.entries() if entry.kept is not None)
    if run.entry(str(image)) is not None:
        return str(image)
    root = run.manifest.root
    path = Path(image).absolute()
    if root is not None and path.is_relative_to(root):
        name = path.relative_to(root).as_posix()
        if run.entry(name) is not None:
            return name
    names = [entry.image for entry in run.entries()]
    near = get_close_matches(str(image), names, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"the first is {names[0]!r}"
    raise RunError(f"{run.path} has no labels of an image {str(image)!r}; {hint}")


def _tried_classes(
    panoptic: "PanopticMap", vocabulary: "Vocabulary", best: list[float]
) -> tuple[TriedClass, ...]:
    """Return what each class of a vocabulary gets; `best` has its highest probabilities [K]."""
    found = []
    for category, score in zip(vocabulary.categories, best, strict=True):
        own = [s for s in panoptic.segments if s.category_id == category.id]
        share = sum(segment.area for segment in own) / panoptic.ids.size
        best_score = max([score, *(segment.score or 0.0 for segment in own)])  # SAM's masks, too
        found.append(TriedClass(category.name, len(own), share, best_score))
    return tuple(found)
