"""Time every stage of a full-size model on one 800 x 1066 image, beside its two encoders.

    python tests/benchmarks/stages.py

Random weights and a random image: the work does not depend on their values, but for the number of
queries that are kept, and random weights keep nearly all. One process, so that ratios hold on any
machine. Prints a Markdown table;
`README.md` beside this file keeps the results with machine and date.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

from frozenseg_label.inference.panoptic_merge import panoptic_merge
from frozenseg_label.inference.preprocess import prepare_image
from frozenseg_label.inference.semantic_map import query_votes, semantic_map
from frozenseg_label.model.builders import BUILDERS
from frozenseg_label.model.proposals import ClassifiedMasks, Features, MaskProposals
from frozenseg_label.model.text_classifier import TextClassifier
from frozenseg_label.vocabulary import Category, Vocabulary

Result = TypeVar("Result")

ENCODERS = ("CLIP", "SAM")


def main() -> None:
    """Build the model, run it a few times, print what each stage took."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--model", default="convnext-large", choices=list(BUILDERS))
    parser.add_argument("--classes", type=int, nargs="+", default=[150, 847])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16"])
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    model = BUILDERS[options.model]().eval()
    image = np.random.default_rng(0).integers(0, 256, (800, 1066, 3), dtype=np.uint8)
    for classes in options.classes:
        words = random_words(classes, model.clip.embedding_size)
        reset_peak_memory()
        before = memory("VmRSS")
        runs = [run(model, image, *words, options.precision) for _ in range(options.runs)]
        report(
            f"{options.model}, {classes} classes, {options.precision}",
            runs,
            memory("VmHWM") - before,
        )


def run(
    model: torch.nn.Module,
    image: np.ndarray,
    vocabulary: Vocabulary,
    names: TextClassifier,
    precision: str,
) -> dict[str, float]:
    """Return the processor's seconds that each stage takes."""
    seconds: dict[str, float] = {}

    def timed(stage: str, work: Callable[[], Result]) -> Result:
        start = time.process_time()
        with (
            torch.inference_mode(),
            torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"),
        ):
            result = work()
        seconds[stage] = time.process_time() - start
        return result

    size = model.input_size
    prepared = timed(
        "preprocess", lambda: prepare_image(image, size.shortest, size.longest, size.divisor)
    )
    pixels, sizes = prepared.pixels[None], [prepared.framing.image]
    pyramid, dense = timed("CLIP", lambda: model.clip.extract_features(pixels, sizes))
    sam = timed("SAM", lambda: model.sam.encode(pixels, sizes))
    decoded_pixels = timed(
        "pixel decoder", lambda: model.pixel_decoder(Features(pyramid, dense, sam))
    )
    decoded = timed("transformer decoder", lambda: model.transformer_decoder(decoded_pixels, sam))
    embedded, valid = timed(
        "masks into CLIP space", lambda: model.clip.embed_masks(dense, decoded.mask_logits)
    )
    proposals = MaskProposals(decoded.mask_logits, decoded.class_embeddings, embedded, valid)
    classified = timed("classify", lambda: model.classify(proposals, names))
    masks = ClassifiedMasks(
        classified.mask_logits.float(), classified.class_probs, classified.disagreement
    )
    way = prepared.framing
    timed("panoptic merge", lambda: panoptic_merge(masks, way, vocabulary, source="model:random"))
    timed("semantic map", lambda: semantic_map([query_votes(masks)], way))
    return seconds


def random_words(classes: int, embedding_size: int) -> tuple[Vocabulary, TextClassifier]:
    """Make a vocabulary of so many categories, three names each, half of them unseen."""
    names = torch.nn.functional.normalize(torch.randn(3 * classes, embedding_size), dim=-1)
    seen = torch.arange(classes) % 2 == 0
    categories = tuple(
        Category(f"class {i}", i, is_thing=i % 3 > 0, color=(1, 2, 3)) for i in range(classes)
    )
    return Vocabulary("random", categories), TextClassifier(names, (3,) * classes, seen)


def report(title: str, runs: list[dict[str, float]], extra_memory: int) -> None:
    """Print medians, and the ratio of all else to the encoders."""
    median = {stage: statistics.median(run[stage] for run in runs) for stage in runs[0]}
    encoders = sum(median[stage] for stage in ENCODERS)
    panoptic = sum(median.values()) - encoders - median["semantic map"]
    rows = {stage: (value, value / encoders) for stage, value in median.items()}
    rows["**all but the encoders, panoptic**"] = panoptic, panoptic / encoders
    everything = panoptic + median["semantic map"]
    rows["with the semantic map too"] = everything, everything / encoders
    lines = [f"\n{title}: median of {len(runs)} runs\n"]
    lines += ["| stage | seconds | share of the encoders |", "|---|---|---|"]
    lines += [f"| {stage} | {value:.3f} | {share:.3f} |" for stage, (value, share) in rows.items()]
    lines.append(f"\npeak memory beyond the weights: {extra_memory / 2**30:.2f} GiB")
    print("\n".join(lines), flush=True)  # noqa: T201


def reset_peak_memory() -> None:
    """Start VmHWM anew (Linux, man 5 proc, clear_refs)."""
    Path("/proc/self/clear_refs").write_text("5")


def memory(field: str) -> int:
    """Return a field of /proc/self/status in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"no {field} in /proc/self/status")


if __name__ == "__main__":
    main()
