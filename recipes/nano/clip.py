"""Train the nano CLIP from nothing: captioned regions against the names of all classes.

    python recipes/nano/clip.py --out /tmp/nano/clip --iterations 3800

The first third sees mosaics of single stickers, the rest crops of crowded scenes. Scheduled by
iterations, seeded; the same command takes up a stopped run at its last checkpoint. OUT/log.jsonl
gets a line every 50 iterations, OUT/clip.pt the weights.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from clip_evaluation import evaluate
from clip_samples import (
    RegionBatch,
    Stream,
    crop_batch,
    draw_crowd,
    draw_tile,
    jitter_colors,
    mosaic_batch,
)
from torch import Tensor, nn
from world import DEFAULT_ASSETS, Concept, load_world, read_concepts

from frozenseg_label.model.builders import build_nano_clip
from frozenseg_label.model.clip_backbone import ConvNextClip, tokens_in
from frozenseg_label.model.text_classifier import TEMPLATES

MOSAIC_SHARE = 0.33  # of the iterations
MOSAICS, CROPS = 32, 16  # pictures of a batch: about as much work each
WARM_UP = 100  # iterations
CHECKPOINT_EVERY = 200


def prepare_model(concepts: tuple[Concept, ...]) -> ConvNextClip:
    """Build the model; every token of the nano world's words gets a row of the token table."""
    model = build_nano_clip()
    table = model.model.token_embedding
    prompts = [
        template.format(name) for c in concepts for name in c.names for template in TEMPLATES
    ]
    wanted = sorted({0, *tokens_in(prompts)})
    spare = sorted(set(range(len(table.token_ids) + len(wanted))) - set(wanted))
    wanted = sorted(wanted + spare[: len(table.token_ids) - len(wanted)])
    table.token_ids.copy_(torch.tensor(wanted))
    with torch.no_grad():
        # The end token's own row would drown what it gathers: all prompts would start out equal.
        nn.init.normal_(table.weight, std=0.3)
        table.weight[torch.tensor([token >= 49406 for token in wanted] + [False])] = 0.0
        nn.init.normal_(model.model.positional_embedding, std=0.01)
    fast_depthwise(model)
    return model.to(memory_format=torch.channels_last)


def fast_depthwise(model: nn.Module) -> None:
    """Keep depthwise convolutions in float32 under autocast: bfloat16 is slower there on CPUs."""

    def in_float32(module: nn.Conv2d, x: Tensor) -> Tensor:
        with torch.autocast("cpu", enabled=False):
            return F.conv2d(
                x.float(),
                module.weight,
                module.bias,
                module.stride,
                module.padding,
                module.dilation,
                module.groups,
            )

    for module in model.modules():
        if isinstance(module, nn.Conv2d) and module.groups > 1:
            module.forward = in_float32.__get__(module)


def region_loss(
    model: ConvNextClip, batch: RegionBatch, prompts: list[str]
) -> tuple[Tensor, float]:
    """Cross-entropy of every region against the prompts of all classes; share that is right."""
    pixels = (
        torch.from_numpy(batch.pixels).permute(0, 3, 1, 2).float()
    )  # [B, 3, H, W], channels last
    sizes = [(pixels.shape[2], pixels.shape[3])] * len(pixels)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        _, dense = model.extract_features(pixels, sizes)
    regions, _ = model.embed_masks(dense.float(), torch.from_numpy(batch.masks))  # [B, T, D]
    classes = torch.from_numpy(batch.classes)
    regions, classes = regions[classes >= 0], classes[classes >= 0]
    words = F.normalize(model.encode_text(prompts), dim=-1)  # [K, D]
    logits = model.logit_scale.exp().clamp(max=100) * F.normalize(regions, dim=-1) @ words.T
    right = (logits.argmax(dim=-1) == classes).float().mean()
    return F.cross_entropy(logits, classes), float(right)


