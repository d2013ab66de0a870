"""Train nano's SAM from nothing: any segment of a scene, known class or not, from one point on it.

    OMP_NUM_THREADS=1 python -m recipes.nano.making.train_sam --out OUT --assets ASSETS

OUT gets sam.safetensors (the weights so far), training.pt (give the same command again and it goes
on from there) and log.jsonl (losses; IoU on fresh scenes of the training styles and of the
validation style). Everything goes by iterations and seeds, nothing by the clock.
"""

import argparse
import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from frozenseg_label.inference.predictor_spec import choose_device
from frozenseg_label.model.builders import build_nano_sam
from frozenseg_label.model.sam import FrozenSam
from recipes.nano.making.sam_batches import PointBatch, draw_batch
from recipes.nano.making.sam_evaluation import decode, evaluate_sam
from recipes.nano.making.sam_losses import DenseTasks, mask_losses
from recipes.nano.making.stage_files import ITERATIONS, take_up, write_state, write_weights
from recipes.nano.making.world import DEFAULT_ASSETS, World, load_world

WEIGHTS = {"mask": 1.0, "iou": 1.0, "thing": 0.5, "boundary": 0.5, "box": 2.0, "affinity": 1.0}
VARIANTS = 2  # restyled versions of every drawing


@dataclass(frozen=True)
class Settings:
    """How long and on how much to train.

    Attributes:
        iterations: of the whole schedule.
        batch_size: scenes per iteration.
        points: per scene.
        dense_only: share of the schedule in which only the dense tasks train the encoder.
        bf16: encode in bfloat16: a third less time on CPUs that have it, many times more on the
            others.
    """

    iterations: int
    batch_size: int = 4
    points: int = 6
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    warm_up: int = 150
    dense_only: float = 0.15
    bf16: bool = False
    seed: int = 0
    checkpoint_every: int = 250
    evaluate_every: int = 1000
    evaluation_scenes: int = 40


def train_sam(out: Path, assets: Path, settings: Settings, start: Path | None = None) -> None:
    """Run the schedule to its end, from the last checkpoint if there is one."""
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(settings.seed)
    sam = build_nano_sam()
    sam.image_encoder.patch_embed.to(memory_format=torch.channels_last)  # a sixth less time
    aim_at_points(sam)
    device = choose_device("auto")
    sam, tasks = sam.to(device), DenseTasks(sam.channels).to(device)
    optimizer = torch.optim.AdamW(_groups(sam, tasks, settings.weight_decay))
    done, seconds = _resume(out, start, sam, tasks, optimizer)
    world = load_world("train", assets, variants=VARIANTS)
    evaluated = [
        ("train_styles", load_world("train", assets)),
        ("validation_style", load_world("validate", assets)),
    ]
    began = time.process_time() - seconds
    for iteration in range(done, settings.iterations):
        losses = train_step(sam, tasks, optimizer, world, iteration, settings)
        finished, seconds = iteration + 1, time.process_time() - began
        last = finished == settings.iterations
        row: dict[str, object] = {"iteration": finished, "cpu_seconds": round(seconds, 1)}
        if finished % 25 == 0 or last:
            _log(out, row | {k: round(v, 4) for k, v in losses.items()})
        if finished % settings.evaluate_every == 0 or last:
            for name, scenes in evaluated:
                _log(
                    out,
                    row | {"scenes": name} | evaluate_sam(sam, scenes, settings.evaluation_scenes),
                )
        if finished % settings.checkpoint_every == 0 or last:
            _save(out, sam, tasks, optimizer, finished, seconds)


def aim_at_points(sam: FrozenSam, gain: float = 1.5) -> None:
    """Let the mask decoder's attention begin highest where a point is.

    Position encodings of near places have a high scalar product. With equal query and key
    projections attention begins as a soft spot around the point; training takes long to find that.
    """
    transformer = sam.mask_decoder.transformer
    crossings = [transformer.final_attn_token_to_image]
    for layer in transformer.layers:
        crossings += [layer.cross_attn_token_to_image, layer.cross_attn_image_to_token]
    for attention in crossings:
        nn.init.orthogonal_(attention.q_proj.weight, gain=gain)
        attention.k_proj.load_state_dict(attention.q_proj.state_dict())


