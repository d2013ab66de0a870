"""One training from its labels to its report; `train` opens it, runs it and asks for the report."""

import logging
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from accelerate import Accelerator
from torch import Tensor

from frozenseg_label.checkpoints.checkpoint import load_checkpoint, save_checkpoint
from frozenseg_label.checkpoints.header import CheckpointInfo, TrainingCategory
from frozenseg_label.checkpoints.named_weights import find_weights, frozen_folder
from frozenseg_label.errors import TrainingError
from frozenseg_label.model.frozenseg import FrozenSeg
from frozenseg_label.model.text_classifier import TextClassifier
from frozenseg_label.training.data.collect import TrainingData, collect, trained_categories
from frozenseg_label.training.data.fill_cache import fill_cache
from frozenseg_label.training.data.sample_sources import FeatureSource, Source
from frozenseg_label.training.data.tensor_cache import TensorCache
from frozenseg_label.training.loop.blend import blended, copy_of_trained_weights
from frozenseg_label.training.loop.curves import draw_curves
from frozenseg_label.training.loop.fine_tune import Learner, Memory, Progress, fine_tune
from frozenseg_label.training.loop.head_learner import OutputSource
from frozenseg_label.training.loop.processes import check_processes, open_accelerator
from frozenseg_label.training.loop.quality import MeasuredSet, score
from frozenseg_label.training.loop.report import (
    HELD_OUT,
    PROBE,
    ClassGroups,
    Report,
    TableRow,
    read_report,
    write_report,
)
from frozenseg_label.training.loop.session_parts import Builder, build_names, read_probe, uses_bf16
from frozenseg_label.training.loop.state import steps_done
from frozenseg_label.training.loop.training_folder import (
    CHECKPOINT_BEST,
    CHECKPOINT_LAST,
    CURVES,
    FEATURES,
    REPORT,
    TrainingFolder,
    TrainingRecord,
)
from frozenseg_label.training.loop.training_log import LOG, shown_steps
from frozenseg_label.training.settings import TrainSettings
from frozenseg_label.version import __version__
from frozenseg_label.vocabulary import Vocabulary

log = logging.getLogger(__name__)


