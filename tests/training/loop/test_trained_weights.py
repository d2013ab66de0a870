"""A model can have a mean of its weights and the starting ones for a while."""

import pytest
import torch

from frozenseg_label.model.frozenseg import FrozenSeg
from frozenseg_label.training.loop.trained_weights import blended, copy_of_trained_weights


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