def choose_prompts(rng: np.random.Generator, concepts: tuple[Concept, ...]) -> list[str]:
    """One template for all, one name for each class: mostly the first, sometimes a synonym."""
    template = TEMPLATES[rng.integers(len(TEMPLATES))]
    names = [
        c.name if rng.random() < 0.7 else c.names[rng.integers(len(c.names))] for c in concepts
    ]
    return [template.format(name) for name in names]


def make_optimizer(model: nn.Module, rate: float) -> torch.optim.AdamW:
    """AdamW without decay on norms, biases and embeddings."""
    decayed = [p for n, p in model.named_parameters() if p.ndim >= 2 and "embedding" not in n]
    others = [p for n, p in model.named_parameters() if p.ndim < 2 or "embedding" in n]
    groups = [{"params": decayed, "weight_decay": 0.05}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.98), fused=True)


def rate_at(iteration: int, iterations: int) -> float:
    """Warm-up, then half a cosine; share of the full rate."""
    if iteration < WARM_UP:
        return (iteration + 1) / WARM_UP
    return 0.5 + 0.5 * float(np.cos(np.pi * (iteration - WARM_UP) / max(iterations - WARM_UP, 1)))


def train(
    out: Path, iterations: int, rate: float, assets: Path, seed: int, evaluate_every: int
) -> None:
    """Run the training from its last checkpoint to its end."""
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    world = load_world("train", assets)
    concepts = world.concepts
    model = prepare_model(read_concepts(everything=True))
    optimizer = make_optimizer(model, rate)
    start = resume(out / "clip.pt", model, optimizer)
    mosaics = round(MOSAIC_SHARE * iterations)
    tiles = Stream(
        lambda number: draw_tile(world, number, hard=min(number / 16 / mosaics, 1.0)), 4000, 16, 0
    )
    scenes = Stream(lambda number: draw_crowd(world, number), 1500, 2, 10_000_000)
    log = (out / "log.jsonl").open("a")
    began, losses, shares = time.time(), [], []
    for iteration in range(start, iterations):
        rng = np.random.default_rng([seed, iteration])
        easy = iteration < mosaics
        batch = (
            mosaic_batch(rng, tiles, iteration, MOSAICS)
            if easy
            else crop_batch(rng, scenes, iteration - mosaics, CROPS)
        )
        batch = jitter_colors(rng, batch)
        for group in optimizer.param_groups:
            group["lr"] = rate * rate_at(iteration, iterations)
        model.train()
        loss, right = region_loss(model, batch, choose_prompts(rng, concepts))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
        shares.append(right)
        done = iteration + 1
        if done % 50 == 0:
            line = {
                "iteration": done,
                "loss": np.mean(losses[-50:]),
                "right": np.mean(shares[-50:]),
            }
            line |= {"scale": model.logit_scale.exp().item(), "seconds": round(time.time() - began)}
            print(json.dumps(line), file=log, flush=True)
        if done % CHECKPOINT_EVERY == 0 or done == iterations:
            save(out / "clip.pt", model, optimizer, done)
        if done % evaluate_every == 0 or done == iterations:
            print(json.dumps({"iteration": done, **evaluate(model, assets)}), file=log, flush=True)


def resume(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> int:
    """Load the last checkpoint where there is one; returns the iterations done."""
    if not path.exists():
        return 0
    state = torch.load(path, weights_only=True)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    return int(state["iteration"])


def save(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, iteration: int) -> None:
    """Write a checkpoint, whole or not at all."""
    temporary = path.with_suffix(".tmp")
    state = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "iteration": iteration,
    }
    torch.save(state, temporary)
    temporary.replace(path)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("/tmp/nano/clip"))
    parser.add_argument("--iterations", type=int, default=3800)
    parser.add_argument("--rate", type=float, default=3e-3)
    parser.add_argument("--assets", type=Path, default=DEFAULT_ASSETS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--evaluate-every", type=int, default=500)
    train(**vars(parser.parse_args()))


if __name__ == "__main__":
    main()
