"""FrozenSeg as a whole: three methods in a row, and what may not change between them."""

import pytest
import torch

from frozenseg_label.model.frozenseg import FrozenSeg
from frozenseg_label.model.text_classifier import TextClassifier


def classifier(names: int, seed: int) -> TextClassifier:
    embeddings = torch.randn(names, 16, generator=torch.Generator().manual_seed(seed))
    seen = torch.arange(names) % 2 == 0
    return TextClassifier(torch.nn.functional.normalize(embeddings, dim=-1), (1,) * names, seen)


def pictures(*sizes: tuple[int, int], padded: tuple[int, int] = (64, 96)) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    pixels = torch.zeros(len(sizes), 3, *padded)
    for image, (h, w) in zip(pixels, sizes, strict=True):
        image[:, :h, :w] = torch.randint(0, 256, (3, h, w), generator=generator).float()
    return pixels


@torch.inference_mode()
def test_classifying_kept_proposals_with_other_words_is_what_a_fresh_run_gives(
    tiny_frozenseg: FrozenSeg,
) -> None:
    sizes = [(64, 96)]
    proposals = tiny_frozenseg.propose(tiny_frozenseg.extract_features(pictures(*sizes), sizes))
    tiny_frozenseg.classify(proposals, classifier(5, seed=2))
    kept = tiny_frozenseg.classify(proposals, classifier(7, seed=3))
    again = tiny_frozenseg.propose(tiny_frozenseg.extract_features(pictures(*sizes), sizes))
    fresh = tiny_frozenseg.classify(again, classifier(7, seed=3))
    assert torch.equal(kept.class_probs, fresh.class_probs)
    assert torch.equal(kept.mask_logits, fresh.mask_logits)


@torch.inference_mode()
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_result_does_not_depend_on_what_else_is_in_the_batch(
    tiny_frozenseg: FrozenSeg, place: int
) -> None:
    sizes = [(64, 96), (60, 90), (40, 96)]
    pixels = pictures(*sizes)
    others = pixels.clone()
    for i in {0, 1, 2} - {place}:
        others[i, :, : sizes[i][0], : sizes[i][1]] = (
            255 - others[i, :, : sizes[i][0], : sizes[i][1]]
        )
    words = classifier(5, seed=2)

    def run(batch: torch.Tensor, which: list[tuple[int, int]]) -> tuple[torch.Tensor, torch.Tensor]:
        masks = tiny_frozenseg.classify(
            tiny_frozenseg.propose(tiny_frozenseg.extract_features(batch, which)), words
        )
        return masks.mask_logits, masks.class_probs

    logits, probs = run(pixels, sizes)
    logits_beside_others, probs_beside_others = run(others, sizes)
    assert torch.equal(
        logits[place], logits_beside_others[place]
    )  # bitwise at equal shape and batch size
    assert torch.equal(probs[place], probs_beside_others[place])
    alone, probs_alone = run(pixels[place : place + 1], sizes[place : place + 1])
    torch.testing.assert_close(logits[place], alone[0], atol=1e-4, rtol=0)
    torch.testing.assert_close(probs[place], probs_alone[0], atol=1e-4, rtol=0)


@torch.inference_mode()
def test_what_lies_in_the_padding_is_not_seen(tiny_frozenseg: FrozenSeg) -> None:
    pixels = pictures((50, 80))
    noisy = pixels.clone()
    noisy[:, :, 50:], noisy[:, :, :, 80:] = 200, 100
    clean = tiny_frozenseg.propose(tiny_frozenseg.extract_features(pixels, [(50, 80)]))
    dirty = tiny_frozenseg.propose(tiny_frozenseg.extract_features(noisy, [(50, 80)]))
    assert torch.equal(clean.mask_logits, dirty.mask_logits)


def test_the_encoders_stay_frozen_and_in_evaluation_mode_while_the_decoder_trains(
    tiny_frozenseg: FrozenSeg,
) -> None:
    tiny_frozenseg.train()
    assert tiny_frozenseg.pixel_decoder.training
    assert not any(
        m.training for part in (tiny_frozenseg.clip, tiny_frozenseg.sam) for m in part.modules()
    )
    trained = {
        name.split(".")[0] for name, p in tiny_frozenseg.named_parameters() if p.requires_grad
    }
    assert trained == {"pixel_decoder", "transformer_decoder", "void_embedding"}
