"""Put nano's three trained parts into one checkpoint, float16, as it travels with the package.

python -m recipes.nano.making.pack --clip CLIP --sam SAM --decoder DECODER
"""

import argparse
from pathlib import Path

from frozenseg_label.checkpoints.checkpoint import save_checkpoint
from frozenseg_label.checkpoints.header import TrainingCategory
from frozenseg_label.model.builders import build_frozenseg_nano
from frozenseg_label.model.frozenseg import FrozenSeg
from recipes.nano.making.stage_files import read_decoder, read_weights
from recipes.nano.making.world import ROOT, read_concepts

EMBEDDED_FILE = ROOT / "frozenseg_label/weights/nano.safetensors"
MOST_BYTES = 25_000_000


def pack(clip: Path, sam: Path, decoder: Path, out: Path) -> None:
    """Write the embedded checkpoint; its training vocabulary is the seen classes."""
    model = assemble(clip, sam, decoder)
    seen = [concept for concept in read_concepts() if concept.seen]
    categories = [TrainingCategory(names=c.names, is_thing=c.is_thing) for c in seen]
    origin = "trained from nothing by recipes/nano; see its README"
    save_checkpoint(out, model, "nano", categories, half=True, origin=origin, made_for="drawings")
    if out.stat().st_size > MOST_BYTES:
        raise ValueError(f"{out} has {out.stat().st_size} bytes, more than {MOST_BYTES}")


def assemble(clip: Path, sam: Path, decoder: Path) -> FrozenSeg:
    """Build nano and load the weights that the stages left in their folders."""
    model = build_frozenseg_nano()
    read_weights(clip / "clip.safetensors", model.clip)
    read_weights(sam / "sam.safetensors", model.sam)
    read_decoder(decoder / "decoder.safetensors", model)
    return model.eval()


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--clip", type=Path, required=True, help="folder with clip.safetensors")
    parser.add_argument("--sam", type=Path, required=True, help="folder with sam.safetensors")
    parser.add_argument(
        "--decoder", type=Path, required=True, help="folder with decoder.safetensors"
    )
    parser.add_argument("--out", type=Path, default=EMBEDDED_FILE)
    pack(**vars(parser.parse_args()))


if __name__ == "__main__":
    main()
