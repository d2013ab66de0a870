"""A model can have a mean of its weights and the starting ones for a while."""

from pathlib import Path

import pytest
import torch

from frozenseg_label.checkpoints.checkpoint import save_checkpoint
from frozenseg_label.checkpoints.header import TrainingCategory, read_checkpoint_info
from frozenseg_label.model.frozenseg import FrozenSeg
from frozenseg_label.training.loop.trained_weights import (
    blended,
    copy_of_trained_weights,
    save_learnt,
)


def change(model: FrozenSeg) -> None:
    with torch.no_grad():
        model.void_embedding += 4.0
        model.transformer_decoder.query_features -= 2.0


def test_a_quarter_of_the_start_takes_a_quarter_of_every_change_back(
    tiny_frozenseg: FrozenSeg,
) -> None:
    start = copy_of_trained_weights(tiny_frozenseg)
    change(tiny_frozenseg)
    learnt = copy_of_trained_weights(tiny_frozenseg)
    encoder = tiny_frozenseg.clip.logit_scale.clone()

    with blended(tiny_frozenseg, start, 0.25):
        torch.testing.assert_close(
            tiny_frozenseg.void_embedding.detach(), start["void_embedding"] + 3.0
        )
        torch.testing.assert_close(
            tiny_frozenseg.transformer_decoder.query_features.detach(),
            start["transformer_decoder.query_features"] - 1.5,
        )
        assert torch.equal(tiny_frozenseg.clip.logit_scale, encoder)

    for name, value in copy_of_trained_weights(tiny_frozenseg).items():
        assert torch.equal(value, learnt[name]), name


def test_what_was_learnt_comes_back_after_an_error_too(tiny_frozenseg: FrozenSeg) -> None:
    start = copy_of_trained_weights(tiny_frozenseg)
    change(tiny_frozenseg)
    learnt = tiny_frozenseg.void_embedding.detach().clone()
    with pytest.raises(KeyboardInterrupt), blended(tiny_frozenseg, start, 0.5):
        raise KeyboardInterrupt
    assert torch.equal(tiny_frozenseg.void_embedding, learnt)


def test_what_the_encoders_were_made_for_stays_after_a_training(
    tmp_path: Path, tiny_frozenseg: FrozenSeg
) -> None:
    cat = [TrainingCategory(names=("cat",), is_thing=True)]
    path = tmp_path / "start.safetensors"
    start = save_checkpoint(path, tiny_frozenseg, "tiny", cat, made_for="drawings")
    save_learnt(tmp_path / "end.safetensors", tiny_frozenseg, start, cat)
    assert read_checkpoint_info(tmp_path / "end.safetensors").made_for == "drawings"