@dataclass
class Session:
    """An open training.

    Attributes:
        folder: of all that is written.
        settings, data: what is done, on what.
        model, info: that is trained, and what its checkpoint said at the start.
        learner, source: what learns, and from which samples.
        cache: of features or outputs; None where the settings want none.
        held_out, probe: sets that quality is measured on; None where there is none.
        start: the weights at the start.
        memory: what was measured and skipped so far; saved with every state.
    """

    folder: Path
    settings: TrainSettings
    data: TrainingData
    model: FrozenSeg
    info: CheckpointInfo
    accelerator: Accelerator
    learner: Learner
    source: Source
    cache: TensorCache | None
    held_out: MeasuredSet | None
    probe: MeasuredSet | None
    progress: bool
    start: Mapping[str, Tensor]
    memory: Memory = field(default_factory=Memory)

    @classmethod
    def open(
        cls,
        sources: Sequence[Path],
        folder: Path,
        *,
        settings: TrainSettings,
        weights: str | Path,
        words: Vocabulary | None,
        pictures: Path | None,
        probe: Path | None,
        cache_folder: Path | None,
        device: str,
        resume: bool,
        progress: bool,
    ) -> "Session":
        """Check everything that can be checked before the first step, and load what is needed."""
        accelerator = open_accelerator(device)
        check_processes(accelerator, settings)
        TrainingFolder(folder).check(resume)
        accelerator.wait_for_everyone()  # all have seen the folder as it was
        data = collect(sources, pictures, words, settings.held_out)
        model, info = load_checkpoint(find_weights(weights), frozen_folder())
        probe_set = read_probe(probe, info, data)
        record = TrainingRecord(
            tool_version=__version__,
            weights=str(weights),
            weights_fingerprint=info.fingerprint,
            sources=tuple(str(source) for source in sources),
            data=data.fingerprint(),
            probe="" if probe_set is None else probe_set.fingerprint(),
            settings=settings,
            train=len(data.train),
            held_out=len(data.held_out),
        )
        model.to(accelerator.device)
        cache = TensorCache(cache_folder or folder / FEATURES)
        builder = Builder(model, info, data, settings, cache)
        session = cls(
            folder=folder,
            settings=settings,
            data=data,
            model=model,
            info=info,
            accelerator=accelerator,
            learner=builder.learner(),
            source=builder.source(),
            cache=None if settings.cache == "none" else cache,
            held_out=builder.held_out(),
            probe=probe_set,
            progress=progress and accelerator.is_main_process,
            start=copy_of_trained_weights(model) if settings.start_share else {},
        )
        if accelerator.is_main_process:
            TrainingFolder(folder).open(record)
        accelerator.wait_for_everyone()  # nobody else writes there before
        return session

    @property
    def is_finished(self) -> bool:
        """Whether the report is written, and with it everything."""
        return (self.folder / REPORT).is_file()

    def run(self) -> int:
        """Train and return how many steps are done; fewer than asked for if told to stop."""
        self._fill_cache()
        done = steps_done(self.folder)
        with shown_steps(self.settings.steps, done, self.progress) as show:

            def on_step(progress: Progress) -> Mapping[str, float] | None:
                show(progress.steps, progress.losses)
                every, last = self.settings.evaluate_every, self.settings.steps
                if progress.steps % every and progress.steps != last:
                    return None
                return self._evaluate(progress.steps)

            return fine_tune(
                self.model,
                self.learner,
                self.source,
                self.settings,
                self.folder,
                accelerator=self.accelerator,
                memory=self.memory,
                on_start=self._measure_start,
                on_step=on_step,
            )

    def report(self) -> Report:
        """Return the report; write it, with checkpoints and curves, if that is not done yet."""
        if self.accelerator.is_main_process and not self.is_finished:
            self._write_report()
        self.accelerator.wait_for_everyone()
        return read_report(self.folder / REPORT)

    def _write_report(self) -> None:
        """Write checkpoints, curves and report; the model holds the best weights afterwards."""
        with self._blended():
            self._save(self.folder / CHECKPOINT_LAST)
            if self.held_out is None:
                self._save(self.best_checkpoint)
        best, _ = load_checkpoint(self.best_checkpoint, frozen_folder())
        self.model.load_state_dict(best.state_dict())
        rows: list[TableRow] = []
        for name, measured in ((HELD_OUT, self.held_out), (PROBE, self.probe)):
            if measured is not None:
                log.info("measuring the %s images after the training", name)
                groups, after = self._groups(measured), self._quality(measured, after=True)
                before = self._memory_of(f"before, {name}")
                rows += groups.rows(name, before, after)
        facts = {
            "steps": self.settings.steps,
            "best_step": self.best_step,
            "train": len(self.data.train),
            "held_out": [image.name for image in self.data.held_out],
            "skipped": self.memory.skipped,
            "classes": dict(self.data.named_classes()),
        }
        draw_curves(self.folder / LOG, self.folder / CURVES)
        write_report(self.folder / REPORT, rows, facts)  # last: it says that all is done

    @property
    def is_main(self) -> bool:
        """Whether this process is the one that measures and reports."""
        return bool(self.accelerator.is_main_process)

    @property
    def best_checkpoint(self) -> Path:
        """The weights that were best on the held-out images; the last ones where there are none."""
        return self.folder / CHECKPOINT_BEST

    @property
    def best_step(self) -> int:
        """After which the best weights were taken."""
        step = self.memory.values.get("best step", self.settings.steps)
        return step if isinstance(step, int) else self.settings.steps

    def _fill_cache(self) -> None:
        """Have in the cache what the settings want there."""
        if self.cache is not None and isinstance(self.source, FeatureSource | OutputSource):
            me, all_ = self.accelerator.process_index, self.accelerator.num_processes
            flips, bar = self.settings.flip > 0, self.progress
            fill_cache(
                self.source, self.cache, mirrored=flips, process=me, processes=all_, progress=bar
            )

    def _measure_start(self) -> None:
        """Measure the weights that the training starts from, unless that was done before."""
        for name, measured in ((HELD_OUT, self.held_out), (PROBE, self.probe)):
            key = f"before, {name}"
            if measured is not None and key not in self.memory.values:
                log.info("measuring the %s images before the training", name)
                self.memory.values[key] = self._quality(measured, after=False)

    def _evaluate(self, steps: int) -> Mapping[str, float] | None:
        """Measure on the held-out images; keep the weights if they were never better."""
        if self.held_out is None:
            return None
        with self._blended():
            quality = self._quality(self.held_out, after=True)["all"]
            best = self.memory.values.get("best PQ")
            better = not isinstance(best, float) or quality >= best
            if better:
                self._save(self.best_checkpoint)
        if better:
            self.memory.values |= {"best PQ": quality, "best step": steps}
        return {"held-out PQ": round(quality, 3)}

    def _blended(self) -> AbstractContextManager[None]:
        return blended(self.model, self.start, self.settings.start_share)

    def _quality(self, measured: MeasuredSet, *, after: bool) -> dict[str, float]:
        """PQ in points by group of classes."""
        names = self._names(measured.vocabulary, after=after)
        bf16 = uses_bf16(self.settings, self.accelerator.device)
        return self._groups(measured).quality(score(self.model, names, measured, bf16=bf16))

    def _groups(self, measured: MeasuredSet) -> ClassGroups:
        classes = self.data.named_classes()
        named = [
            name
            for category in self.data.vocabulary.categories
            if category.name in classes
            for name in category.names
        ]
        return ClassGroups.of(measured.images, measured.vocabulary, self.info.seen_names, named)

    def _names(self, vocabulary: Vocabulary, *, after: bool) -> TextClassifier:
        seen = self.info.seen_names
        if after:
            seen = frozenset(name for c in self._categories() for name in c.names)
        return build_names(self.model, self.info, vocabulary, seen)

    def _categories(self) -> tuple[TrainingCategory, ...]:
        return trained_categories(self.info, self.data.vocabulary, self.data.named_classes())

    def _memory_of(self, key: str) -> dict[str, float]:
        value = self.memory.values[key]
        assert isinstance(value, dict)
        return value

    def _save(self, path: Path) -> None:
        info = save_checkpoint(
            path,
            self.model,
            self.info.builder,
            self._categories(),
            frozen_folder=None if self.info.frozen_inside else frozen_folder(),
            origin=f"fine-tuned from {self.info.fingerprint[:12]} ({self.info.origin})",
        )
        if (info.clip_hash, info.sam_hash) != (self.info.clip_hash, self.info.sam_hash):
            raise TrainingError(
                f"{path}: the frozen encoders have changed; this is a bug, report it"
            )
