"""Human seconds to good labels: PQ against a simulated reviewer's hours, in five ways.

    OMP_NUM_THREADS=1 python -m recipes.nano.studying.human_seconds --work WORK

1. by hand: every segment of every scene is drawn;
2. every proposal: all proposals are corrected once, in the order of the folder;
3. queue: a random part is reviewed, then `calibrate --accept` accepts what is right, then the rest
   is corrected in the order of the review queue;
4. queue and memory: a first random part makes a memory, which names the other scenes; another
   random part judges that (`calibrate` wants proposals like those that it accepts); then as 3,
   but the memory grows and names what is left again and again;
5. the same, and `train` learns from the first random part.

Scenes have all 181 words. PQ is that of all scenes: those that nobody has looked at have the
model's labels. Each set has scenes, random parts and a training of its own; tables and picture show
mean and standard deviation over the sets. `reviewer.py` says what the reviewer does and what it
costs; each cost is an option. What is done is kept, so the command can be stopped and given again.
"""

import argparse
import json
import logging
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from frozenseg_label import train
from frozenseg_label.formats.coco_panoptic import (
    PanopticAnnotation,
    write_coco_panoptic,
    write_panoptic_png,
)
from frozenseg_label.inference.predictor import Predictor
from frozenseg_label.inference.predictor_spec import PredictorSpec
from frozenseg_label.panoptic import PanopticMap
from frozenseg_label.vocabulary_files import read_vocabulary
from recipes.nano.making.stage_files import read_lines
from recipes.nano.making.world import DEFAULT_ASSETS
from recipes.nano.studying.drawn_scenes import STUDY_STYLES
from recipes.nano.studying.human_seconds_picture import draw_picture, print_table
from recipes.nano.studying.kept_scenes import KeptScene, keep_scenes, write_scenes
from recipes.nano.studying.labelling import Labelling, Named, name_scene
from recipes.nano.studying.reviewer import Costs, Eye

BY_HAND, EVERY, QUEUE = "by hand", "every proposal", "queue"
MEMORY, TRAINED = "queue and memory", "queue, memory and train"
WAYS = (BY_HAND, EVERY, QUEUE, MEMORY, TRAINED)

log = logging.getLogger("human_seconds")


@dataclass(frozen=True)
class Plan:
    """How the work is divided.

    Attributes:
        first: random scenes that the first memory, or a training, learns from.
        judges: random scenes that `calibrate` learns from.
        again: scenes after which the memory names anew what is left.
        target: precision that `calibrate --accept` promises; 1 accepts nothing.
        seed: of the random parts; the number of the set.
        steps: of the training.
    """

    first: int = 40
    judges: int = 75
    again: int = 40
    target: float = 0.9
    seed: int = 0
    steps: int = 100


@dataclass(frozen=True)
class Study:
    """What all ways share.

    Attributes:
        folder: of the scenes, where trainings are kept, too.
        predictor: of the model as it comes.
        scenes: all of them, with its proposals.
        named: what it proposes for them.
    """

    folder: Path
    predictor: Predictor
    scenes: Sequence[KeptScene]
    named: Sequence[Named]
    costs: Costs
    eye: Eye
    plan: Plan

    def start(self, named: Sequence[Named]) -> Labelling:
        """Return the labels before any review."""
        vocabulary = self.predictor.vocabulary
        return Labelling(self.scenes, vocabulary, list(named), self.costs, self.eye)


Options = TypeVar("Options", Costs, Eye, Plan)


def work(study: Study, way: str) -> Labelling:
    """Return the labels after all work in one way."""
    if way == BY_HAND:
        empty = [PanopticMap(np.zeros_like(s.truth.ids), ()) for s in study.scenes]
        labelling = study.start([Named(one, {}) for one in empty])
        labelling.visit(range(len(empty)))
    elif way == EVERY:
        labelling = study.start(study.named)
        labelling.visit(range(len(study.scenes)))
    elif way == QUEUE:
        labelling = study.start(study.named)
        labelling.visit(_random_order(study)[: study.plan.judges])
        labelling.accept(list(labelling.reviewed), study.plan.target)
        labelling.visit(labelling.queue())
    else:
        labelling = _with_memory(study, trains=way == TRAINED)
    return labelling


def _random_order(study: Study) -> list[int]:
    random = np.random.default_rng(study.plan.seed)
    order: list[int] = random.permutation(len(study.scenes)).tolist()
    return order


def _with_memory(study: Study, *, trains: bool) -> Labelling:
    plan, labelling = study.plan, study.start(study.named)
    order = _random_order(study)
    first, judges = order[: plan.first], order[plan.first : plan.first + plan.judges]
    labelling.visit(first)
    predictor, scenes = study.predictor, dict(enumerate(study.scenes))
    if trains:
        predictor = trained_predictor(study, labelling)
        scenes = {s.number: s for s in keep_scenes(study.folder, predictor, labelling.left)}

    def remember() -> None:
        memory = labelling.memory(predictor)
        log.info("%d segments remembered: %s", len(memory.classes), memory.recall)
        labelling.name_again(replace(predictor, memory=memory), scenes)

    remember()
    labelling.visit(judges)
    labelling.accept(judges, plan.target)
    while labelling.left:
        remember()
        labelling.visit(labelling.queue()[: plan.again])
    return labelling


