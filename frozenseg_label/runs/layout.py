"""The names and places of all files in a run folder (DESIGN.md, section 3)."""

from frozenseg_label.formats.coco_panoptic import png_name

MANIFEST = "run.json"
JOURNAL = "journal.jsonl"
LOCK_FILE = "lock"
PANOPTIC_JSON = "panoptic.json"
SUMMARY = "summary.json"
FAILURES = "failures.jsonl"

PANOPTIC = "panoptic"  # the labels
PROPOSED = "proposed"  # the model's own maps of images that people corrected
CLASS_PNG = "class-png"
PER_CLASS_PNG = "per-class-png"
SEMANTIC = "semantic"  # class PNGs, too, but of the model's semantic output
EMBEDDINGS = "embeddings"
OPENED = "review"  # the labels as a review opened them


def label_file(kind: str, image: str) -> str:
    """Return where the PNG of an image is, relative to the run folder, with `/`.

    It keeps the image's suffix, so that no two images have the same.

    Args:
        kind: folder of the run, as `PANOPTIC`.
        image: its name in the run.
    """
    return f"{kind}/{png_name(image)}"
