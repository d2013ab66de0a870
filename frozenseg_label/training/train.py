"""The `train` job: what people corrected goes in, a checkpoint and an honest table come out.

Heavy imports stay inside the functions: the command line reads its defaults here.
"""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from frozenseg_label.training.loop.report import TableRow
    from frozenseg_label.vocabulary import Vocabulary

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainSummary:
    """What a training did.

    Attributes:
        output: its folder.
        checkpoint: the best weights, for `annotate --weights`; None where it was stopped early.
        steps: done in all.
        stopped: whether it was told to stop before its end.
        best_step: after which the best weights were taken.
        table: quality before and after.
        forgetting: points of PQ that the probe set lost; negative where it won, None unmeasured.
        forgot_too_much: whether that is more than was allowed.
        skipped: images that could not be read while training.
        seconds: time spent by this call.
        is_main: whether this process is the one that reports; False for the others of several.
    """

    output: Path
    checkpoint: Path | None
    steps: int
    stopped: bool
    best_step: int
    table: "tuple[TableRow, ...]"
    forgetting: float | None
    forgot_too_much: bool
    skipped: int
    seconds: float
    is_main: bool = True


def train(
    labels: str | Path | Sequence[str | Path],
    output: str | Path,
    *,
    recipe: str | Path = "fine_tune",
    settings: Sequence[str] = (),
    max_steps: int | None = None,
    weights: str | Path = "nano",
    vocabulary: "str | Path | Vocabulary | None" = None,
    images: str | Path | None = None,
    probe: str | Path | None = None,
    max_forgetting: float = 2.0,
    cache_folder: str | Path | None = None,
    device: str = "auto",
    resume: bool = False,
    progress: bool = False,
) -> TrainSummary:
    """Train the decoder on labels that people stand behind; CLIP and SAM stay as they are.

    Args:
        labels: run folders and COCO panoptic sets (a JSON, or a folder with `panoptic.json`).
        output: folder for checkpoints, states, log, curves and report.
        recipe: name of a shipped recipe, or a YAML file.
        settings: `key=value` each; they win over the recipe.
        max_steps: steps in place of the recipe's; the schedule is stretched or shortened.
        weights: what to start from.
        vocabulary: words that labels may use; None: those of the labels' own vocabularies.
        images: folder of the pictures; None: where each source says.
        probe: COCO panoptic set that tells what is forgotten; None: the embedded one for nano, and
            for other weights nothing.
        max_forgetting: points of PQ, 0..100, that the probe set may lose: its classes that the
            labels never name, or all where these are fewer than ten.
        cache_folder: of features, shared by trainings; None: in `output`.
        device: auto, cpu or cuda; auto is cuda where there is one.
        resume: go on with a training that was stopped.
        progress: show a progress bar on stderr.

    Raises:
        FrozenSegLabelError: settings, labels or weights cannot be used, or the loss is no number.
    """
    from frozenseg_label.training.loop.report import forgotten
    from frozenseg_label.training.loop.session import Session
    from frozenseg_label.training.settings import read_settings

    started = time.monotonic()
    chosen = read_settings(recipe, settings)
    if max_steps is not None:
        chosen = chosen.with_steps(max_steps)
    sources = [labels] if isinstance(labels, str | Path) else list(labels)
    session = Session.open(
        [Path(source) for source in sources],
        Path(output),
        settings=chosen,
        weights=weights,
        words=_vocabulary(vocabulary),
        pictures=None if images is None else Path(images),
        probe=None if probe is None else Path(probe),
        cache_folder=None if cache_folder is None else Path(cache_folder),
        device=device,
        resume=resume,
        progress=progress,
    )
    if session.is_finished:
        log.info("%s: this training is finished already; nothing to do", output)
    elif (done := session.run()) < chosen.steps:
        log.info("stopped after step %d of %d; --resume goes on", done, chosen.steps)
        return TrainSummary(
            output=Path(output),
            checkpoint=None,
            steps=done,
            stopped=True,
            best_step=session.best_step,
            table=(),
            forgetting=None,
            forgot_too_much=False,
            skipped=len(session.memory.skipped),
            seconds=time.monotonic() - started,
            is_main=session.is_main,
        )
    report = session.report()
    forgetting = forgotten(report.table)
    return TrainSummary(
        output=Path(output),
        checkpoint=session.best_checkpoint,
        steps=chosen.steps,
        stopped=False,
        best_step=report.best_step,
        table=report.table,
        forgetting=forgetting,
        forgot_too_much=forgetting is not None and forgetting > max_forgetting,
        skipped=len(report.skipped),
        seconds=time.monotonic() - started,
        is_main=session.is_main,
    )


def _vocabulary(given: "str | Path | Vocabulary | None") -> "Vocabulary | None":
    from frozenseg_label.vocabulary import Vocabulary, read_vocabulary

    return given if given is None or isinstance(given, Vocabulary) else read_vocabulary(given)