def trained_predictor(study: Study, labelling: Labelling) -> Predictor:
    """Return the model after `train` on the scenes that are reviewed; made once, then kept."""
    plan = study.plan
    name = "-".join(map(str, (*asdict(study.eye).values(), plan.first, plan.steps, plan.seed)))
    labels, output = (study.folder / f"{kind}-{name}" for kind in ("reviewed", "training"))
    done = output / "best.safetensors"
    if not done.is_file():
        shutil.rmtree(output, ignore_errors=True)
        annotations = []
        for number in labelling.reviewed:
            ids, segments = labelling.labels[number].ids, labelling.labels[number].segments
            file = f"demo-{number:04d}.png"
            write_panoptic_png(labels / "panoptic" / file, ids)
            height, width = ids.shape
            annotations.append(
                PanopticAnnotation(number + 1, file, file, width, height, segments, "reviewed")
            )
        write_coco_panoptic(labels / "panoptic.json", labelling.vocabulary, annotations)
        summary = train(
            labels,
            output,
            recipe="fine_tune_cached",
            max_steps=plan.steps,
            images=study.folder / "pictures",
            probe="none",
        )
        log.info("trained in %.0f seconds: %s", summary.seconds, summary.table)
    return PredictorSpec(str(done), labelling.vocabulary).load()


def result_of(study: Study, settings: dict[str, Any], way: str) -> dict[str, Any]:
    """Work in one way; return what came out as a line of the results."""
    labelling = work(study, way)
    seconds = {action: study.costs.of({action: n}) for action, n in labelling.actions.items()}
    return {
        "way": way,
        "settings": settings,
        "hours": round(labelling.hours, 3),
        "pq": round(labelling.pq, 2),
        "looked at": labelling.actions["look"],
        "actions": dict(labelling.actions),
        "seconds": seconds,
        "accepted": labelling.accepted[0],
        "accepted right": labelling.accepted[1],
        "curve": labelling.curve,
    }


def main() -> None:
    """Read the command line."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--scenes", type=int, default=300, help="of each set")
    parser.add_argument("--sets", type=int, nargs="*", default=[0, 1, 2], help="their numbers")
    parser.add_argument("--style", choices=STUDY_STYLES, default="trained")
    parser.add_argument("--assets", type=Path, default=DEFAULT_ASSETS)
    parser.add_argument("--ways", nargs="*", choices=WAYS, default=WAYS)
    parser.add_argument("--out", type=Path, help="the picture")
    for kind in (Costs, Eye, Plan):
        for option in fields(kind):
            if option.name != "seed":
                name = option.name.replace("_", "-")
                parser.add_argument(f"--{name}", type=type(option.default), default=option.default)
    given = vars(parser.parse_args())
    torch.set_num_threads(1)
    rows = [row for number in given["sets"] for row in results_of_set(given, number)]
    print_table(rows)
    if given["out"]:
        draw_picture(rows, given["out"])


def results_of_set(given: dict[str, Any], number: int) -> list[dict[str, Any]]:
    """Work through one set in all ways that are asked for, unless it was done; return the rows."""
    costs, eye = _of(Costs, given), _of(Eye, given)
    plan = _of(Plan, given | {"seed": number})
    scenes, style = given["scenes"], given["style"]
    folder = given["work"] / f"{style}-{scenes}{f'-set-{number}' if number else ''}"
    folder.mkdir(parents=True, exist_ok=True)
    settings = {"style": style, "scenes": scenes, **asdict(costs), **asdict(eye), **asdict(plan)}
    results = folder / "results.jsonl"
    missing = [way for way in given["ways"] if way not in _done(results, settings)]
    if missing:
        write_scenes(folder, scenes, style, number * scenes, given["assets"])
        predictor = PredictorSpec("nano", read_vocabulary("stickers")).load()
        kept = keep_scenes(folder, predictor, range(scenes))
        named = [name_scene(predictor, scene) for scene in kept]
        study = Study(folder, predictor, kept, named, costs, eye, plan)
        for way in missing:
            row = result_of(study, settings, way)
            with results.open("a") as lines:
                lines.write(json.dumps(row) + "\n")
            log.info("set %d, %s: %.2f hours, PQ %.1f", number, way, row["hours"], row["pq"])
    found = _done(results, settings)
    return [found[way] for way in given["ways"] if way in found]


def _of(kind: type[Options], given: dict[str, Any]) -> Options:
    """Return a kind of settings made of those options that are its fields."""
    return kind(**{option.name: given[option.name] for option in fields(kind)})


def _done(results: Path, settings: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["way"]: row for row in read_lines(results) if row["settings"] == settings}


if __name__ == "__main__":
    main()
