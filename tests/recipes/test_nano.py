"""Every stage of the nano recipe learns, on scenes of the drawings that travel with the package."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from frozenseg_label.demo.textures import draw_textures
from frozenseg_label.demo.write_demo import demonstration_cutouts
from frozenseg_label.evaluation.panoptic_quality import PanopticTally
from frozenseg_label.inference.predictor_spec import PredictorSpec
from frozenseg_label.inference.preprocess import prepare_image
from frozenseg_label.model.builders import build_frozenseg_nano, build_nano_sam
from frozenseg_label.model.sam import DecoderSizes, vit_sam
from frozenseg_label.training.data.sample_sources import PoolSource
from frozenseg_label.training.settings import read_settings
from frozenseg_label.vocabulary_files import read_vocabulary
from recipes.nano.making import clip_batches, clip_pictures
from recipes.nano.making import train_sam as sam_stage
from recipes.nano.making.restyle import color_shape, restyle
from recipes.nano.making.sam_losses import DenseTasks
from recipes.nano.making.stage_files import read_decoder, take_up, write_state, write_weights
from recipes.nano.making.train_clip import (
    choose_prompts,
    make_optimizer,
    prepare_model,
    region_loss,
)
from recipes.nano.making.train_decoder import RECIPE, learn, see_scene, vocabulary_of
from recipes.nano.making.world import World, read_concepts
from recipes.nano.studying.measures import Measures
from recipes.nano.studying.spread import standard_errors
from recipes.nano.studying.ways import own_ways


@pytest.fixture(scope="module")
def world() -> World:
    concepts = read_concepts()
    stuff = [concept.name for concept in concepts if not concept.is_thing]
    textures = draw_textures(np.random.default_rng(0), 1, names=stuff)
    return World(concepts, demonstration_cutouts("unseen"), textures)


class Fixed:
    """A stream that gives the same pictures again and again."""

    def __init__(self, pictures: list[clip_pictures.Captioned]) -> None:
        self.pictures = pictures

    def choose(
        self, rng: np.random.Generator, iteration: int, count: int
    ) -> list[clip_pictures.Captioned]:
        return self.pictures[:count]


def test_captions_without_a_region_are_left_out(world: World) -> None:
    crowds = Fixed([clip_pictures.draw_crowd(world, seed) for seed in range(4)])
    tiles = Fixed([clip_pictures.draw_tile(world, seed, hard=1.0) for seed in range(8)])
    rng = np.random.default_rng(0)
    for batch in (
        clip_batches.crop_batch(rng, crowds, 0, 4),
        clip_batches.mosaic_batch(rng, tiles, 0, 2),
    ):
        named = batch.classes >= 0
        assert named.any()
        assert batch.classes.max() < len(world.concepts)
        assert (batch.masks > 0).any(axis=(2, 3))[named].all()


def test_clip_learns_what_captions_say(world: World) -> None:
    torch.manual_seed(0)
    crowds = Fixed([clip_pictures.draw_crowd(world, seed) for seed in range(4)])
    rng = np.random.default_rng(0)
    batch = clip_batches.crop_batch(rng, crowds, 0, 4)
    prompts = choose_prompts(rng, world.concepts)
    model = prepare_model(read_concepts(everything=True)).train()
    table = nn.Parameter(torch.randn(len(world.concepts), model.embedding_size))
    optimizer = make_optimizer(model, table, 3e-3)
    losses = []
    for _ in range(6):
        loss, _ = region_loss(model, table, batch, prompts, bf16=False)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]
    assert model.model.token_embedding.weight.grad.abs().sum() > 0  # the text tower learns, too


def test_sam_learns_from_points(world: World) -> None:
    torch.manual_seed(0)
    model = build_nano_sam()
    sam_stage.aim_at_points(model)
    tasks = DenseTasks(model.channels)
    optimizer = torch.optim.AdamW([*model.parameters(), *tasks.parameters()])
    settings = sam_stage.Settings(iterations=1000, batch_size=2, points=4, warm_up=1)
    steps = [
        sam_stage.train_step(model, tasks, optimizer, world, 200, settings) for _ in range(8)
    ]  # one iteration's scenes again and again
    for loss in ("mask", "thing", "affinity"):
        assert steps[-1][loss] < steps[0][loss]


def test_the_decoder_learns_on_features_of_frozen_encoders(world: World, tmp_path: Path) -> None:
    model = PredictorSpec("nano", read_vocabulary("stickers")).load().model
    before = {key: value.clone() for key, value in model.state_dict().items()}
    known = [concept for concept in world.concepts if concept.seen]
    scenes = World(tuple(known), {c.name: world.cutouts[c.name] for c in known[:9]}, world.textures)
    words = vocabulary_of(known)
    pool = PoolSource([see_scene(model, scenes.scene(seed), words) for seed in range(4)])
    settings = read_settings(RECIPE).with_steps(2).model_copy(update={"batch_size": 2})
    assert learn(model, pool, tmp_path, settings, None)
    changed = {key for key, value in model.state_dict().items() if not value.equal(before[key])}
    assert any(key.startswith("transformer_decoder.") for key in changed)
    assert not any(key.startswith(("clip.", "sam.")) for key in changed)


def test_the_recipe_measures_what_annotate_writes(world: World) -> None:
    predictor = PredictorSpec("nano", read_vocabulary("stickers")).load()
    model, words, size = predictor.model, predictor.vocabulary, predictor.model.input_size
    measures = Measures(words, predictor.names.seen)
    written = PanopticTally()
    with torch.inference_mode():
        for seed in range(3):
            scene = world.scene(seed)
            measures.add(model, scene, own_ways(model, predictor.names))
            image = prepare_image(scene.image, size.shortest, size.longest, size.divisor)
            written.add(predictor.predict([image])[0].panoptic, scene.truth(words))
    assert measures.labels["whole"].panoptic.categories == written.categories
    figures = measures.figures()
    assert 0 < figures["whole: PQ seen"] < 100
    assert (
        figures["recall with SAM's masks, seen things"]
        >= figures["recall of the decoder, seen things"]
    )
    assert measures.errors()["whole: PQ seen, standard error"] > 0


def test_a_shape_takes_the_colours_of_a_drawing() -> None:
    ink = np.zeros((20, 20), np.uint8)
    ink[5:15, 5:15] = 255
    shape = np.dstack([ink, ink, ink, np.full((20, 20), 255, np.uint8)])
    red = np.zeros((30, 30, 4), np.uint8)
    red[...] = (200, 10, 10, 255)
    for seed in range(5):
        colored = color_shape(np.random.default_rng(seed), shape, [red])
        inside, outside = (tuple(colored[at][:3].tolist()) for at in ((10, 10), (0, 0)))
        assert (200, 10, 10) in (inside, outside)
        assert inside != outside


def test_restyled_drawings_stay_drawings(world: World) -> None:
    drawing = world.cutouts["lion"][0]
    versions = [restyle(np.random.default_rng(seed), drawing) for seed in range(20)]
    for version in versions:
        assert version.dtype == np.uint8
        assert 0.5 < (version[..., 3] > 127).sum() / (drawing[..., 3] > 127).sum() < 1.5
    assert len({version.tobytes() for version in versions}) == len(versions)


def test_standard_errors_are_those_of_repeated_draws() -> None:
    scenes, chance = 400, 0.3
    rng = np.random.default_rng(0)

    def counts(found: np.ndarray) -> np.ndarray:
        return np.stack([found, found, np.zeros(len(found)), ~found], axis=1)[:, None].astype(float)

    def quality(found: np.ndarray) -> float:
        return 100 * found.sum() / (found.sum() + (~found).sum() / 2)

    repeated = np.std([quality(rng.random(scenes) < chance) for _ in range(500)])
    first, other = counts(rng.random(scenes) < chance), counts(rng.random(scenes) < chance)
    ways = {"first": first, "same": first, "other": other}
    errors = standard_errors(ways, {"seen": [0]}, base="first")
    assert errors["first: PQ seen, standard error"] == pytest.approx(repeated, rel=0.15)
    assert errors["same: PQ seen, standard error of the gain"] == 0.0
    gain = errors["other: PQ seen, standard error of the gain"]
    assert gain == pytest.approx(repeated * 2**0.5, rel=0.2)


def test_a_stage_goes_on_where_it_stopped(tmp_path: Path) -> None:
    trained, fresh = nn.Linear(2, 2), nn.Linear(2, 2)
    write_weights(tmp_path / "weights.safetensors", trained, 40)
    state, done = take_up(tmp_path / "training.pt", tmp_path / "weights.safetensors", fresh)
    assert (state, done) == (None, 40)
    assert torch.equal(fresh.weight, trained.weight.half().float())
    write_state(tmp_path / "training.pt", {"iterations": 60})
    assert take_up(tmp_path / "training.pt", None, fresh) == ({"iterations": 60}, 60)


def test_a_deeper_encoder_takes_up_a_shallower_one_and_sees_the_same(tmp_path: Path) -> None:
    shallow, deep = (
        vit_sam(
            image_size=64,
            depth=depth,
            embed_dim=16,
            heads=2,
            channels=16,
            decoder=DecoderSizes(heads=2),
        ).eval()
        for depth in (1, 3)
    )
    for parameter in shallow.parameters():
        nn.init.normal_(parameter, std=0.1)
    write_weights(tmp_path / "sam.safetensors", shallow.half().float(), iterations=7)
    state, done = take_up(tmp_path / "training.pt", tmp_path / "sam.safetensors", deep)
    assert state is None
    assert done == 7
    pixels = torch.rand(1, 3, 64, 64) * 255
    torch.testing.assert_close(deep.encode(pixels, [(64, 64)]), shallow.encode(pixels, [(64, 64)]))
    with pytest.raises(ValueError, match=r"sam\.safetensors: not weights of this model"):
        take_up(tmp_path / "training.pt", tmp_path / "sam.safetensors", nn.Linear(1, 1))


def test_weights_of_another_stage_are_no_decoder(tmp_path: Path) -> None:
    write_weights(tmp_path / "other.safetensors", nn.Linear(2, 2), 1)
    with pytest.raises(ValueError, match=r"other\.safetensors: the decoder lacks"):
        read_decoder(tmp_path / "other.safetensors", build_frozenseg_nano())
