"""The `evaluate` job: compares labels with true ones, or a model's labels with the reviewed ones.

Heavy imports stay inside the function: the command line reads its defaults here.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Literal, overload

if TYPE_CHECKING:
    from frozenseg_label.evaluation.evaluation_report import EvaluationReport, ReviewedReport
    from frozenseg_label.formats.published_layouts import PublishedSet
    from frozenseg_label.label_sets.class_map import ClassMap

HIGHEST_VALUE = 65535  # of a pixel of a PNG


@overload
def evaluate(
    predicted: str | Path,
    truth: str | Path,
    *,
    reviewed: Literal[False] = False,
    html: str | Path | None = None,
    images: str | Path | None = None,
    worst: int = 12,
    class_map: "str | Path | ClassMap | None" = None,
    truth_format: "PublishedSet | None" = None,
    ignore_index: int | None = None,
    progress: bool = False,
) -> "EvaluationReport": ...


@overload
def evaluate(
    predicted: str | Path,
    truth: None = None,
    *,
    reviewed: Literal[True],
    html: str | Path | None = None,
    images: str | Path | None = None,
    worst: int = 12,
    class_map: None = None,
    truth_format: None = None,
    ignore_index: None = None,
    progress: bool = False,
) -> "ReviewedReport": ...


def evaluate(
    predicted: str | Path,
    truth: str | Path | None = None,
    *,
    reviewed: bool = False,
    html: str | Path | None = None,
    images: str | Path | None = None,
    worst: int = 12,
    class_map: "str | Path | ClassMap | None" = None,
    truth_format: "PublishedSet | None" = None,
    ignore_index: int | None = None,
    progress: bool = False,
) -> "EvaluationReport | ReviewedReport":
    """Return how well labels agree.

    Compared are two sets of labels: run folders, or labels of other tools: COCO panoptic or
    instances, CVAT, Label Studio, labelme, VOC, YOLO. Folders of class PNGs have no segments: only
    their pixels are compared. Images are paired by path
    and file name, classes by name, synonym, or their place in a published set. Pixels without a
    label in the truth do not count.

    With `reviewed`, the model's own labels in one run folder are compared with its labels after the
    review. There, pixels that a person left without a label count: nothing is there.

    Args:
        html: folder for a page that shows the worst images side by side.
        images: folder of the images, for the page; None: where the run folder says.
        worst: number of worst images to list, and to show on the page.
        class_map: names in one set -> names in the other, or None for classes to leave out; or a
            YAML or JSON file with such a mapping.
        truth_format: read the truth as a data set publishes it: `cityscapes` (the PNGs of gtFine,
            or the JSON that createPanopticImgs makes), `ade20k` (annotations), `voc`
            (SegmentationClass) or `coco-stuff` (stuffthingmaps); name that folder or one below it.
            Only Cityscapes' tell objects apart; of the others, only pixels are compared.
        ignore_index: pixel value of the truth's class PNGs that does not count, beside those of the
            format.
        progress: show a bar on stderr.

    Returns:
        Figures in 0..1 of all classes and of each, with the images that agree least; with
        `reviewed`, what became of the proposals.

    Example:
        >>> report = frozenseg_label.evaluate("labels", "truth")
        >>> 0 <= report.groups["all"].pq <= 1
        True
    """
    if (truth is None) != reviewed:
        raise ValueError("give either true labels to compare with, or reviewed=True")
    if reviewed and class_map is not None:
        raise ValueError("a review has one vocabulary only: no class_map with reviewed=True")
    if reviewed and (truth_format is not None or ignore_index is not None):
        raise ValueError("truth_format and ignore_index are for two sets, not for reviewed=True")
    if ignore_index is not None and not 0 <= ignore_index <= HIGHEST_VALUE:
        raise ValueError(f"ignore_index must be in 0..{HIGHEST_VALUE}, got {ignore_index}")
    if worst < 0:
        raise ValueError(f"worst must be at least 0, got {worst}")
    pages = None if html is None else Path(html)
    pictures = None if images is None else Path(images)
    if truth is None:
        from frozenseg_label.evaluation.reviewed import compare_with_review

        return compare_with_review(Path(predicted), pages, pictures, worst, progress)
    from frozenseg_label.evaluation.compare_sets import compare_sets
    from frozenseg_label.label_sets.class_map import read_class_map
    from frozenseg_label.label_sets.truth_source import TruthSource

    said, source = read_class_map(class_map), TruthSource(Path(truth), truth_format, ignore_index)
    return compare_sets(Path(predicted), source, pages, pictures, worst, progress, said)
