"""bfloat16 is taken where the processor has instructions for it and is faster with them."""

import logging

import pytest
import torch

from frozenseg_label.model import precision
from frozenseg_label.model.precision import LayerSeconds, measure_layer, uses_bf16
from frozenseg_label.training.settings import TrainSettings

HAS_INSTRUCTIONS = torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()


def test_what_is_asked_for_is_taken() -> None:
    assert uses_bf16("bf16", "cpu")
    assert not uses_bf16("fp32", "cuda")


def test_auto_is_bfloat16_on_cuda_and_float32_on_mps() -> None:
    assert uses_bf16("auto", "cuda")
    assert not uses_bf16("auto", "mps")


@pytest.mark.skipif(HAS_INSTRUCTIONS, reason="this processor has instructions for bfloat16")
def test_without_instructions_it_is_float32_and_nothing_is_measured(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(precision, "CELLS", -1)  # a measurement would fail
    precision._pays_on_this_cpu.cache_clear()
    with caplog.at_level(logging.INFO, "frozenseg_label"):
        assert not uses_bf16("auto", "cpu")
    assert not caplog.messages


@pytest.mark.parametrize(
    ("fp32", "bf16", "taken"),
    [(0.010, 0.004, "bfloat16"), (0.004, 0.010, "float32"), (0.010, 0.0095, "float32")],
)
def test_the_precision_that_was_measured_to_be_faster_is_taken(
    fp32: float, bf16: float, taken: str
) -> None:
    seconds = LayerSeconds(fp32, bf16)
    assert seconds.bf16_pays == (taken == "bfloat16")
    assert f"{seconds}".startswith(f"{taken} on this CPU")
    assert f"{fp32 / bf16:.1f} times" in f"{seconds}"


def test_the_layer_can_be_measured_here() -> None:
    seconds = measure_layer()
    assert seconds.fp32 > 0
    assert seconds.bf16 > 0


@pytest.mark.parametrize("asked", ["auto", "fp32", "bf16"])
@pytest.mark.parametrize("device", ["cpu", "cuda", "mps"])
def test_training_takes_the_same_precision_as_labelling(
    asked: precision.Precision, device: str
) -> None:
    assert TrainSettings(precision=asked).uses_bf16(device) == uses_bf16(asked, device)
