"""Time how the pixels of large images are given to masks: block by block, and every one computed.

    python tests/benchmarks/large_merge.py --megapixels 1 12 100

100 noisy ellipses with random scores on the grids of `nano` and `convnext-large`, one thread, both
ways in one process. Prints a Markdown table of the processor's seconds; `README.md` beside this
file keeps the results.
"""

import argparse
import time

import torch
from torch import Tensor

from frozenseg_label.inference.claimed_pixels import claim_pixels
from frozenseg_label.inference.mask_tiles import TiledResize, masks_resize, row_tiles
from frozenseg_label.inference.preprocess import Framing, resized_size
from frozenseg_label.model.builders import BUILDERS
from frozenseg_label.model.settings import InputSize


def main() -> None:
    """Time each size on the grid of each model."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--megapixels", type=float, nargs="+", default=[1, 12, 100])
    parser.add_argument("--candidates", type=int, default=100)
    options = parser.parse_args()
    torch.set_num_threads(1)
    head = "| MP | masks of | every pixel, s | by blocks, s | times faster | other pixels |"
    print(f"{head}\n|---|---|---|---|---|---|", flush=True)  # noqa: T201
    for megapixels in options.megapixels:
        size = round((megapixels * 1e6 * 3 / 4) ** 0.5), round((megapixels * 1e6 * 4 / 3) ** 0.5)
        for name in ("nano", "convnext-large"):
            with torch.device("meta"):
                input_size = BUILDERS[name]().input_size
            way = framing(size, input_size)
            row = compared(options.candidates, way)
            print(f"| {megapixels:g} | {name} {row}", flush=True)  # noqa: T201


def framing(size: tuple[int, int], of: InputSize) -> Framing:
    """Return the framing of a picture of this size."""
    height, width = resized_size(size, of.shortest, of.longest)
    padded = -(-height // of.divisor) * of.divisor, -(-width // of.divisor) * of.divisor
    return Framing(padded, (height, width), size)


def compared(candidates: int, way: Framing) -> str:
    """Return the rest of a row of the table."""
    logits, scores = ellipses(candidates, way.padded[0] // 4, way.padded[1] // 4)
    resize = masks_resize(logits, way)
    start = time.process_time()
    blocks = claim_pixels(logits, scores, resize).owner
    own = time.process_time() - start
    start = time.process_time()
    whole = every_pixel(logits, scores, resize)
    other = time.process_time() - start
    differ = int((whole.numpy() != blocks).sum())
    return f"| {other:.2f} | {own:.2f} | {other / own:.1f} | {differ} |"


def every_pixel(logits: Tensor, scores: Tensor, resize: TiledResize) -> Tensor:
    """Return the owners [H, W] as they were found before there were blocks."""
    height, width = resize.output_size
    owner = torch.zeros(height, width, dtype=torch.int32)
    covered = torch.zeros(len(scores), dtype=torch.int64)
    won = torch.zeros_like(covered)
    for start, stop in row_tiles(height, len(scores) * width):
        probs = resize.rows(logits[:, resize.needed(start, stop)], start, stop).sigmoid_()
        winner = (scores[:, None, None] * probs).max(dim=0).indices
        covers = probs >= 0.5
        won += winner.flatten().bincount(minlength=len(scores))
        covered += covers.sum(dim=(1, 2))
        owner[start:stop] = (winner + 1) * covers.gather(0, winner[None])[0]
    return owner


def ellipses(number: int, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Return mask logits [N, h, w], soft at the outline and noisy, and scores [N]."""
    random = torch.Generator().manual_seed(0)
    y, x = torch.arange(height)[:, None] / height, torch.arange(width) / width
    masks = []
    for _ in range(number):
        top, left = torch.rand(2, generator=random)
        tall, wide = 0.04 + 0.3 * torch.rand(2, generator=random) ** 2
        inside = 1 - ((y - top) / tall) ** 2 - ((x - left) / wide) ** 2
        noise = torch.randn(height, width, generator=random)
        masks.append((6 * inside).clamp(-12, 10) + 0.3 * noise)
    return torch.stack(masks), 0.1 + 0.8 * torch.rand(number, generator=random)


if __name__ == "__main__":
    main()
