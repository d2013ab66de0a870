"""In what precision encoders and decoder run: float32, or bfloat16 where that is faster.

Heavy imports stay inside the functions: the command line reads its choices here.
"""

import logging
import time
from dataclasses import dataclass
from functools import cache
from typing import Literal, get_args

Precision = Literal["auto", "fp32", "bf16"]
PRECISIONS: tuple[str, ...] = get_args(Precision)

# bfloat16 moves some edges by a pixel, and not all of a model is like the layer that is measured.
LEAST_GAIN = 1.2

# The layer: the first of an MLP in SAM's ViT-B, for a quarter of an image's tokens.
CELLS, NARROW, WIDE = 1024, 768, 3072
TURNS = 3

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LayerSeconds:
    """What one layer takes on this machine, in seconds."""

    fp32: float
    bf16: float

    @property
    def bf16_pays(self) -> bool:
        """Return whether bfloat16 is so much faster that it is taken."""
        return self.fp32 >= LEAST_GAIN * self.bf16

    def __str__(self) -> str:
        """Say which precision is taken, and why."""
        taken = "bfloat16" if self.bf16_pays else "float32"
        gain = self.fp32 / self.bf16
        return f"{taken} on this CPU: bfloat16 computes a layer {gain:.1f} times as fast as float32"


def uses_bf16(precision: Precision, device: str) -> bool:
    """Return whether encoders and decoder run in bfloat16.

    `auto` takes it on CUDA. On a CPU with instructions for it, one layer is measured once in a
    process, in some tens of milliseconds; the log says what came out.

    Args:
        precision: what was asked for.
        device: its kind: cpu, cuda or mps.
    """
    if precision == "auto":
        return device == "cuda" or (device == "cpu" and _pays_on_this_cpu())
    return precision == "bf16"


@cache
def _pays_on_this_cpu() -> bool:
    """Return whether bfloat16 is faster here; without instructions for it, nothing is measured."""
    import torch

    if not (torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()):
        return False
    seconds = measure_layer()
    log.info("%s", seconds)
    return seconds.bf16_pays


def measure_layer() -> LayerSeconds:
    """Return what the layer takes as the model runs it, the faster of some turns."""
    import torch

    layer, cells = torch.nn.Linear(NARROW, WIDE), torch.randn(CELLS, NARROW)

    def seconds(bf16: bool) -> float:
        start = time.perf_counter()
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            layer(cells)
        return time.perf_counter() - start

    turns = [(seconds(bf16=False), seconds(bf16=True)) for _ in range(1 + TURNS)]
    fp32, bf16 = map(min, zip(*turns[1:], strict=True))  # the first turn loads the code
    return LayerSeconds(fp32, bf16)
