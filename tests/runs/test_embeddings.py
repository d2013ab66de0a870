"""What CLIP saw is kept for the ids that stand in the labels, whatever kills or updates come."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from frozenseg_label.images import ImageRecord
from frozenseg_label.panoptic import PanopticMap
from frozenseg_label.runs import embeddings as module
from frozenseg_label.runs.embeddings import EmbeddingShards, ImageEmbeddings
from frozenseg_label.runs.manifest import Manifest
from frozenseg_label.runs.run_folder import RunFolder

MakeManifest = Callable[..., Manifest]
MakeImage = Callable[..., ImageRecord]
MakeMap = Callable[..., PanopticMap]

CAT, DOG, SKY = 1, 2, 3


def seen(seed: int, *ids: int, clip: str = "ab") -> ImageEmbeddings:
    rng = np.random.default_rng(seed)
    vectors = {id_: rng.normal(size=8).astype(np.float16) for id_ in ids}
    return ImageEmbeddings.of(clip, rng.normal(size=8).astype(np.float16), vectors)


def same(one: ImageEmbeddings | None, other: ImageEmbeddings) -> bool:
    return (
        one is not None
        and one.clip == other.clip
        and np.array_equal(one.image, other.image)
        and one.segments.keys() == other.segments.keys()
        and all(np.array_equal(one.segments[id_], other.segments[id_]) for id_ in one.segments)
    )


def test_what_was_written_is_read_by_its_key(tmp_path: Path) -> None:
    shards = EmbeddingShards(tmp_path)
    first, none = shards.append(seen(1, 4, 9)), shards.append(seen(2))
    shards.close()
    again = EmbeddingShards(tmp_path)
    assert same(again.read(first), seen(1, 4, 9))
    assert same(again.read(none), seen(2))
    assert again.read("00" * 16) is None
    assert again.read(None) is None


def test_a_torn_record_is_cut_off_and_the_rest_stays(tmp_path: Path) -> None:
    shards = EmbeddingShards(tmp_path)
    first, second = shards.append(seen(1, 4)), shards.append(seen(2, 5))
    shards.close()
    shard = tmp_path / "embeddings" / "00000.bin"
    shard.write_bytes(shard.read_bytes()[:-3])
    again = EmbeddingShards(tmp_path)
    assert again.read(second) is None
    third = again.append(seen(3, 6))
    again.close()
    assert same(EmbeddingShards(tmp_path).read(first), seen(1, 4))
    assert same(EmbeddingShards(tmp_path).read(third), seen(3, 6))


def test_a_record_with_flipped_bits_is_not_taken_for_whole(tmp_path: Path) -> None:
    shards = EmbeddingShards(tmp_path)
    key = shards.append(seen(1, 4))
    shards.close()
    shard = tmp_path / "embeddings" / "00000.bin"
    data = bytearray(shard.read_bytes())
    data[-1] ^= 1
    shard.write_bytes(data)
    assert EmbeddingShards(tmp_path).read(key) is None


def test_full_shards_are_followed_by_new_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SHARD_BYTES", 100)
    shards = EmbeddingShards(tmp_path)
    keys = [shards.append(seen(seed, 1, 2)) for seed in range(5)]
    shards.close()
    again = EmbeddingShards(tmp_path)
    keys.append(again.append(seen(5, 1, 2)))
    again.close()
    assert len(list((tmp_path / "embeddings").iterdir())) == 3  # 88 bytes each, two a shard
    assert all(same(again.read(key), seen(seed, 1, 2)) for seed, key in enumerate(keys))


def test_a_row_names_what_was_seen_by_the_ids_of_its_labels(
    tmp_path: Path, make_manifest: MakeManifest, make_image: MakeImage, make_map: MakeMap
) -> None:
    image = make_image("a.jpg")
    first = make_map([[1, 1, 2, 2]], {1: (CAT, "proposed"), 2: (DOG, "proposed")})
    reviewed = make_map([[1, 1, 2, 2]], {1: (CAT, "accepted"), 2: (DOG, "proposed")})
    # The second run calls the right half 1, which the person's cat has: it becomes another id.
    better = make_map([[2, 2, 1, 1]], {2: (CAT, "proposed"), 1: (DOG, "proposed")})
    before, after = seen(1, 1, 2), seen(2, 1, 2)
    with RunFolder.open_or_create(tmp_path / "out", make_manifest()) as run:
        run.commit(image, first, embeddings=before)
        run.correct(image, reviewed, state="in review")
        run.fail(image, "the disk was not there")
        [entry] = run.entries()
        assert same(run.read_embeddings(entry), before)
    with RunFolder.open_or_create(tmp_path / "out", make_manifest("large"), update=True) as run:
        fused = run.commit(image, better, embeddings=after)
        new_id = int(fused.ids[0, 3])
        assert new_id not in (1, 2)
    with RunFolder.read(tmp_path / "out") as run:
        [entry] = run.entries()
        kept = run.read_embeddings(entry)
    assert kept is not None
    assert kept.segments.keys() == {1, new_id}
    assert np.array_equal(kept.segments[1], before.segments[1])  # the accepted cat
    assert np.array_equal(kept.segments[new_id], after.segments[1])


def test_vectors_of_another_clip_are_not_mixed_in(
    tmp_path: Path, make_manifest: MakeManifest, make_image: MakeImage, make_map: MakeMap
) -> None:
    image = make_image("a.jpg")
    with RunFolder.open_or_create(tmp_path / "out", make_manifest()) as run:
        run.commit(image, make_map([[1, 2]], {1: (CAT, "proposed"), 2: (SKY, "proposed")}))
        accepted = make_map([[1, 2]], {1: (CAT, "accepted"), 2: (SKY, "proposed")})
        run.correct(image, accepted, state="in review")
        run.commit(image, make_map([[0, 5]], {5: (SKY, "proposed")}), embeddings=seen(1, 5))
        again = make_map([[0, 5]], {5: (SKY, "proposed")})
        run.commit(image, again, embeddings=seen(2, 5, clip="cd"))
        [entry] = run.entries()
        kept = run.read_embeddings(entry)
    assert kept is not None
    assert kept.segments.keys() == {5}


def test_what_no_row_names_goes_once_it_is_most(
    tmp_path: Path, make_manifest: MakeManifest, make_image: MakeImage, make_map: MakeMap
) -> None:
    image, out = make_image("a.jpg"), tmp_path / "out"
    labels = make_map([[1, 1]], {1: (CAT, "proposed")})
    for number in range(3):
        with RunFolder.open_or_create(out, make_manifest(f"{number}"), update=True) as run:
            run.commit(image, labels, embeddings=seen(number, 1))
            run.finish()
    [shard] = (out / "embeddings").iterdir()
    assert shard.name == "00001.bin"
    with RunFolder.read(out) as run:
        [entry] = run.entries()
        assert same(run.read_embeddings(entry), seen(2, 1))
