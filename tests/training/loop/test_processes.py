"""Trainings as separate programs: stopped by a signal, and in two processes at once."""

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from frozenseg_label import train
from frozenseg_label.errors import TrainingError
from frozenseg_label.training.loop.processes import open_accelerator

COMMAND = Path(__file__).with_name("tiny_command.py")
SETTINGS = ("batch_size=2", "num_points=64", "log_every=1", "crop_size=64", "precision=fp32")


@pytest.fixture(autouse=True)
def _one_thread_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture
def arguments(scenes: Mapping[str, Path], tiny_weights: Path) -> list[str]:
    """Return the arguments of the command, without the output folder."""
    changes = [part for text in SETTINGS for part in ("--set", text)]
    return ["train", str(scenes["first"]), "--weights", str(tiny_weights), *changes]


def read_log(folder: Path) -> list[dict[str, float]]:
    rows = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if k != "seconds"} for row in rows]


def test_a_program_that_is_told_to_stop_saves_and_exits_130(
    arguments: list[str], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    command = [sys.executable, str(COMMAND), *arguments, "--max-steps", "200", "-o", str(out)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as program:
        while program.poll() is None and not (out / "log.jsonl").exists():
            time.sleep(0.01)
        program.send_signal(signal.SIGTERM)
        _, said = program.communicate(timeout=60)
    assert program.returncode == 130, said
    [state] = out.glob("state-*")
    steps = int(state.name.removeprefix("state-"))
    assert f"stopped after step {steps} of 200; --resume goes on" in said
    assert [row["step"] for row in read_log(out)] == list(range(1, steps + 1))


def test_two_processes_learn_what_one_does(
    arguments: list[str], scenes: Mapping[str, Path], tiny_weights: Path, tmp_path: Path
) -> None:
    """Augmented pictures in the first training, features from the cache in the second."""
    recipes = ("fine_tune", "fine_tune_cached")
    trainings = [
        [*arguments, "--recipe", recipe, "--max-steps", "3", "-o", str(tmp_path / recipe)]
        for recipe in recipes
    ]
    torchrun = [sys.executable, "-m", "torch.distributed.run"]
    command = [*torchrun, "--standalone", "--nproc-per-node", "2", str(COMMAND)]
    done = subprocess.run(
        [*command, *trainings[0], "+", *trainings[1]],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("weights: ") == 2  # only one of the processes reports
    assert done.stderr.count("training in 2 processes") == 2
    for recipe in recipes:
        alone = tmp_path / f"{recipe} alone"
        train(
            scenes["first"],
            alone,
            recipe=recipe,
            settings=SETTINGS,
            max_steps=3,
            weights=tiny_weights,
        )
        rows = read_log(alone)
        assert len(rows) == 4  # three steps, and one evaluation
        assert read_log(tmp_path / recipe) == [pytest.approx(row, rel=1e-5) for row in rows]


def test_two_machines_stop_after_the_same_step(
    arguments: list[str], scenes: Mapping[str, Path], tiny_weights: Path, tmp_path: Path
) -> None:
    """Two programs that meet at an address are two machines, for all that torchrun knows."""
    steps, out = 80, tmp_path / "out"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    meeting = ["--nnodes", "2", "--rdzv-backend", "c10d", "--rdzv-endpoint", address]
    command = [sys.executable, "-m", "torch.distributed.run", *meeting, str(COMMAND), *arguments]
    command += ["--max-steps", f"{steps}", "-o", str(out)]
    with (
        subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as first,
        subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as second,
    ):
        while first.poll() is None and not (out / "log.jsonl").exists():
            time.sleep(0.01)
        first.send_signal(signal.SIGTERM)
        said = [program.communicate(timeout=120)[1] for program in (first, second)]
    [state] = out.glob("state-*")
    done = int(state.name.removeprefix("state-"))
    assert 0 < done < steps, said
    assert sum(text.count("; --resume goes on") for text in said) == 1
    assert [row["step"] for row in read_log(out)] == list(range(1, done + 1))


def test_the_one_process_that_accelerate_starts_on_cpus_does_not_train_by_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The environment is that of `accelerate launch --cpu --num_machines 2`."""
    monkeypatch.setenv("ACCELERATE_USE_CPU", "True")
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    with pytest.raises(TrainingError, match=r"started only this one; start them with torchrun"):
        open_accelerator("cpu")
