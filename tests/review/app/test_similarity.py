"""What CLIP saw stays with the segments that it saw, whatever a save does to them."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from frozenseg_label.panoptic import PanopticMap
from frozenseg_label.review.app.similarity import add_similarity, read_vectors, save_search
from frozenseg_label.review.review_run import save_review
from frozenseg_label.runs.run_folder import RunFolder
from tests.review.small_run import (
    MakeManifest,
    annotate,
    image_of,
    labels,
    open_in_fiftyone,
    segment_of,
)


def test_vectors_follow_segments_that_got_other_ids_beside_corrections(
    out: Path, tmp_path: Path, make_manifest: MakeManifest
) -> None:
    sample = image_of(open_in_fiftyone(out).dataset, "a.png")
    segment_of(sample, 2).label = "dog"
    sample.save()
    first = labels()
    swap = np.array([0, 1, 3, 2], np.int32)
    swapped = [replace(segment, id=int(swap[segment.id])) for segment in first.segments]
    annotate(tmp_path, make_manifest("better"), PanopticMap.of(swap[first.ids], swapped))
    save_review(out)
    with RunFolder.read(out) as run:
        [entry] = [entry for entry in run.entries() if entry.image == "a.png"]
        seen = run.read_embeddings(entry)
        current = run.read_map("a.png")
    [renumbered] = set(np.unique(current.ids[first.ids == 3]).tolist())
    assert set(np.unique(current.ids[first.ids == 2])) == {2}
    assert renumbered not in (2, 3)
    assert seen is not None
    assert seen.segments[renumbered].argmax() == 2  # the new run saw it under this id
    assert 2 not in seen.segments  # what the new run saw there is another segment


def test_similarity_follows_a_save(out: Path) -> None:
    dataset = open_in_fiftyone(out).dataset
    with RunFolder.read(out) as run:
        add_similarity(dataset, read_vectors(run))
    sample = image_of(dataset, "a.png")
    segment_of(sample, 3).tags = ["rejected"]
    sample.save()
    save_review(out)
    index = dataset.load_brain_results("like_this_segment", cache=False)
    assert set(index.label_ids) == set(dataset.values("segments.detections.id", unwind=True))


def test_what_looks_alike_is_found_from_the_kept_vectors(out: Path) -> None:
    with RunFolder.read(out) as run:
        vectors = read_vectors(run)
    dataset = open_in_fiftyone(out).dataset
    add_similarity(dataset, vectors)
    assert len(dataset.list_brain_runs()) == 4
    patches = dataset.to_patches("segments")
    cat = patches.match_labels(filter=segment_filter("cat")).first()
    view = patches.sort_by_similarity(cat.id, k=3, brain_key="like_this_segment")
    assert view.values("segments.label") == ["cat", "cat", "cat"]
    found = save_search(dataset, vectors, "my cat", np.eye(4)[2], 4)
    assert (found.segments, found.searched) == (4, 9)
    assert found.page == f"/datasets/{dataset.name}?view=search-my-cat"
    labels_found = dataset.load_saved_view(found.view).values("segments.label")
    assert labels_found[:3] == ["cat"] * 3
    assert len(labels_found) == 4


def segment_filter(label: str):  # noqa: ANN201
    from fiftyone import ViewField

    return ViewField("label") == label
