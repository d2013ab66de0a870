"""Time other words for kept proposals beside the whole model, and weigh what is kept.

    python tests/benchmarks/relabelling.py FOLDER

One process; seconds are those of CPU, so other jobs matter less. `convnext-large` has random
weights, and so has its picture of 800 x 1066: the encoders do not mind; random masks of any image
are rough, so they are also weighed with smooth ones of the same size. `nano` labels the
demonstration's scenes, which are written into FOLDER. Prints Markdown tables; `README.md` beside
this file keeps the results with machine and date.
"""

import argparse
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from frozenseg_label import write_demo
from frozenseg_label.annotation.label_images import load
from frozenseg_label.images import find_images
from frozenseg_label.inference.image_proposals import ImageProposals
from frozenseg_label.inference.kept_proposals import decode_proposals, encode_proposals
from frozenseg_label.inference.predictor import Predictor
from frozenseg_label.inference.predictor_spec import PredictorSpec
from frozenseg_label.inference.preprocess import PreparedImage, prepare_image
from frozenseg_label.model.builders import BUILDERS
from frozenseg_label.model.text_classifier import TextClassifier
from frozenseg_label.vocabulary import Category, Vocabulary
from frozenseg_label.vocabulary_files import read_vocabulary

SOURCE = "model:random"
CLASSES = 150
PRECISIONS = ["fp32", "bf16"]


@dataclass(frozen=True)
class Times:
    """The seconds of CPU that one image takes, and the bytes that are kept of it."""

    encoders: float
    names: float
    keeping: float
    reading: float
    names_again: float
    kept: int


def main() -> None:
    """Time both models and print what came out."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--scenes", type=int, default=20)
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", choices=["nano", "convnext-large"])
    parser.add_argument(
        "--precisions",
        nargs="+",
        choices=PRECISIONS,
        default=PRECISIONS,
        help="of the large model's encoders and decoder; names are always in fp32",
    )
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.only != "convnext-large":
        scenes = write_demo(options.folder, count=options.scenes)
        for sam_masks in (False, True):
            predictor = PredictorSpec(
                "nano", read_vocabulary("stickers"), sam_masks=sam_masks, keep_proposals=True
            ).load()
            images = list(read_images(scenes, predictor))
            title = f"nano{', SAM masks' if sam_masks else ''}, {len(images)} scenes"
            report(title, [timed(predictor, image)[0] for image in images])
    if options.only != "nano":
        large(options.runs, options.precisions)


def large(runs: int, precisions: list[str]) -> None:
    """Time the large model with random weights in some precisions, and weigh its masks."""
    predictor = random_predictor("convnext-large")
    pixels = np.random.default_rng(0).integers(0, 256, (800, 1066, 3), dtype=np.uint8)
    size = predictor.model.input_size
    image = prepare_image(pixels, size.shortest, size.longest, size.divisor)
    for precision in precisions:
        of_precision = replace(predictor, bf16=precision == "bf16")
        found = [timed(of_precision, image) for _ in range(runs)]
        report(
            f"convnext-large, {CLASSES} classes, {precision}",
            [times for times, _ in found],
        )
        smooth = with_smooth_masks(found[0][1])
        report("the same with smooth masks", [named_again(of_precision, smooth)])


def read_images(scenes: list[Path], predictor: Predictor) -> Iterator[PreparedImage]:
    """Yield the scenes, ready for the model."""
    for record in find_images(scenes):
        yield load(record, predictor.model.input_size, None).prepared


def timed(predictor: Predictor, image: PreparedImage) -> tuple[Times, ImageProposals]:
    """Label one image and name it again; return the times and its proposals."""
    start = time.process_time()
    with (
        torch.inference_mode(),
        torch.autocast("cpu", torch.bfloat16, enabled=predictor.bf16),
    ):
        features = predictor.model.extract_features(image.pixels[None], [image.framing.image])
    (proposals,) = predictor.propose(features, [image.framing])
    encoders = time.process_time() - start
    return replace(named_again(predictor, proposals), encoders=encoders), proposals


def named_again(predictor: Predictor, proposals: ImageProposals) -> Times:
    """Return the times of all that follows the encoders and the decoder."""
    moments = [time.process_time()]

    def lap() -> None:
        moments.append(time.process_time())

    predictor.name_proposals(proposals)
    lap()
    content = encode_proposals(proposals, SOURCE)
    lap()
    again = decode_proposals(content, "", SOURCE, predictor.device)
    lap()
    predictor.name_proposals(again)
    lap()
    laps = [after - before for before, after in pairwise(moments)]
    return Times(0.0, *laps, kept=len(content))


def with_smooth_masks(proposals: ImageProposals) -> ImageProposals:
    """Return the proposals with smooth masks, most of an image far outside of each."""
    shape = proposals.queries.mask_logits.shape[-2:]
    coarse = 14 * torch.randn(proposals.queries.mask_logits.shape[1], 1, 6, 8) - 18
    masks = F.interpolate(coarse, shape, mode="bicubic")[:, 0]
    return replace(proposals, queries=replace(proposals.queries, mask_logits=masks[None]))


def random_predictor(name: str) -> Predictor:
    """Return a predictor with random weights and random words, half of them unseen."""
    torch.manual_seed(0)
    model = BUILDERS[name]().eval()
    vectors = F.normalize(torch.randn(CLASSES, model.clip.embedding_size), dim=-1)
    categories = tuple(Category(f"class {i}", i, color=(1, 2, 3)) for i in range(CLASSES))
    names = TextClassifier(vectors, (1,) * CLASSES, torch.arange(CLASSES) % 2 == 0)
    words = Vocabulary("random", categories)
    return Predictor(model, names, words, SOURCE, torch.device("cpu"))


def report(title: str, images: list[Times]) -> None:
    """Print the medians of some images."""

    def median(name: str) -> float:
        return statistics.median(getattr(times, name) for times in images)

    annotate = median("encoders") + median("names")
    relabel = median("reading") + median("names_again")
    kept = [times.kept for times in images]
    lines = [f"\n{title}\n", "| | seconds of CPU |", "|---|---|"]
    names = ("encoders", "names", "keeping", "reading", "names_again")
    lines += [f"| {name} | {median(name):.3f} |" for name in names]
    lines.append(f"| annotate / relabel | {annotate / relabel:.1f} |")
    sizes = f"{median('kept') / 1e6:.2f}, {max(kept) / 1e6:.2f}"
    lines.append(f"| MB kept, median and most | {sizes} |")
    print("\n".join(lines), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
