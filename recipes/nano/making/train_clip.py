"""Train the nano CLIP from nothing: captioned regions against the names of all classes.

    OMP_NUM_THREADS=1 python -m recipes.nano.making.train_clip --out /tmp/nano/clip

The first part sees mosaics of single stickers, the rest crops of crowded scenes. Scheduled by
iterations, seeded; the same command takes up a stopped run at its last checkpoint. OUT/log.jsonl
gets a line every 50 iterations, OUT/clip.safetensors the weights.
"""

import argparse
import json
import time
from pathlib import Path
from types import MethodType
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from frozenseg_label.inference.predictor_spec import choose_device
from frozenseg_label.model.builders import build_nano_clip
from frozenseg_label.model.clip_backbone import ConvNextClip, tokens_in
from frozenseg_label.model.text_classifier import TEMPLATES
from frozenseg_label.model.token_embedding import CompactTokenEmbedding
from recipes.nano.making.clip_batches import Curriculum, RegionBatch, jitter_colors
from recipes.nano.making.clip_evaluation import evaluate
from recipes.nano.making.stage_files import ITERATIONS, take_up, write_state, write_weights
from recipes.nano.making.world import DEFAULT_ASSETS, Concept, load_world, read_concepts

WARM_UP = 100  # iterations
CHECKPOINT_EVERY = 200
VARIANTS = 8  # restyled versions of every drawing


def prepare_model(concepts: tuple[Concept, ...]) -> ConvNextClip:
    """Build the model; every token in the words of the nano world gets a row of the table."""
    model = build_nano_clip()
    table = cast("CompactTokenEmbedding", model.model.token_embedding)
    prompts = [
        template.format(name) for c in concepts for name in c.names for template in TEMPLATES
    ]
    wanted = sorted({0, *tokens_in(prompts)})
    spare = len(table.token_ids) - len(wanted)  # rows without a token: no token is negative
    wanted = [*range(-spare, 0), *wanted]
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
        with torch.autocast(x.device.type, enabled=False):
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
            module.forward = MethodType(in_float32, module)  # type: ignore[method-assign]


def region_loss(
    model: ConvNextClip, table: nn.Parameter, batch: RegionBatch, prompts: list[str], bf16: bool
) -> tuple[Tensor, float]:
    """Return the cross-entropy of regions against the prompts of all classes; share that is right.

    Half of the loss is the same against a table of class vectors [K, D], which is thrown away
    afterwards: at first the text tower's vectors of all classes are nearly the same, and images
    learn little from them. After 200 iterations 20 % were right with the table, 12 % without.
    """
    pixels, masks, classes = (
        torch.from_numpy(values).to(table.device)
        for values in (batch.pixels, batch.masks, batch.classes)
    )
    pixels = pixels.permute(0, 3, 1, 2).float()  # [B, 3, H, W], channels last
    sizes = [(pixels.shape[2], pixels.shape[3])] * len(pixels)
    with torch.autocast(table.device.type, dtype=torch.bfloat16, enabled=bf16):
        _, dense = model.extract_features(pixels, sizes)
    regions, _ = model.embed_masks(dense.float(), masks)  # [B, T, D]
    regions, classes = regions[classes >= 0], classes[classes >= 0]
    words = F.normalize(model.encode_text(prompts), dim=-1)  # [K, D]
    regions = model.logit_scale.exp().clamp(max=100) * F.normalize(regions, dim=-1)
    logits = regions @ words.T
    right = (logits.argmax(dim=-1) == classes).float().mean()
    of_table = F.cross_entropy(regions @ F.normalize(table, dim=-1).T, classes)
    return F.cross_entropy(logits, classes) + of_table, float(right)


def choose_prompts(rng: np.random.Generator, concepts: tuple[Concept, ...]) -> list[str]:
    """Return a prompt for each class: one template for all, mostly the first name of each."""
    template = TEMPLATES[rng.integers(len(TEMPLATES))]
    names = [
        c.name if rng.random() < 0.7 else c.names[rng.integers(len(c.names))] for c in concepts
    ]
    return [template.format(name) for name in names]


