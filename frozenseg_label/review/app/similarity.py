"""The vectors that `annotate` kept give the App "more like this", a map and a search.

Nothing is downloaded and no model runs here: the vectors are in the run folder, and words come as
vectors, too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from frozenseg_label.errors import ReviewError
from frozenseg_label.review.app.segment_documents import SEGMENTS
from frozenseg_label.runs.run_reader import RunReader

if TYPE_CHECKING:
    import fiftyone as fo

IMAGES_KEY, SEGMENTS_KEY = "like_this_image", "like_this_segment"
MAP_KEY = "map"
NAME_LENGTH = 80  # of a view, in the App's list


@dataclass(frozen=True)
class SegmentVectors:
    """CLIP's vectors of a whole run.

    Attributes:
        images: their names, [I].
        image_vectors: float32 [I, D], unit length.
        segments: image and segment id, [N].
        segment_vectors: float32 [N, D], unit length.
    """

    images: tuple[str, ...]
    image_vectors: NDArray[np.float32]
    segments: tuple[tuple[str, int], ...]
    segment_vectors: NDArray[np.float32]


@dataclass(frozen=True)
class Found:
    """The view of a search.

    Attributes:
        view: its name in the App.
        segments: how many it shows, the most similar first.
        searched: how many were looked at.
        page: the view's path in the App.
    """

    view: str
    segments: int
    searched: int
    page: str


def read_vectors(run: RunReader, clip: str | None = None) -> SegmentVectors:
    """Return the vectors of all images; where several CLIPs saw them, those of only one CLIP.

    Args:
        clip: short hash of this CLIP; None: the one that saw most images.
    """
    found = [
        (entry.image, seen)
        for entry in run.entries()
        if entry.labels is not None and (seen := run.read_embeddings(entry)) is not None
    ]
    clips = [seen.clip for _, seen in found]
    wanted = clip or max(sorted(set(clips)), key=clips.count, default="")
    found = [(image, seen) for image, seen in found if seen.clip == wanted]
    if not found:
        raise ReviewError(
            f"{run.path} has no vectors of what CLIP saw{' with these weights' if clip else ''}; "
            "annotate into a new folder, or again with --update, to get them"
        )
    segments = [(image, id_, row) for image, seen in found for id_, row in seen.segments.items()]
    size = len(found[0][1].image)
    return SegmentVectors(
        images=tuple(image for image, _ in found),
        image_vectors=np.stack([seen.image for _, seen in found]).astype(np.float32),
        segments=tuple((image, id_) for image, id_, _ in segments),
        segment_vectors=np.array([row for _, _, row in segments], np.float32).reshape(-1, size),
    )


def nearest(vectors: SegmentVectors, query: NDArray[np.floating], most: int) -> list[int]:
    """Return the places of the segments nearest to a unit vector [D], the nearest first."""
    cosines = vectors.segment_vectors @ query.astype(np.float32)
    return [int(place) for place in np.argsort(-cosines, kind="stable")[:most]]


def add_similarity(dataset: "fo.Dataset", vectors: SegmentVectors) -> None:
    """Give the App "more like this" and a map, for images and for segments.

    All of it is made again each time: FiftyOne's results do not follow segments that come and go.
    """
    import fiftyone.brain as fob

    ids = dict(zip(*dataset.values(["image", "id"]), strict=True))
    here = [at for at, image in enumerate(vectors.images) if image in ids]
    if len(here) < 2:
        return
    _forget(dataset, (IMAGES_KEY, SEGMENTS_KEY, f"{MAP_KEY}_of_images", f"{MAP_KEY}_of_segments"))
    dataset = dataset.select([ids[vectors.images[at]] for at in here], ordered=True)
    image_vectors = vectors.image_vectors[here]
    fob.compute_similarity(
        dataset, embeddings=image_vectors, brain_key=IMAGES_KEY, backend="sklearn"
    )
    fob.compute_visualization(
        dataset,
        points=_plane(image_vectors),
        brain_key=f"{MAP_KEY}_of_images",
        method="manual",
    )
    by_image = _of_detections(dataset, vectors)
    fob.compute_similarity(
        dataset,
        patches_field=SEGMENTS,
        embeddings=by_image,
        brain_key=SEGMENTS_KEY,
        backend="sklearn",
    )
    if by_image:
        fob.compute_visualization(
            dataset,
            patches_field=SEGMENTS,
            points=_plane(np.concatenate(list(by_image.values()))),
            brain_key=f"{MAP_KEY}_of_segments",
            method="manual",
        )


def save_search(
    dataset: "fo.Dataset",
    vectors: SegmentVectors,
    words: str,
    query: NDArray[np.floating],
    limit: int,
) -> Found:
    """Save a view of the segments nearest to what words mean; returns where it is.

    Args:
        query: the words' vector [D], unit length, of the CLIP that saw the segments.
        limit: number of segments in the view, at most.
    """
    from fiftyone.core.utils import to_slug

    fields = ["image", f"{SEGMENTS}.detections.segment_id", f"{SEGMENTS}.detections.id"]
    ids = {
        (image, segment): id_
        for image, segments, own in zip(*dataset.values(fields), strict=True)
        for segment, id_ in zip(segments or (), own or (), strict=True)
    }
    ranked = [vectors.segments[at] for at in nearest(vectors, query, len(vectors.segments))]
    found = [ids[key] for key in ranked if key in ids]
    chosen = found[:limit]
    name = f"search: {words}"[:NAME_LENGTH]
    view = dataset.select_labels(ids=chosen, fields=SEGMENTS).to_patches(SEGMENTS)
    dataset.save_view(name, view.select(chosen, ordered=True), overwrite=True)
    page = f"/datasets/{to_slug(dataset.name)}?view={to_slug(name)}"
    return Found(name, len(chosen), len(found), page)


def _forget(dataset: "fo.Dataset", keys: Sequence[str]) -> None:
    for key in keys:
        if dataset.has_brain_run(key):
            dataset.delete_brain_run(key)


def _of_detections(
    dataset: "fo.DatasetView", vectors: SegmentVectors
) -> dict[str, NDArray[np.float32]]:
    """Return a row for each detection, by sample id; if CLIP never saw it, the image's row."""
    rows = dict(zip(vectors.segments, vectors.segment_vectors, strict=True))
    of_images = dict(zip(vectors.images, vectors.image_vectors, strict=True))
    found = {}
    fields = ["id", "image", f"{SEGMENTS}.detections.segment_id"]
    for id_, image, segments in zip(*dataset.values(fields), strict=True):
        if segments:
            of_image = of_images[image]
            found[id_] = np.stack([rows.get((image, one), of_image) for one in segments])
    return found


def _plane(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return points [N, 2] on the two axes along which the vectors [N, D] differ most.

    The axes come from the D x D covariance: N may be a thousand times D.
    """
    centred = vectors - vectors.mean(axis=0)
    _, columns = np.linalg.eigh(centred.T @ centred)  # the largest last
    axes = columns.T[::-1][:2]  # [2, D]
    signs = np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)])
    points: NDArray[np.float32] = centred @ (axes * signs[:, None]).T
    return points if points.shape[1] == 2 else np.pad(points, ((0, 0), (0, 1)))
