"""The choices that make a predictor, as one value that is checked before anything is loaded.

Heavy imports stay inside the functions: the command line reads its choices here.
"""

import logging
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from frozenseg_label.errors import FrozenSegLabelError
from frozenseg_label.inference.tiling import Tile, Tiling
from frozenseg_label.model.precision import PRECISIONS, Precision, uses_bf16

if TYPE_CHECKING:
    import torch
    from pydantic import JsonValue

    from frozenseg_label.inference.memory import Memory
    from frozenseg_label.inference.predictor import Predictor
    from frozenseg_label.model.text_classifier import TextClassifier
    from frozenseg_label.vocabulary import Vocabulary

MOST_WORDS = 10  # that a warning spells out

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PredictorSpec:
    """The choices that make a predictor.

    Attributes:
        weights: a name of `frozenseg-label weights list`, or a checkpoint file.
        vocabulary: the categories of the labels.
        device: cpu, cuda, cuda:1 or mps; auto is cuda where there is one, else cpu.
        precision: of encoders and decoder; auto is bf16 on CUDA and on CPUs that are faster with
            it, else fp32.
        min_score: segments whose class is less probable are left out, 0..1.
        sam_masks: add SAM's masks for categories that the weights have not seen.
        semantic: make semantic maps too.
        keep_proposals: hand the proposals on with the labels; changes no label.
        memory: of corrections, in the classes of the vocabulary; None: there is none.
        tile, overlap: of large pictures, as in `Tiling`; None: every picture is seen as a whole.
    """

    weights: str | Path
    vocabulary: "Vocabulary"
    device: str = "auto"
    precision: Precision = "auto"
    min_score: float = 0.0
    sam_masks: bool = False
    semantic: bool = False
    keep_proposals: bool = False
    memory: "Memory | None" = None
    tile: Tile | None = None
    overlap: int | None = None

    def __post_init__(self) -> None:
        if self.overlap is not None and self.tiling is None:
            raise FrozenSegLabelError("an overlap of tiles needs tiles: give --tile, too")
        if self.keep_proposals and self.tiling is not None:
            raise FrozenSegLabelError(
                "proposals are kept of whole pictures only, and a picture in tiles has others in "
                "each tile; leave out --keep-proposals, or --tile"
            )
        if self.precision not in PRECISIONS:
            raise ValueError(
                f"precision must be one of {', '.join(PRECISIONS)}, got {self.precision!r}"
            )
        if not 0 <= self.min_score <= 1:  # so that "not a number" fails, too
            raise ValueError(f"min_score must be in 0..1, got {self.min_score}")

    @property
    def tiling(self) -> Tiling | None:
        """Return how large pictures are cut; ValueError for a side or an overlap that cannot be."""
        return None if self.tile is None else Tiling(self.tile, self.overlap)

    @property
    def options(self) -> "dict[str, JsonValue]":
        """Return the options that decide labels, as the manifest of a run compares them."""
        options: dict[str, JsonValue] = {
            "min_score": self.min_score,
            "sam_masks": self.sam_masks,
            "semantic": self.semantic,
        }
        if self.memory is not None:
            options["memory"] = self.memory.name
        if self.tile is not None:
            options |= {"tile": self.tile, "overlap": self.overlap}
        return options

    def warn_of_unknown_words(self) -> None:
        """Name the words of the vocabulary that the text tower was not trained on."""
        from frozenseg_label.checkpoints.known_words import stored_tokens, unknown_words
        from frozenseg_label.checkpoints.named_weights import cache_folder, find_weights

        weights, tokens = find_weights(self.weights), cache_folder() / "text" / "tokens.sqlite"
        words = unknown_words(self.vocabulary.all_words(), stored_tokens(weights), tokens)
        if words:
            shown = ", ".join(words[:MOST_WORDS]) + (", ..." if len(words) > MOST_WORDS else "")
            log.warning(
                "%s never met %d of the words: %s. Labels by them are guesses; "
                "`frozenseg-label vocab check` says more.",
                weights.stem,
                len(words),
                shown,
            )

    def load(self, *, encoders: bool = True, names: "TextClassifier | None" = None) -> "Predictor":
        """Load the model and teach it the vocabulary; text embeddings are kept in the cache.

        Args:
            encoders: False leaves the image encoders and the decoder without weights, which is
                quick: the predictor can only `name_proposals` then.
            names: the vectors of this vocabulary by this model; None: made here.
        """
        import torch

        from frozenseg_label.checkpoints.checkpoint import load_checkpoint
        from frozenseg_label.checkpoints.named_weights import (
            cache_folder,
            find_weights,
            frozen_folder,
        )
        from frozenseg_label.checkpoints.text_embeddings import build_text_classifier
        from frozenseg_label.inference.predictor import Predictor

        device = choose_device(self.device)
        bf16 = encoders and uses_bf16(self.precision, device.type)
        path = find_weights(self.weights)
        model, info = load_checkpoint(path, frozen_folder(), encoders=encoders)
        for tensor in chain(model.parameters(), model.buffers()):
            if not tensor.is_meta:  # those have no weights, and no device
                tensor.data = tensor.data.to(device)
        if names is None:
            with torch.inference_mode():
                names = build_text_classifier(
                    model.clip,
                    self.vocabulary,
                    info.seen_names,
                    clip_fingerprint=info.clip_hash,
                    cache_folder=cache_folder() / "text",
                )
        log.debug("device %s, %s", device, "bf16" if bf16 else "fp32")
        return Predictor(
            model=model,
            names=names.to(device),
            vocabulary=self.vocabulary,
            source=f"model:{info.fingerprint[:12]}",
            device=device,
            bf16=bf16,
            min_score=self.min_score,
            sam_masks=self.sam_masks,
            semantic=self.semantic,
            keep_proposals=self.keep_proposals,
            clip=info.clip_hash,
            memory=self.memory,
            tiling=self.tiling,
        )


