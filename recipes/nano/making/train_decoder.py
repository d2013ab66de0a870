"""Train nano's decoder on the features of its frozen CLIP and SAM.

    python -m recipes.nano.making.train_decoder --clip CLIP --sam SAM --out OUT

CLIP and SAM are the folders that train_clip and train_sam wrote. Two cores share every step, with
the losses of one, under `torchrun --nproc-per-node 2 -m recipes.nano.making.train_decoder --` and
the same arguments.

The scenes show only seen classes. An unseen object in them would be an unlabelled one, and the
losses would teach the decoder that it is void: an open-vocabulary decoder must not learn that. (In
photographs this cannot be helped.)

The numbers are in decoder.yaml; --iterations stretches or shortens its schedule.

OUT gets decoder.safetensors (pixel decoder, transformer decoder, void embedding), log.jsonl
(losses; scores on fresh scenes of the validation style, all classes), and the state that the same
command goes on from; told to stop, it ends with exit status 130. The encoders see every scene of a
fixed pool once, in float32; their features are kept in bfloat16.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from accelerate import PartialState
from safetensors.torch import save_file

from frozenseg_label.checkpoints.text_embeddings import build_text_classifier
from frozenseg_label.demo.scenes import Scene
from frozenseg_label.inference.predictor_spec import choose_device
from frozenseg_label.model.builders import build_frozenseg_nano
from frozenseg_label.model.frozenseg import FrozenSeg
from frozenseg_label.training.data.sample_sources import PoolSource
from frozenseg_label.training.data.samples import FeatureSample, prepare_sample, see
from frozenseg_label.training.data.targets import Truth
from frozenseg_label.training.loop.fine_tune import OnStep, Progress, fine_tune
from frozenseg_label.training.loop.learners import DecoderLearner
from frozenseg_label.training.loop.trained_weights import trained_weights
from frozenseg_label.training.loss.criterion import Criterion
from frozenseg_label.training.settings import TrainSettings, read_settings
from frozenseg_label.vocabulary import Category, Vocabulary
from recipes.nano.making.decoder_scores import score_scenes
from recipes.nano.making.stage_files import read_decoder, read_weights
from recipes.nano.making.world import (
    DEFAULT_ASSETS,
    Concept,
    World,
    load_world,
    read_concepts,
    seen_names,
)

RECIPE = Path(__file__).with_name("decoder.yaml")
FIRST_SEED = 2 * 10**9  # SAM's and CLIP's trainings never get so far
FRESH = 3 * 10**9
FRESH_SCENES = 40
VARIANTS = 3  # restyled versions of every drawing
STOPPED = 130  # exit status, that of Ctrl-C in a shell


def train_decoder(
    clip: Path,
    sam: Path,
    out: Path,
    assets: Path,
    settings: TrainSettings,
    scenes: int,
    start: Path | None,
) -> bool:
    """Train a decoder, and score it at every fifth of the way.

    Args:
        start: decoder.safetensors of an earlier training, maybe on an earlier CLIP.

    Returns:
        Whether it came to its end; a signal may stop it before.
    """
    model = build_model(clip, sam, settings.seed)
    if start is not None:
        read_decoder(start, model)
    pool = see_pool(model, assets, scenes)
    scores = scorer(model, load_world("validate", assets), settings.steps)
    if not learn(model, pool, out, settings, scores):
        return False
    if PartialState().is_main_process:
        save_file(trained_weights(model), out / "decoder.safetensors")
    return True


def build_model(clip: Path, sam: Path, seed: int) -> FrozenSeg:
    """Return a model with trained encoders and a fresh decoder, drawn from the seed."""
    torch.manual_seed(seed)
    model = build_frozenseg_nano().eval()
    read_weights(clip / "clip.safetensors", model.clip)
    read_weights(sam / "sam.safetensors", model.sam)
    return model.to(choose_device("auto"))


def see_pool(model: FrozenSeg, assets: Path, scenes: int) -> PoolSource:
    """Return the encoders' features of so many scenes of the seen classes, with their truth."""
    world = load_world("train", assets, only_seen=True, variants=VARIANTS)
    vocabulary = vocabulary_of(world.concepts)
    drawn = (world.scene(FIRST_SEED + i) for i in range(scenes))
    return PoolSource([see_scene(model, scene, vocabulary) for scene in drawn])


def learn(
    model: FrozenSeg, pool: PoolSource, out: Path, settings: TrainSettings, on_step: OnStep | None
) -> bool:
    """Train the decoder on a pool; return whether it came to its end."""
    concepts = [concept for concept in read_concepts() if concept.seen]
    names = build_text_classifier(
        model.clip, vocabulary_of(concepts), seen_names(concepts), clip_fingerprint=""
    )
    criterion = Criterion(settings.num_points, settings.void_weight)
    learner = DecoderLearner(model, names, criterion, bf16=settings.precision == "bf16")
    return fine_tune(model, learner, pool, settings, out, on_step=on_step) >= settings.steps


def scorer(model: FrozenSeg, world: World, steps: int) -> OnStep:
    """Return a callback that scores the model on fresh scenes at every fifth of the training."""
    concepts = read_concepts()
    vocabulary, known = vocabulary_of(concepts), seen_names(concepts)
    names = build_text_classifier(model.clip, vocabulary, known, clip_fingerprint="")
    scenes = [world.scene(FRESH + i) for i in range(FRESH_SCENES)]
    fresh = [(scene, see_scene(model, scene, vocabulary).features) for scene in scenes]

    def on_step(progress: Progress) -> Mapping[str, float] | None:
        if progress.steps % max(steps // 5, 1):
            return None
        return score_scenes(model, names, vocabulary, fresh)

    return on_step


def vocabulary_of(concepts: Sequence[Concept]) -> Vocabulary:
    """Return the concepts as a vocabulary; ids are their places."""
    categories = tuple(
        Category(concept.name, number, concept.synonyms, concept.is_thing)
        for number, concept in enumerate(concepts)
    )
    return Vocabulary("nano", categories)


def see_scene(model: FrozenSeg, scene: Scene, vocabulary: Vocabulary) -> FeatureSample:
    """Return the encoders' features of a scene; only classes of the vocabulary are targets."""
    place = {category.name: index for index, category in enumerate(vocabulary.categories)}
    truth = Truth({s.id: place[s.name] for s in scene.segments if s.name in place})
    sample = prepare_sample("a scene", scene.image, scene.ids, truth, model.input_size)
    features = see(model, [sample], bf16=False).to(torch.bfloat16)
    return FeatureSample(sample.name, features, sample.targets)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--clip", type=Path, required=True, help="folder with clip.safetensors")
    parser.add_argument("--sam", type=Path, required=True, help="folder with sam.safetensors")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--assets", type=Path, default=DEFAULT_ASSETS)
    parser.add_argument("--iterations", type=int, help="in place of the recipe's steps")
    parser.add_argument("--scenes", type=int, default=2000, help="size of the pool")
    parser.add_argument("--start", type=Path, help="decoder.safetensors that it begins with")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    settings = read_settings(RECIPE)
    if given.iterations is not None:
        settings = settings.with_steps(given.iterations)
    folders = (given.clip, given.sam, given.out, given.assets)
    if not train_decoder(*folders, settings, given.scenes, given.start):
        sys.exit(STOPPED)


if __name__ == "__main__":
    main()
