"""One training from its labels to its report; `train` opens it, runs it and asks for the report."""

import logging
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from accelerate import Accelerator
from torch import Tensor

from frozenseg_label.checkpoints.checkpoint import load_checkpoint
from frozenseg_label.checkpoints.header import CheckpointInfo, TrainingCategory
from frozenseg_label.checkpoints.named_weights import find_weights, frozen_folder
from frozenseg_label.model.frozenseg import FrozenSeg
from frozenseg_label.training.data.caches import CachedSource, TensorCache, fill_cache
from frozenseg_label.training.data.collect import TrainingData, collect
from frozenseg_label.training.data.sample_sources import SampleSource
from frozenseg_label.training.data.words import trained_categories
from frozenseg_label.training.loop.curves import draw_curves
from frozenseg_label.training.loop.fine_tune import Progress, fine_tune
from frozenseg_label.training.loop.learners import Learner, build_learner, build_names, build_source
from frozenseg_label.training.loop.processes import check_processes, open_accelerator
from frozenseg_label.training.loop.quality import (
    MeasuredSet,
    build_held_out_set,
    read_probe,
    score,
)
from frozenseg_label.training.loop.report import (
    HELD_OUT,
    PROBE,
    ClassGroups,
    Report,
    TableRow,
    read_report,
    write_report,
)
from frozenseg_label.training.loop.state import Memory, steps_done
from frozenseg_label.training.loop.trained_weights import (
    blended,
    copy_of_trained_weights,
    is_kept,
    refuse_lost,
    save_learnt,
)
from frozenseg_label.training.loop.training_folder import (
    CHECKPOINT_BEST,
    CHECKPOINT_LAST,
    CURVES,
    FEATURES,
    REPORT,
    TrainingFolder,
    TrainingInputs,
    TrainingRecord,
)
from frozenseg_label.training.loop.training_log import LOG, shown_steps
from frozenseg_label.training.settings import TrainSettings

log = logging.getLogger(__name__)


