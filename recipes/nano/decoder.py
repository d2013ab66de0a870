"""Train nano's decoder on the features of its frozen CLIP and SAM.

    python recipes/nano/clip.py --out /tmp/nano/clip
    python recipes/nano/sam.py --out /tmp/nano/sam
    OMP_NUM_THREADS=1 python recipes/nano/decoder.py --clip /tmp/nano/clip --sam /tmp/nano/sam \
        --out /tmp/nano/decoder

Its scenes are drawn from the seen classes alone. An unseen object in them would be an unlabelled
one, and the losses would teach the decoder that such things are void: the very thing that an
open-vocabulary decoder must not learn. (In photographs this cannot be helped.)

The numbers stand in decoder.yaml; --iterations stretches or shortens its schedule.

OUT gets decoder.safetensors (pixel decoder, transformer decoder, void embedding), log.jsonl
(losses), scores.jsonl (fresh scenes of the validation style, all classes), and the state that the
same command goes on from; told to stop, it ends with exit status 130. The encoders see every scene
of a fixed pool once, in float32.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from decoder_scores import score_scenes
from safetensors.torch import load_file, save_file
from world import DEFAULT_ASSETS, Concept, World, load_world, read_concepts, seen_names

from frozenseg_label.demo.scenes import Scene
from frozenseg_label.model.builders import build_frozenseg_nano
from frozenseg_label.model.frozenseg import FrozenSeg
from frozenseg_label.model.text_classifier import build_text_classifier
from frozenseg_label.training.dataset import TrainingSample, sample_from_ids
from frozenseg_label.training.feature_cache import cache_samples, see_sample, shuffled_batches
from frozenseg_label.training.fine_tune import Report, fine_tune
from frozenseg_label.training.settings import TrainSettings, read_settings
from frozenseg_label.training.train_state import trained_weights
from frozenseg_label.vocabulary import Category, Vocabulary

RECIPE = Path(__file__).with_suffix(".yaml")
FIRST_SEED = 2 * 10**9  # SAM's and CLIP's trainings never get so far
FRESH = 3 * 10**9
FRESH_SCENES = 40
STOPPED = 130  # exit status, that of Ctrl-C in a shell


def train_decoder(
    clip: Path, sam: Path, out: Path, assets: Path, settings: TrainSettings, scenes: int
) -> bool:
    """Cache the features of the pool, then train, with scores at every fifth of the way.

    Returns:
        Whether it came to its end; it may be told to stop before.
    """
    torch.manual_seed(settings.seed)
    model = build_frozenseg_nano().eval()
    model.clip.load_state_dict(torch.load(clip / "clip.pt", weights_only=True)["model"])
    model.sam.load_state_dict(load_file(sam / "sam.safetensors"))
    world = load_world("train", assets, only_seen=True)
    vocabulary, known = vocabulary_of(world.concepts), seen_names(world.concepts)
    drawn = (world.scene(FIRST_SEED + i) for i in range(scenes))
    pool = cache_samples(model, (sample_of(scene, vocabulary) for scene in drawn))
    names = build_text_classifier(model.clip, vocabulary, known, clip_fingerprint="")
    report = scorer(model, load_world("validate", assets), known, settings, out / "scores.jsonl")
    batches = shuffled_batches(pool, settings.batch_size, settings.seed)
    if fine_tune(model, batches, names, settings, out, report) < settings.steps:
        return False
    save_file(trained_weights(model), out / "decoder.safetensors")
    return True


def scorer(
    model: FrozenSeg, world: World, known: Sequence[str], settings: TrainSettings, path: Path
) -> Report:
    """Return what writes a line of scores, on fresh scenes, at every fifth of the training."""
    vocabulary = vocabulary_of(read_concepts())
    names = build_text_classifier(model.clip, vocabulary, known, clip_fingerprint="")
    scenes = [world.scene(FRESH + i) for i in range(FRESH_SCENES)]
    fresh = [(scene, see_sample(model, sample_of(scene, vocabulary))) for scene in scenes]
    every = max(settings.steps // 5 // settings.log_every, 1) * settings.log_every

    def report(done: int, losses: Mapping[str, float]) -> None:
        if done % every == 0:
            row = {"step": done, "loss": losses["loss"]}
            row |= score_scenes(model, names, vocabulary, fresh)
            with path.open("a") as file:
                file.write(json.dumps(row) + "\n")

    return report


def vocabulary_of(concepts: Sequence[Concept]) -> Vocabulary:
    """Return the concepts as a vocabulary; ids are their places."""
    categories = tuple(
        Category(concept.name, number, concept.synonyms, concept.is_thing)
        for number, concept in enumerate(concepts)
    )
    return Vocabulary("nano", categories)


def sample_of(scene: Scene, vocabulary: Vocabulary) -> TrainingSample:
    """Return a scene as a training sample; what the vocabulary does not know is no target."""
    place = {category.name: index for index, category in enumerate(vocabulary.categories)}
    labels = {s.id: place[s.name] for s in scene.segments if s.name in place}
    return sample_from_ids(scene.image, scene.ids, labels)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--clip", type=Path, required=True, help="folder with clip.pt")
    parser.add_argument("--sam", type=Path, required=True, help="folder with sam.safetensors")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--assets", type=Path, default=DEFAULT_ASSETS)
    parser.add_argument("--iterations", type=int, help="in place of the recipe's steps")
    parser.add_argument("--scenes", type=int, default=2400, help="size of the pool")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    settings = read_settings(RECIPE)
    if given.iterations is not None:
        settings = settings.with_steps(given.iterations)
    if not train_decoder(given.clip, given.sam, given.out, given.assets, settings, given.scenes):
        sys.exit(STOPPED)


if __name__ == "__main__":
    main()
