"""What a GPU computes, beside the CPU, and how fast: one command, under 8 minutes on one GPU.

    python tests/benchmarks/gpu.py

Parity of both on golden fixtures and on nano's scenes, bfloat16 beside float32, images a second of
`convnext-large` (random weights, 800 x 1066) beside its two encoders only, one training step, and
where the time goes. Prints Markdown; `README.md` beside this file keeps the results. Without a GPU
it says so and exits with 1; `--device cpu --tiny` tries the command itself, with nano.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

sys.path.insert(0, f"{Path(__file__).parents[2]}")  # for tests.parity, which has the fixtures

from relabelling import random_predictor, read_images
from training_steps import OneImage, draw_sample, random_names, run

from frozenseg_label import write_demo
from frozenseg_label.inference.predictor import Predictor
from frozenseg_label.inference.predictor_spec import PredictorSpec
from frozenseg_label.inference.preprocess import prepare_image
from frozenseg_label.model.builders import BUILDERS
from frozenseg_label.model.precision import Precision
from frozenseg_label.training.loop.learners import DecoderLearner
from frozenseg_label.training.loop.trained_weights import trained_weights
from frozenseg_label.training.loss.criterion import Criterion
from frozenseg_label.vocabulary_files import read_vocabulary
from tests.parity.conftest import FOLDER, Golden
from tests.parity.test_head import features_of, pixel_decoder_of, transformer_decoder_of

SCENES = 12
BATCHES = (1, 4, 8)
RUNS = 5
ROWS = 10  # of the profile


def main() -> None:
    """Measure all and print it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tiny", action="store_true", help="nano and small pictures")
    given = parser.parse_args()
    device = torch.device(given.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SystemExit("there is no CUDA device here; --device cpu --tiny tries the command")
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    say(f"{name}, torch {torch.__version__}")
    builder, height, width = ("nano", 128, 160) if given.tiny else ("convnext-large", 800, 1066)
    compare_fixtures(device)
    compare_scenes(device, 2 if given.tiny else SCENES)
    large = on(random_predictor(builder), device)
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    for precision in ("fp32", "bf16"):
        timed = replace(large, bf16=precision == "bf16")
        time_images(timed, pixels, BATCHES[: 1 if given.tiny else None])
    profile(replace(large, bf16=device.type == "cuda"), pixels)
    take_steps(builder, height, width, device)


def on(predictor: Predictor, device: torch.device) -> Predictor:
    """Return a predictor that works on a device."""
    model, names = predictor.model.to(device), predictor.names.to(device)
    return replace(predictor, model=model, names=names, device=device)


@torch.no_grad()
def compare_fixtures(device: torch.device) -> None:
    """Print how far each device is from the published numbers: both parts of the head."""
    say("\n| golden fixture | device | masks, most | allowed |\n|---|---|---|---|")
    for path in sorted(FOLDER.glob("head_*.json")):
        golden = Golden(path)
        batch = golden.description["batch"]
        group = "outputs" if batch == 1 else "outputs_single.0"
        expected, bounds = golden.tensors(group)["pred_masks"], golden.bounds()
        allowed = bounds["atol"] + bounds["rtol"] * expected.abs().max().item()
        for place in dict.fromkeys((torch.device("cpu"), device)):
            features = features_of(golden).to(place)
            decoded = pixel_decoder_of(golden).to(place)(features)
            output = transformer_decoder_of(golden).to(place)(decoded, features.sam)
            worst = (output.mask_logits[:1].cpu() - expected).abs().max().item()
            say(f"| {golden.name} | {place} | {worst:.1e} | {allowed:.1e} |")


def compare_scenes(device: torch.device, count: int) -> None:
    """Print which pixels of nano's scenes get another class than on the CPU in float32."""
    words = read_vocabulary("stickers")

    def classes(device: str, precision: Precision) -> list[np.ndarray]:
        predictor = PredictorSpec("nano", words, device, precision).load()
        found = [predictor.predict([image])[0].panoptic for image in read_images(scenes, predictor)]
        return [classes_of(panoptic) for panoptic in found]

    say(f"\n| nano, {count} scenes | pixels of another class, % |\n|---|---|")
    with TemporaryDirectory() as folder:
        scenes = write_demo(Path(folder) / "scenes", count=count)
        expected = classes("cpu", "fp32")
        for precision in ("fp32", "bf16"):
            found = classes(f"{device}", precision)
            differ = [(a != b).mean() for a, b in zip(expected, found, strict=True)]
            say(f"| {device}, {precision} | {100 * np.mean(differ):.3f} |")


def time_images(predictor: Predictor, pixels: np.ndarray, batches: Sequence[int]) -> None:
    """Print images a second of the whole way and of the encoders only, and the peak memory."""
    size = predictor.model.input_size
    image = prepare_image(pixels, size.shortest, size.longest, size.divisor)
    head = "images at once | a second | encoders only | ratio | peak, GiB |"
    say(f"\n| {predictor.precision}, {head}")
    say("|---|---|---|---|---|")
    for batch in batches:
        images = [image] * batch
        stacked = torch.stack([one.pixels for one in images])
        sizes = [one.framing.image for one in images]

        @torch.inference_mode()
        def encode(stacked: torch.Tensor = stacked, sizes: Sequence = sizes) -> None:
            kind = predictor.device.type
            with torch.autocast(kind, torch.bfloat16, enabled=predictor.bf16):
                predictor.model.extract_features(stacked.to(predictor.device), sizes)

        if predictor.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        whole = seconds(lambda images=images: predictor.predict(images), predictor.device)
        peak = torch.cuda.max_memory_allocated() if predictor.device.type == "cuda" else 0
        encoders = seconds(encode, predictor.device)
        rates = f"{batch / whole:.2f} | {batch / encoders:.2f} | {whole / encoders:.2f}"
        say(f"| {batch} | {rates} | {peak / 2**30:.1f} |")


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """Return the seconds of the fastest of some runs, after one that warms up."""
    found = []
    for _ in range(RUNS + 1):
        start = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        found.append(time.perf_counter() - start)
    return min(found[1:])


def profile(predictor: Predictor, pixels: np.ndarray) -> None:
    """Print what takes the most of one image's time."""
    size = predictor.model.input_size
    image = prepare_image(pixels, size.shortest, size.longest, size.divisor)
    with torch.profiler.profile() as found:
        predictor.predict([image])
    kind = "device" if predictor.device.type == "cuda" else "cpu"
    table = found.key_averages().table(sort_by=f"self_{kind}_time_total", row_limit=ROWS)
    say(f"\n```\n{table}\n```")


def take_steps(builder: str, height: int, width: int, device: torch.device) -> None:
    """Print what a training step of the decoder takes."""
    model = BUILDERS[builder]().to(device)
    start = {key: value.clone() for key, value in trained_weights(model).items()}
    names = random_names(model).to(device)
    learner = DecoderLearner(model, names, Criterion(), bf16=False)
    sample = draw_sample(model, height, width)
    loss, fastest = run(model, start, learner, OneImage(sample), 3)
    say(f"\nA training step takes {fastest:.2f} s, the fastest of 3; the first loss is {loss:.5f}.")


def classes_of(panoptic: object) -> np.ndarray:
    """Return the class of each pixel; 0 where there is none."""
    lookup = np.zeros(int(panoptic.ids.max(initial=0)) + 1, np.int64)
    for segment in panoptic.segments:
        lookup[segment.id] = segment.category_id
    return lookup[panoptic.ids]


def say(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
