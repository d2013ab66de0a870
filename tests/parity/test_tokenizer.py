"""Prompts against the published ones: the same templates, the same tokens."""

import json
from typing import Any

import pytest

from frozenseg_label.model.clip_backbone import tokenize
from frozenseg_label.model.text_classifier import TEMPLATES
from tests.parity.conftest import FOLDER


@pytest.fixture
def published() -> dict[str, Any]:
    content: dict[str, Any] = json.loads((FOLDER / "tokenizer.json").read_text())
    return content


def test_the_templates_are_the_published_ones(published: dict[str, Any]) -> None:
    assert list(TEMPLATES) == published["templates"]


def test_every_prompt_becomes_the_same_tokens(published: dict[str, Any]) -> None:
    prompts = [prompt for prompt, _ in published["items"]]
    assert len(prompts) >= 56
    for row, (prompt, ids) in zip(tokenize(prompts).tolist(), published["items"], strict=True):
        assert row == ids + [0] * (77 - len(ids)), prompt
