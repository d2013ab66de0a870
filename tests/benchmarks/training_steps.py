"""What a training step costs at full size, with and without what the caches keep; and its memory.

    python tests/benchmarks/training_steps.py

`convnext-large` with random weights, one image of 800 x 1066, 133 classes, 20 targets. Each way
takes the same steps from the same weights: pictures through the frozen encoders; their features
from the cache; the head alone with the decoder's outputs made anew; and with these from the cache.
Before them, two steps as published, on a crop of 1024 x 1024. Prints the tables of README.md.
"""

import argparse
import resource
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from frozenseg_label.model.builders import BUILDERS
from frozenseg_label.model.frozenseg import FrozenSeg
from frozenseg_label.model.text_classifier import TextClassifier
from frozenseg_label.training.data.samples import (
    FeatureSample,
    PixelSample,
    Sample,
    prepare_sample,
    see,
)
from frozenseg_label.training.data.targets import Truth
from frozenseg_label.training.loop.decoder_outputs import OutputSample, output_sample, run_decoder
from frozenseg_label.training.loop.fine_tune import Progress, fine_tune
from frozenseg_label.training.loop.learners import DecoderLearner, HeadLearner, Learner
from frozenseg_label.training.loop.trained_weights import trained_weights
from frozenseg_label.training.loss.criterion import Criterion
from frozenseg_label.training.settings import TrainSettings

CLASSES, TARGETS = 133, 20


@dataclass(frozen=True)
class OneImage:
    """A source of one sample; made anew each time where it is given as a function."""

    sample: Sample
    remake: object = None

    def __len__(self) -> int:
        return 1

    def load(self, index: int, rng: np.random.Generator) -> Sample:
        """Return the sample."""
        return self.remake() if callable(self.remake) else self.sample


def draw_sample(model: FrozenSeg, height: int, width: int) -> PixelSample:
    """A picture of noise with rectangles as targets."""
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    ids = np.zeros((height, width), np.int32)
    for target in range(1, TARGETS + 1):
        top, left = rng.integers(0, height - 100), rng.integers(0, width - 100)
        ids[top : top + rng.integers(40, 300), left : left + rng.integers(40, 300)] = target
    labels = {target: target % CLASSES for target in range(1, TARGETS + 1)}
    return prepare_sample("noise", picture, ids, Truth(labels), model.input_size)


def random_names(model: FrozenSeg) -> TextClassifier:
    """A classifier of names that nobody has."""
    generator = torch.Generator().manual_seed(0)
    embeddings = F.normalize(
        torch.randn(CLASSES, model.clip.embedding_size, generator=generator), dim=1
    )
    return TextClassifier(embeddings, (1,) * CLASSES, torch.ones(CLASSES, dtype=torch.bool))


def run(
    model: FrozenSeg,
    start: Mapping[str, torch.Tensor],
    learner: Learner,
    source: OneImage,
    steps: int,
) -> tuple[float, float]:
    """Take steps from the same weights; return the first loss and the seconds of the fastest."""
    model.load_state_dict(model.state_dict() | dict(start))
    losses: list[float] = []
    seconds: list[float] = []

    def on_step(progress: Progress) -> None:
        losses.append(progress.losses["loss"])
        seconds.append(progress.losses["seconds"])

    settings = TrainSettings(steps=steps, batch_size=1, drops=(steps,), save_every=steps + 1)
    with tempfile.TemporaryDirectory() as folder:
        fine_tune(model, learner, source, settings, Path(folder), on_step=on_step)
    return losses[0], min(seconds[1:] or seconds)


def measure_crop(model: FrozenSeg, start: Mapping[str, torch.Tensor], learner: Learner) -> None:
    """Take two steps on a crop as large as SAM's input, and print their time and memory."""
    weights, crop, usual = peak_gib(), model.sam.image_size, model.input_size
    model.input_size = replace(usual, shortest=crop)
    loss, seconds = run(model, start, learner, OneImage(draw_sample(model, crop, crop)), 2)
    model.input_size = usual
    print(f"two steps on {crop} x {crop}: {seconds:.1f} s a step, loss {loss:.2f}, peak")  # noqa: T201
    print(f"{peak_gib():.1f} GiB, of which {weights:.1f} GiB before the first")  # noqa: T201


def peak_gib() -> float:
    """Highest memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--builder", choices=tuple(BUILDERS), default="convnext-large")
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--no-crop", action="store_true", help="leave the two published steps out")
    given = parser.parse_args()
    torch.manual_seed(0)
    model = BUILDERS[given.builder]()
    names, criterion = random_names(model), Criterion()
    start = {key: value.clone() for key, value in trained_weights(model).items()}
    if not given.no_crop:
        measure_crop(model, start, DecoderLearner(model, names, criterion, bf16=False))
    learner: Learner = DecoderLearner(model, names, criterion, bf16=False)
    picture = draw_sample(model, 800, 1066)
    features = see(model, [picture], bf16=False).to(torch.bfloat16)
    kept = FeatureSample("noise", features, picture.targets)
    rows = [
        ("decoder, from pictures", *run(model, start, learner, OneImage(picture), given.steps)),
        ("decoder, from features", *run(model, start, learner, OneImage(kept), given.steps)),
    ]
    head = HeadLearner(model, names, criterion)

    def outputs() -> OutputSample:
        points = criterion.num_points
        tensors = run_decoder(model, picture, num_points=points, seed=0, bf16=False)
        return output_sample("noise", tensors)

    model.load_state_dict(model.state_dict() | start)
    output = outputs()
    rows += [
        ("head, from pictures", *run(model, start, head, OneImage(output, outputs), given.steps)),
        ("head, from outputs", *run(model, start, head, OneImage(output), given.steps)),
    ]
    print("| step | s | times faster | loss |\n|---|---|---|---|")  # noqa: T201
    for number, (name, loss, seconds) in enumerate(rows):
        slow = rows[number // 2 * 2][2]
        print(f"| {name} | {seconds:.3f} | {slow / seconds:.1f} | {loss:.5f} |")  # noqa: T201


if __name__ == "__main__":
    main()