def load_predictor(
    vocabulary: "str | Path | Vocabulary",
    weights: str | Path = "nano",
    *,
    device: str = "auto",
    precision: Precision = "auto",
    min_score: float = 0.0,
    sam_masks: bool = False,
    tile: Tile | None = None,
    overlap: int | None = None,
) -> "Predictor":
    """Load a model with a vocabulary, to label pictures one by one in memory.

    For folders there is `annotate`, which can be stopped and goes on. `nano` labels drawings only.

    Args:
        vocabulary: a YAML or text file, the name of a shipped one, or a Vocabulary.
        weights: a name of `frozenseg-label weights list`, or a checkpoint file.
        device: cpu, cuda, cuda:1 or mps; auto is cuda where there is one, else cpu.
        precision: of encoders and decoder; auto is bf16 on CUDA and on CPUs that are faster with
            it, else fp32.
        min_score: segments whose class is less probable stay unlabelled, 0..1.
        sam_masks: add SAM's masks as proposals for classes that the weights have not seen.
        tile: side in pixels of the tiles that larger pictures are seen in at full resolution; auto:
            the model's own, for pictures that it would shrink more than four times.
        overlap: pixels that tiles share with their neighbours; None: an eighth of the side.

    Returns:
        The predictor; its method `label` takes a path, a Pillow image, or uint8 [H, W, 3] RGB.

    Example:
        >>> predictor = frozenseg_label.load_predictor("stickers")
        >>> labels = predictor.label("pictures/demo-0000.png")
        >>> labels.ids.shape
        (96, 96)
        >>> names = [predictor.vocabulary.by_id(s.category_id).name for s in labels.segments]
    """
    from frozenseg_label.vocabulary_files import given_vocabulary

    words = given_vocabulary(vocabulary)
    spec = PredictorSpec(
        weights, words, device, precision, min_score, sam_masks, tile=tile, overlap=overlap
    )
    spec.warn_of_unknown_words()
    return spec.load()


def choose_device(name: str) -> "torch.device":
    """Return the device of a name; FrozenSegLabelError where this machine does not have it."""
    import torch

    if name == "auto":  # mps has not been tried, so it is taken only by name
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).strip().splitlines()[0]
        raise FrozenSegLabelError(
            f"device {name!r} cannot be used here ({reason}); use --device auto or cpu"
        ) from error
    return device