def make_optimizer(model: nn.Module, table: nn.Parameter, rate: float) -> torch.optim.AdamW:
    """Return AdamW without decay on norms, biases, embeddings and the table."""
    decayed = [p for n, p in model.named_parameters() if p.ndim >= 2 and "embedding" not in n]
    others = [p for n, p in model.named_parameters() if p.ndim < 2 or "embedding" in n]
    others.append(table)
    groups = [{"params": decayed, "weight_decay": 0.05}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.98), fused=True)


def rate_at(iteration: int, iterations: int) -> float:
    """Return the share of the full rate at an iteration: warm-up, then half a cosine."""
    if iteration < WARM_UP:
        return (iteration + 1) / WARM_UP
    return 0.5 + 0.5 * float(np.cos(np.pi * (iteration - WARM_UP) / max(iterations - WARM_UP, 1)))


def train(
    out: Path,
    iterations: int,
    rate: float,
    assets: Path,
    seed: int,
    evaluate_every: int,
    bf16: bool,
    start: Path | None,
) -> None:
    """Run the training from its last checkpoint to its end."""
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    plain = load_world("train", assets)
    restyled = load_world("train", assets, variants=VARIANTS)
    curriculum = Curriculum(plain, restyled, iterations)
    concepts = plain.concepts
    device = choose_device("auto")
    model = prepare_model(read_concepts(everything=True)).to(device)
    table = nn.Parameter(torch.randn(len(concepts), model.embedding_size, device=device))
    optimizer = make_optimizer(model, table, rate)
    names = [concept.name for concept in concepts]
    begun = resume(out / "training.pt", start, model, table, names, optimizer)
    log = (out / "log.jsonl").open("a")
    began, losses, shares = time.time(), [], []
    for iteration in range(begun, iterations):
        rng = np.random.default_rng([seed, iteration])
        batch = jitter_colors(rng, curriculum.batch(rng, iteration))
        for group in optimizer.param_groups:
            group["lr"] = rate * rate_at(iteration, iterations)
        model.train()
        loss, right = region_loss(model, table, batch, choose_prompts(rng, concepts), bf16)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_([*model.parameters(), table], 1.0)
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
            save(out, model, table, optimizer, done)
        if done % evaluate_every == 0 or done == iterations:
            print(json.dumps({"iteration": done, **evaluate(model, assets)}), file=log, flush=True)


def resume(
    path: Path,
    start: Path | None,
    model: ConvNextClip,
    table: nn.Parameter,
    names: list[str],
    optimizer: torch.optim.Optimizer,
) -> int:
    """Take up an earlier run, where there is one; return the iterations done.

    With only weights, the table [K, D] begins with the text tower's vectors of the K names.
    """
    state, done = take_up(path, start, model)
    if state is not None:
        model.load_state_dict(state["model"])
        table.data.copy_(state["table"])
        optimizer.load_state_dict(state["optimizer"])
    elif start is not None:
        with torch.no_grad():
            words = F.normalize(model.encode_text(names), dim=-1)
        table.data.copy_(words * model.embedding_size**0.5)  # as long as random ones
    return done


def save(
    out: Path,
    model: nn.Module,
    table: nn.Parameter,
    optimizer: torch.optim.Optimizer,
    iterations: int,
) -> None:
    """Write a checkpoint, whole or not at all."""
    state = {
        "model": model.state_dict(),
        "table": table.data,
        "optimizer": optimizer.state_dict(),
        ITERATIONS: iterations,
    }
    write_state(out / "training.pt", state)
    write_weights(out / "clip.safetensors", model, iterations)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("/tmp/nano/clip"))
    parser.add_argument("--iterations", type=int, default=17500)
    parser.add_argument("--rate", type=float, default=3e-3)
    parser.add_argument("--assets", type=Path, default=DEFAULT_ASSETS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--evaluate-every", type=int, default=1000)
    parser.add_argument(
        "--start", type=Path, help="weights to go on from, as checkpoints/ has them"
    )
    parser.add_argument("--bf16", action="store_true", help="for CPUs with AVX-512 bfloat16")
    train(**vars(parser.parse_args()))


if __name__ == "__main__":
    main()
