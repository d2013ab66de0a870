"""How well CLIP names the true masks of whole scenes, and single stickers."""

from functools import cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from frozenseg_label.demo.scenes import draw_scene
from frozenseg_label.model.clip_backbone import FrozenClip
from frozenseg_label.model.text_classifier import encode_names
from recipes.nano.making.world import Role, World, load_world

FIRST_SEED = 900_000_000  # no training draws these scenes
load_world_once = cache(load_world)


@torch.inference_mode()
def evaluate(
    model: FrozenClip,
    assets: Path,
    scenes: int = 40,
    sizes: tuple[int, ...] = (256,),
    roles: tuple[Role, ...] = ("train", "validate"),
) -> dict[str, float]:
    """Return top-1 in per cent by role of the style: crops, and masks by input size and kind."""
    model.eval()
    results = {}
    for role in roles:
        world = load_world_once(role, assets)
        words = F.normalize(
            encode_names(model, [concept.name for concept in world.concepts]), dim=-1
        )
        results[f"{role} crops"] = crop_accuracy(model, world, words)
        for size in sizes:
            for kind, value in mask_accuracy(model, world, words, scenes, size).items():
                results[f"{role} {size} {kind}"] = value
    return {name: round(value, 1) for name, value in results.items()}


def crop_accuracy(
    model: FrozenClip, world: World, words: Tensor, count: int = 240, side: int = 96
) -> float:
    """Return top-1 in per cent of single large stickers, pooled over their true mask."""
    numbers = {concept.name: number for number, concept in enumerate(world.concepts)}
    right, total = 0, 0
    for seed in range(count):
        rng = np.random.default_rng(FIRST_SEED + seed)
        scene = draw_scene(
            rng, world.cutouts, world.textures, side, things=(1, 1), side=(0.7, 0.95)
        )
        things = [segment for segment in scene.segments if segment.is_thing]
        if things:
            masks = scene.ids[None] == things[0].id
            scores = classify(model, words, scene.image, masks)
            right += int(scores.argmax()) == numbers[things[0].name]
            total += 1
    return 100.0 * right / total


def mask_accuracy(
    model: FrozenClip, world: World, words: Tensor, count: int, size: int
) -> dict[str, float]:
    """Return top-1 in per cent of the true masks of scenes that are resized to an input size."""
    numbers = {concept.name: number for number, concept in enumerate(world.concepts)}
    right: dict[str, list[bool]] = {}
    for seed in range(count):
        scene = world.scene(FIRST_SEED + seed)
        image = np.asarray(
            Image.fromarray(scene.image).resize((size, size), Image.Resampling.BILINEAR)
        )
        masks = np.stack([scene.ids == segment.id for segment in scene.segments])
        found = classify(model, words, image, masks).argmax(dim=-1).tolist()
        for segment, number in zip(scene.segments, found, strict=True):
            concept = world.concepts[numbers[segment.name]]
            kind = "seen " if concept.seen else "unseen "
            kind += "things" if concept.is_thing else "stuff"
            right.setdefault(kind, []).append(number == numbers[segment.name])
    return {kind: 100.0 * float(np.mean(hits)) for kind, hits in sorted(right.items())}


def classify(model: FrozenClip, words: Tensor, image: np.ndarray, masks: np.ndarray) -> Tensor:
    """Return cosines [Q, K] of masks bool [Q, H, W] of one image uint8 [h, w, 3]."""
    device = words.device
    pixels = torch.from_numpy(image.copy()).to(device).permute(2, 0, 1)[None].float()
    _, dense = model.extract_features(pixels, [image.shape[:2]])
    logits = torch.from_numpy(masks).to(device)[None].float() * 2.0 - 1.0  # [1, Q, H, W]
    logits = F.interpolate(logits, size=(image.shape[0] // 4, image.shape[1] // 4), mode="area")
    regions, _ = model.embed_masks(dense, logits)
    return F.normalize(regions[0], dim=-1) @ words.T
