"""Compare SAM's masks of everything with segment-anything's own generator: same masks, CPU seconds.

    python tests/benchmarks/everything_masks.py
    python tests/benchmarks/everything_masks.py --model convnext-large --points 16

Both take the same weights, grid and thresholds, and an image embedding that is made once and not
counted. The image is a square demonstration scene, as the generator keeps the aspect ratio where
FrozenSeg stretches. nano has its own weights; the others' SAM (ViT-B) has random ones, logits of a
trained size, and a bound of the rating that a third of the masks pass.
"""

import argparse
import time
from tempfile import TemporaryDirectory

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from segment_anything import SamAutomaticMaskGenerator
from segment_anything.modeling import Sam
from segment_anything.utils.amg import build_point_grid
from torch import Tensor

from frozenseg_label.checkpoints.checkpoint import load_checkpoint
from frozenseg_label.checkpoints.named_weights import find_weights
from frozenseg_label.demo.write_demo import write_demo
from frozenseg_label.inference.everything_masks import everything_masks
from frozenseg_label.inference.preprocess import Framing
from frozenseg_label.model.builders import BUILDERS
from frozenseg_label.model.sam import SAM_MEAN, SAM_STD, FrozenSam
from frozenseg_label.model.settings import EverythingSettings

SAME = 0.99  # IoU from which on two masks are the same


class EncoderThatHasSeen(torch.nn.Module):
    """An encoder that has seen its image."""

    def __init__(self, embedding: Tensor, side: int) -> None:
        super().__init__()
        self.embedding, self.img_size = embedding, side

    def forward(self, _: Tensor) -> Tensor:
        """Return the embedding."""
        return self.embedding


def main() -> None:
    """Make the masks in both ways and compare them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--model", default="nano", choices=list(BUILDERS))
    parser.add_argument("--points", type=int, default=32, help="on each side of the grid")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    with torch.inference_mode():
        compare(options.model, options.points)


def compare(model: str, points: int) -> None:
    """Print seconds and likeness of both ways' masks, as a Markdown table."""
    sam, given = nano_sam() if model == "nano" else random_sam(model)
    side = sam.image_size
    image = demonstration_scene(side)
    pixels = torch.tensor(image).permute(2, 0, 1)[None].float()
    embedding = sam.encode(pixels, [(side, side)])
    settings = EverythingSettings(
        points_per_side=points,
        points_per_batch=given.points_per_batch,
        min_predicted_iou=given.min_predicted_iou,
        min_stability=given.min_stability,
        max_masks=points**2 * 3,
    )
    if model != "nano":
        settings = pass_a_third(sam, embedding, settings)
    framing = Framing((side, side), (side, side), (side, side))
    start = time.process_time()
    (ours,) = everything_masks(sam, embedding, [framing], settings)
    seconds = time.process_time() - start
    start = time.process_time()
    theirs = generated(sam, embedding, image, settings)
    their_seconds = time.process_time() - start
    ours = F.interpolate(ours[:, None], (side, side), mode="bilinear")[:, 0] > 0
    best = mask_ious(theirs, ours).amax(dim=1)  # of each of theirs
    rows = {
        f"{model}, {points} x {points} points": "",
        "segment-anything's generator, CPU s": f"{their_seconds:.1f}",
        "ours, CPU s": f"{seconds:.1f}",
        "**times less**": f"**{their_seconds / seconds:.1f}**",
        "masks, theirs and ours": f"{len(theirs)}, {len(ours)}",
        f"theirs that are ours with IoU >= {SAME}": f"{(best >= SAME).sum()}",
        "mean IoU of their best partners": f"{best.mean():.4f}",
    }
    print("\n".join(f"| {what} | {figure} |" for what, figure in rows.items()))  # noqa: T201


def nano_sam() -> tuple[FrozenSam, EverythingSettings]:
    """Return nano's SAM and the thresholds that were chosen for it."""
    model, _ = load_checkpoint(find_weights("nano"))
    return model.sam, model.everything


def random_sam(model: str) -> tuple[FrozenSam, EverythingSettings]:
    """Return a SAM with random weights, whose masks are as sharp as those of a trained one."""
    sam = BUILDERS[model]().sam.eval()
    for head in sam.mask_decoder.output_hypernetworks_mlps:
        torch.nn.init.normal_(head.layers[-1].weight, std=20.0)
    return sam, EverythingSettings()


def pass_a_third(
    sam: FrozenSam, embedding: Tensor, settings: EverythingSettings
) -> EverythingSettings:
    """Return settings whose threshold of the rating a third of the masks pass."""
    ratings = [sam.ask_points(embedding, some).ratings for some in torch.rand(8, 4, 2)]
    bound = torch.cat(ratings).flatten().quantile(2 / 3).item()
    return EverythingSettings(
        points_per_side=settings.points_per_side,
        points_per_batch=settings.points_per_batch,
        min_predicted_iou=bound,
        min_stability=0.3,
        max_masks=settings.max_masks,
    )


def generated(
    sam: FrozenSam, embedding: Tensor, image: np.ndarray, settings: EverythingSettings
) -> Tensor:
    """Return the masks of segment-anything's generator, bool [N, S, S]."""
    whole = Sam(
        EncoderThatHasSeen(embedding, sam.image_size),
        sam.prompt_encoder,
        sam.mask_decoder,
        list(SAM_MEAN),
        list(SAM_STD),
    )
    # The generator takes places of 0..1 for numbers of pixels, whose centres are half a pixel on.
    grid = build_point_grid(settings.points_per_side) - 0.5 / sam.image_size
    generator = SamAutomaticMaskGenerator(
        whole,
        points_per_side=None,
        point_grids=[grid],
        pred_iou_thresh=settings.min_predicted_iou,
        stability_score_thresh=settings.min_stability,
        box_nms_thresh=settings.max_box_iou,
    )
    masks = [torch.from_numpy(one["segmentation"]) for one in generator.generate(image)]
    return torch.stack(masks) if masks else torch.zeros(0, *image.shape[:2], dtype=torch.bool)


def mask_ious(a: Tensor, b: Tensor) -> Tensor:
    """Return the intersection over union of bool masks, [N, M]."""
    a, b = a.flatten(1).float(), b.flatten(1).float()
    both = a @ b.T
    return both / (a.sum(dim=1)[:, None] + b.sum(dim=1) - both).clamp(min=1)


def demonstration_scene(side: int) -> np.ndarray:
    """Return a demonstration scene, enlarged where it is too small, uint8 [side, side, 3]."""
    with TemporaryDirectory() as folder:
        (path,) = write_demo(folder, count=1, size=256)
        with Image.open(path) as picture:
            return np.asarray(picture.convert("RGB").resize((side, side)))


if __name__ == "__main__":
    main()
