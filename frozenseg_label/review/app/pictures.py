"""The pictures that FiftyOne shows: where they are now, and what to do if they are away."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from frozenseg_label.addresses import Address
from frozenseg_label.errors import ReviewError
from frozenseg_label.runs.layout import FAILURES
from frozenseg_label.runs.run_reader import RunReader

if TYPE_CHECKING:
    import fiftyone as fo


def remedy_for_pictures(run: RunReader) -> str:
    """Return what a person can do about pictures that are not where the run looks for them."""
    if isinstance(run.root, Address):
        return (
            f"the App shows files: copy the pictures from {run.root} to a folder, and give the "
            f"`annotate` command again with that folder and -o {run.path}: no image is labelled "
            "twice"
        )
    return (
        "if they are on a drive, connect it; if they were moved, give the `annotate` command again "
        f"with their new folder and -o {run.path}: no image is labelled twice"
    )


def nothing_to_show(run: RunReader, left_out: Mapping[str, str]) -> str:
    """Return why no image of a run can be shown, and what to do."""
    if not left_out:
        return (
            f"{run.path}: no image has labels that could be shown; label some with `annotate` "
            f"(why images failed is in {run.path / FAILURES})"
        )
    image, reason = next(iter(left_out.items()))
    return (
        f"{run.path}: none of its {len(left_out)} images can be shown ({ascii(image)[1:-1]}: "
        f"{reason}); {remedy_for_pictures(run)}"
    )


def follow_pictures(run: RunReader, dataset: "fo.Dataset") -> dict[str, str]:
    """Let samples point to where the pictures are now.

    Returns:
        The places at which there is no picture, by image.

    Raises:
        ReviewError: there is none at any place.
    """
    images, paths = dataset.values(["image", "filepath"])
    now = [
        # A sample without an image is not ours: a person added it.
        path if image is None else f"{run.picture(image) or path}"
        for image, path in zip(images, paths, strict=True)
    ]
    if now != paths:
        dataset.set_values("filepath", now)
    lost = {
        image: path
        for image, path in zip(images, now, strict=True)
        if image is not None and not Path(path).exists()
    }
    if lost and len(lost) == len(images):
        first = next(iter(lost.values()))
        raise ReviewError(
            f"{run.path}: none of the {len(lost)} pictures is where it was (there is no {first}); "
            f"{remedy_for_pictures(run)}. Your corrections are kept"
        )
    return lost