@dataclass
class Session:
    """An open training.

    Attributes:
        folder: all files of the training are written here.
        settings, data: how the model is trained, and on which images.
        model, info: the model, and the header of the checkpoint that it started from.
        learner, source: the part of the model that learns, and its samples.
        held_out, probe: sets that quality is measured on; None if there is none.
        progress: whether this process shows progress bars.
        start: the weights at the start; empty if they are not blended with the learnt ones.
        memory: what was measured and skipped so far; saved with every state.
    """

    folder: Path
    settings: TrainSettings
    data: TrainingData
    model: FrozenSeg
    info: CheckpointInfo
    accelerator: Accelerator
    learner: Learner
    source: SampleSource
    held_out: MeasuredSet | None
    probe: MeasuredSet | None
    progress: bool
    start: Mapping[str, Tensor]
    memory: Memory = field(default_factory=Memory)

    @classmethod
    def open(
        cls,
        inputs: TrainingInputs,
        settings: TrainSettings,
        folder: Path,
        *,
        device: str,
        resume: bool,
        progress: bool,
    ) -> "Session":
        """Load everything, and check all that can be checked before the first step."""
        accelerator = open_accelerator(device)
        check_processes(accelerator, settings)
        TrainingFolder(folder).check(resume)
        accelerator.wait_for_everyone()  # all have seen the folder as it was
        data = collect(
            inputs.labels,
            inputs.images,
            inputs.vocabulary,
            settings.held_out,
            trust_states=inputs.trust_states,
            class_map=inputs.class_map,
        )
        model, info = load_checkpoint(find_weights(inputs.weights), frozen_folder())
        probe = read_probe(inputs.probe, info, data)
        model.to(accelerator.device)
        cache = TensorCache(inputs.cache_folder or folder / FEATURES)
        session = cls(
            folder=folder,
            settings=settings,
            data=data,
            model=model,
            info=info,
            accelerator=accelerator,
            learner=build_learner(model, info, data, settings),
            source=build_source(model, info, data, settings, cache),
            held_out=build_held_out_set(model, info, data, settings, cache),
            probe=probe,
            progress=progress and accelerator.is_main_process,
            start=copy_of_trained_weights(model) if settings.start_share else {},
        )
        if session.is_main:
            of_probe = "" if probe is None else probe.fingerprint()
            TrainingFolder(folder).open(TrainingRecord.of(inputs, settings, info, data, of_probe))
        accelerator.wait_for_everyone()  # no other process writes there before
        return session

    @property
    def is_main(self) -> bool:
        """Say whether this process is the one that measures and reports."""
        return bool(self.accelerator.is_main_process)

    @property
    def is_finished(self) -> bool:
        """Say whether the report is written; it is the last file of a training."""
        return (self.folder / REPORT).is_file()

    @property
    def best_checkpoint(self) -> Path:
        """Return the file of the best weights; without held-out images these are the last ones."""
        return self.folder / CHECKPOINT_BEST

    @property
    def best_step(self) -> int:
        """Return the steps after which the best weights were taken."""
        best = self.memory.best_step
        return self.settings.steps if best is None else best

    def run(self) -> int:
        """Train and return how many steps are done; fewer than asked for if told to stop."""
        total = self.settings.steps
        if self.is_finished:
            refuse_lost(self.best_checkpoint, self.folder / REPORT)
            log.info("%s: this training is finished already; nothing to do", self.folder)
            return total
        self._fill_cache()
        with shown_steps(total, steps_done(self.folder), self.progress) as show:

            def on_step(progress: Progress) -> Mapping[str, float] | None:
                show(progress.steps, progress.losses)
                if progress.steps % self.settings.evaluate_every and progress.steps != total:
                    return None
                return self._evaluate(progress.steps)

            done = fine_tune(
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
        if done < total:
            log.info("stopped after step %d of %d; --resume goes on", done, total)
        return done

    def report(self) -> Report:
        """Return the report; if it is not written yet, write it with checkpoints and curves."""
        if self.is_main and not self.is_finished:
            self._write_report()
        self.accelerator.wait_for_everyone()
        return read_report(self.folder / REPORT)

    def _fill_cache(self) -> None:
        """Put all images into the cache, if the settings want one."""
        if isinstance(self.source, CachedSource):
            fill_cache(
                self.source,
                mirrored=self.settings.flip > 0,
                process=self.accelerator.process_index,
                processes=self.accelerator.num_processes,
                progress=self.progress,
            )

    def _measure_start(self) -> None:
        """Measure the weights that the training starts from, unless that was done before."""
        self._forget_lost_best()
        for name, measured in self._measured_sets().items():
            if self.memory.quality_before(name) is None:
                log.info("measuring the %s images before the training", name)
                quality = self._quality(measured, self.info.seen_names)
                self.memory.remember_before(name, quality)

    def _forget_lost_best(self) -> None:
        """Forget the best weights if somebody removed their file: later ones take its place."""
        if self.memory.best_step is not None and not is_kept(self.best_checkpoint):
            log.warning("%s is lost; the best of later weights replace it", self.best_checkpoint)
            self.memory.forget_best()

    def _evaluate(self, steps: int) -> Mapping[str, float] | None:
        """Measure on the held-out images; save the weights if no earlier ones were better."""
        if self.held_out is None:
            return None
        with self._blended():
            quality = self._quality(self.held_out, self._names_learnt())["all"]
            if self.memory.is_best(quality):
                self._save(self.best_checkpoint)
                self.memory.remember_best(quality, steps)
        return {"held-out PQ": round(quality, 3)}

    def _write_report(self) -> None:
        """Write checkpoints, curves and report; the model holds the best weights afterwards."""
        self._forget_lost_best()
        with self._blended():
            self._save(self.folder / CHECKPOINT_LAST)
            if self.held_out is None or self.memory.best_step is None:
                self._save(self.best_checkpoint)
        best, _ = load_checkpoint(self.best_checkpoint, frozen_folder())
        self.model.load_state_dict(best.state_dict())
        rows: list[TableRow] = []
        for name, measured in self._measured_sets().items():
            log.info("measuring the %s images after the training", name)
            before = self.memory.quality_before(name)
            assert before is not None  # measured before the first step
            after = self._quality(measured, self._names_learnt())
            rows += self._groups(measured).rows(name, before, after)
        facts = {
            "steps": self.settings.steps,
            "best_step": self.best_step,
            "train": len(self.data.train),
            "held_out": [image.name for image in self.data.held_out],
            "skipped": self.memory.skipped,
            "classes": dict(self.data.named_classes()),
        }
        draw_curves(self.folder / LOG, self.folder / CURVES)
        write_report(self.folder / REPORT, rows, facts)  # the last file: it says that all is done

    def _measured_sets(self) -> dict[str, MeasuredSet]:
        """Return the sets that quality is measured on, by name."""
        sets = {HELD_OUT: self.held_out, PROBE: self.probe}
        return {name: measured for name, measured in sets.items() if measured is not None}

    def _quality(self, measured: MeasuredSet, seen: frozenset[str]) -> dict[str, float]:
        """Return the PQ of the model's weights in points, by group of classes.

        Args:
            seen: all names that these weights were trained on.
        """
        names = build_names(self.model, self.info, measured.vocabulary, seen)
        bf16 = self.settings.uses_bf16(self.accelerator.device.type)
        return self._groups(measured).quality(score(self.model, names, measured, bf16=bf16))

    def _groups(self, measured: MeasuredSet) -> ClassGroups:
        """Return the groups of the classes of a set."""
        named, seen = self.data.named_words(), self.info.seen_names
        return ClassGroups.of(measured.images, measured.vocabulary, seen, named)

    def _categories(self) -> tuple[TrainingCategory, ...]:
        """Return the training vocabulary of the weights that are learnt."""
        return trained_categories(self.info, self.data.vocabulary, self.data.named_classes())

    def _names_learnt(self) -> frozenset[str]:
        """Return all names that the learnt weights were trained on."""
        return frozenset(name for category in self._categories() for name in category.names)

    def _blended(self) -> AbstractContextManager[None]:
        """Give the model the weights that are measured and saved as long as a block runs."""
        return blended(self.model, self.start, self.settings.start_share)

    def _save(self, path: Path) -> None:
        """Save a checkpoint of the model's weights."""
        save_learnt(path, self.model, self.info, self._categories())
