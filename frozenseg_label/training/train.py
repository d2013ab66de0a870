"""The `train` job: from corrected labels to a checkpoint, and a table of its quality.

Heavy imports stay inside the functions: the command line reads its defaults here.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from frozenseg_label.label_sets.class_map import ClassMap
    from frozenseg_label.label_sets.class_report import ClassReport
    from frozenseg_label.training.loop.report import TableRow
    from frozenseg_label.training.loop.session import Session
    from frozenseg_label.vocabulary import Vocabulary


@dataclass(frozen=True)
class TrainSummary:
    """The result of one call of `train`.

    Attributes:
        output: folder of the training.
        checkpoint: the best weights, for `annotate --weights`; None if it was stopped early.
        steps: number of steps that are done in all.
        stopped: whether it was told to stop before its end.
        best_step: number of steps after which the best weights were taken.
        table: quality before and after; empty if it was stopped early.
        forgetting: points of PQ that the probe set lost; negative if it won, None if not measured.
        forgot_too_much: whether it lost more than was allowed.
        skipped: number of images that could not be read while training.
        seconds: time of this call.
        classes: of each label set, how its classes were found in the vocabulary.
        is_main: whether this process reports; of several processes, only one does.
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
    classes: "Mapping[str, ClassReport]"
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
    trust_states: bool = False,
    class_map: "str | Path | ClassMap | None" = None,
    device: str = "auto",
    resume: bool = False,
    progress: bool = False,
) -> TrainSummary:
    """Train the decoder on labels that people own; CLIP and SAM do not change.

    Args:
        labels: run folders, and labels of other tools that tell segments of a class apart.
        output: folder for checkpoints, states, log, curves and report.
        recipe: name of a shipped recipe, or a YAML file.
        settings: `key=value` each; they win over the recipe.
        max_steps: steps instead of the recipe's; the schedule is stretched or shortened.
        weights: name or file of the weights to start from.
        vocabulary: words that labels may use; None: those of the labels' own vocabularies.
        images: folder of the pictures; None: the folder that each label set names.
        probe: COCO panoptic set that shows what is forgotten, or "none"; None: nano has its own.
        max_forgetting: points of PQ, 0..100, that the probe set may lose, see `report.forgotten`.
        cache_folder: of features, shared by trainings; None: in `output`.
        trust_states: believe the states in sets of other tools; else all of them is truth.
        class_map: class of a set -> word of the vocabulary, or None (not learnt); or a file of it.
        device: auto, cpu or cuda; auto is cuda if there is one.
        resume: go on with a training that was stopped.
        progress: show a progress bar on stderr.

    Returns:
        The best weights, and the quality before and after.

    Example:
        >>> result = frozenseg_label.train("labels", "training", max_steps=100)  # doctest: +SKIP
        >>> frozenseg_label.annotate(  # doctest: +SKIP
        ...     "pictures", "labels", "stickers", weights=result.checkpoint, update=True
        ... )
    """
    from frozenseg_label.checkpoints.named_weights import find_weights
    from frozenseg_label.label_sets.class_map import read_class_map
    from frozenseg_label.label_sets.open_label_set import refuse_absent
    from frozenseg_label.training.settings import read_settings
    from frozenseg_label.vocabulary_files import given_vocabulary

    started = time.monotonic()
    chosen = read_settings(recipe, settings).with_steps(max_steps)
    find_weights(weights)  # what is missing is told before torch is imported, which takes seconds
    refuse_absent(places := _paths(labels))
    from frozenseg_label.training.loop.session import Session
    from frozenseg_label.training.loop.training_folder import TrainingInputs

    inputs = TrainingInputs(
        labels=places,
        weights=weights,
        vocabulary=None if vocabulary is None else given_vocabulary(vocabulary),
        images=_path(images),
        probe=_path(probe),
        cache_folder=_path(cache_folder),
        trust_states=trust_states,
        class_map=read_class_map(class_map),
    )
    session = Session.open(
        inputs, chosen, Path(output), device=device, resume=resume, progress=progress
    )
    return _run(session, max_forgetting, started)


def _paths(given: str | Path | Sequence[str | Path]) -> tuple[Path, ...]:
    return (Path(given),) if isinstance(given, str | Path) else tuple(Path(path) for path in given)


def _path(given: str | Path | None) -> Path | None:
    return None if given is None else Path(given)


def _run(session: "Session", max_forgetting: float, started: float) -> TrainSummary:
    """Train and sum it up; a training that was told to stop has no report yet."""
    from frozenseg_label.training.loop.report import forgotten

    steps = session.run()
    report = session.report() if steps == session.settings.steps else None
    table = () if report is None else report.table
    forgetting = forgotten(table)
    return TrainSummary(
        output=session.folder,
        checkpoint=None if report is None else session.best_checkpoint,
        steps=steps,
        stopped=report is None,
        best_step=session.best_step if report is None else report.best_step,
        table=table,
        forgetting=forgetting,
        forgot_too_much=forgetting is not None and forgetting > max_forgetting,
        skipped=len(session.memory.skipped if report is None else report.skipped),
        seconds=time.monotonic() - started,
        classes=session.data.classes,
        is_main=session.is_main,
    )