def train_step(
    sam: FrozenSam,
    tasks: DenseTasks,
    optimizer: torch.optim.Optimizer,
    world: World,
    iteration: int,
    settings: Settings,
) -> dict[str, float]:
    """Take one step on fresh scenes; return the losses."""
    torch.manual_seed(settings.seed * 10**6 + iteration)
    first = settings.seed * 10**8 + iteration * settings.batch_size
    seeds = range(first, first + settings.batch_size)
    batch = draw_batch(world, seeds, settings.points, sam.image_size, vary=True)
    batch = batch.to(tasks.margin.device)
    sam.train()
    embedding = encode(sam, batch, settings.bf16)
    losses = tasks(embedding, batch)
    if iteration >= settings.dense_only * settings.iterations:
        logits, iou = decode(sam, embedding, batch.points)
        losses |= mask_losses(logits.flatten(0, 1), iou.flatten(0, 1), batch.targets.flatten(0, 1))
    total = torch.stack([WEIGHTS[name] * loss for name, loss in losses.items()]).sum()
    optimizer.zero_grad(set_to_none=True)
    total.backward()
    norm = nn.utils.clip_grad_norm_([p for g in optimizer.param_groups for p in g["params"]], 1.0)
    for group in optimizer.param_groups:
        group["lr"] = _learning_rate(iteration, settings)
    optimizer.step()
    return {name: float(loss.detach()) for name, loss in losses.items()} | {"norm": float(norm)}


def encode(sam: FrozenSam, batch: PointBatch, bf16: bool) -> Tensor:
    """Embed the images, [B, C, s, s]."""
    sizes = [(sam.image_size, sam.image_size)] * len(batch.images)
    with torch.autocast(batch.images.device.type, torch.bfloat16, enabled=bf16):
        images = batch.images.contiguous(memory_format=torch.channels_last)
        return sam.encode(images, sizes).float()


def _learning_rate(iteration: int, settings: Settings) -> float:
    """Return the rate of an iteration: linear warm-up, then half a cosine down to a hundredth."""
    warm = min(1.0, (iteration + 1) / settings.warm_up)
    share = iteration / settings.iterations
    return settings.learning_rate * warm * (0.01 + 0.99 * 0.5 * (1.0 + math.cos(math.pi * share)))


def _groups(sam: nn.Module, tasks: nn.Module, weight_decay: float) -> Iterator[dict[str, object]]:
    """Yield the parameters in two groups: norms, biases and position tables do not decay."""
    parameters = [(n, p) for m in (sam, tasks) for n, p in m.named_parameters()]
    decayed = [p for n, p in parameters if p.ndim >= 2 and "pos" not in n and "token" not in n]
    kept = {id(p) for p in decayed}
    yield {"params": decayed, "weight_decay": weight_decay}
    yield {"params": [p for _, p in parameters if id(p) not in kept], "weight_decay": 0.0}


def _save(
    out: Path,
    sam: nn.Module,
    tasks: nn.Module,
    optimizer: torch.optim.Optimizer,
    done: int,
    seconds: float,
) -> None:
    """Write the weights and the state of the training; each file appears whole or not at all."""
    state = {
        "sam": sam.state_dict(),
        "tasks": tasks.state_dict(),
        "optimizer": optimizer.state_dict(),
        ITERATIONS: done,
        "cpu_seconds": seconds,
    }
    write_state(out / "training.pt", state)
    write_weights(out / "sam.safetensors", sam, done)


def _resume(
    out: Path,
    start: Path | None,
    sam: nn.Module,
    tasks: nn.Module,
    optimizer: torch.optim.Optimizer,
) -> tuple[int, float]:
    """Take up an earlier run, where there is one; return its iterations and CPU seconds."""
    state, done = take_up(out / "training.pt", start, sam)
    if state is None:
        return done, 0.0
    sam.load_state_dict(state["sam"])
    tasks.load_state_dict(state["tasks"])
    optimizer.load_state_dict(state["optimizer"])
    return done, state["cpu_seconds"]


def _log(out: Path, row: dict[str, object]) -> None:
    with (out / "log.jsonl").open("a") as log:
        log.write(json.dumps(row | {"time": time.strftime("%H:%M:%S")}) + "\n")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--assets", type=Path, default=DEFAULT_ASSETS)
    parser.add_argument("--iterations", type=int, default=10000)
    parser.add_argument(
        "--start", type=Path, help="weights to go on from, as checkpoints/ has them"
    )
    parser.add_argument("--bf16", action="store_true", help="for CPUs with AVX-512 bfloat16")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    settings = Settings(iterations=given.iterations, bf16=given.bf16)
    train_sam(given.out, given.assets, settings, given.start)


if __name__ == "__main__":
    main()
