"""`ImageProposals` as the bytes of a small file, and back: what `annotate --keep-proposals` writes.

Mask logits are rounded to 8 bits or less between -LIMIT and LIMIT. Neighbours are nearly equal, so
what is packed is the change of the change from one to the next, down and across.
"""

import json
import zlib
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from frozenseg_label.errors import FormatError
from frozenseg_label.inference.image_proposals import ImageProposals, SamProposals
from frozenseg_label.inference.preprocess import Framing, Size
from frozenseg_label.model.proposals import MaskProposals

# Probabilities beyond are 0 or 1 for all that labels need. Of 8, 12, 16, 24 and 32 tried on the
# demonstration's scenes 12 changed the fewest pixels, 0.1 %: wider is coarser at the outline.
LIMIT = 12.0
# Bytes of an image's masks. Rough masks would need more and get fewer levels: 250 masks of a
# photograph and their vectors take at most 4 MB.
_MOST_QUERY_BYTES, _MOST_SAM_BYTES = 1_700_000, 450_000
_MOST_STEPS = 127  # from 0 to LIMIT
_LEVEL = 5  # of zlib
_KEY = "kept"


class _Packing(BaseModel):
    """How masks are packed: their shape [N, h, w], and the number of steps from 0 to LIMIT."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    shape: tuple[int, int, int]
    steps: int = Field(ge=1, le=_MOST_STEPS)


class _Header(BaseModel):
    """What the tensors of a file do not say themselves.

    Attributes:
        source: of the weights, `model:<hash>`.
        padded, image, original: sizes, as in `Framing`.
        queries, sam: how the mask logits are packed; None where there are none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    form: Literal[1] = 1
    source: str
    padded: Size
    image: Size
    original: Size
    queries: _Packing
    sam: _Packing | None


def encode_proposals(proposals: ImageProposals, source: str) -> bytes:
    """Return the content of the file that keeps the proposals of one image.

    Args:
        source: of the weights that made them, `model:<hash>`.
    """
    queries, sam, framing = proposals.queries, proposals.sam, proposals.framing
    masks, packing = _packed(queries.mask_logits[0], _MOST_QUERY_BYTES)
    sam_packing = None
    tensors = {
        "masks": masks,
        "class_embeddings": F.normalize(queries.class_embeddings[0].float(), dim=-1).half(),
        # To the last bit: CLIP's cosines with all words are much alike, and words that it never met
        # may share one vector. In 7 of 24 scenes float16 changed more than half a percent of the
        # pixels; vectors of unit length did so in 2, where two such words tie.
        "clip_embeddings": queries.clip_embeddings[0].float(),
        "valid": queries.valid[0],
        "image_embedding": torch.from_numpy(proposals.embedding),
    }
    if sam is not None:
        sam_masks, sam_packing = _packed(sam.logits, _MOST_SAM_BYTES)
        tensors |= {
            "sam_masks": sam_masks,
            "sam_embeddings": sam.embeddings.float(),
            "sam_valid": sam.valid,
        }
    header = _Header(
        source=source,
        padded=framing.padded,
        image=framing.image,
        original=framing.original,
        queries=packing,
        sam=sam_packing,
    )
    stored = {key: value.cpu().contiguous() for key, value in tensors.items()}
    return save(stored, {_KEY: header.model_dump_json()})


def decode_proposals(
    content: bytes, place: str, source: str, device: torch.device
) -> ImageProposals:
    """Return the proposals that `encode_proposals` wrote; FormatError where they are no use here.

    Args:
        content: of the file.
        place: of the file, for messages.
        source: of the weights at work; those of others are refused.
        device: where the tensors are wanted.
    """
    try:
        length = int.from_bytes(content[:8], "little")
        fields = json.loads(content[8 : 8 + length])["__metadata__"]
        header = _Header.model_validate_json(fields[_KEY])
        if header.source != source:
            raise FormatError(
                f"{place}: proposals of other weights ({header.source} there, {source} now); label "
                "the image again with --keep-proposals"
            )
        kept = load(content)
        return _decoded(header, kept, device)
    except (ValidationError, SafetensorError, ValueError, KeyError, zlib.error) as error:
        raise FormatError(
            f"{place}: no kept proposals that this version reads ({' '.join(f'{error}'.split())}); "
            "label the image again with --keep-proposals"
        ) from None


def _decoded(header: _Header, kept: dict[str, Tensor], device: torch.device) -> ImageProposals:
    queries = MaskProposals(
        _unpacked(kept["masks"], header.queries).to(device)[None],
        kept["class_embeddings"].to(device).float()[None],
        kept["clip_embeddings"].to(device).float()[None],
        kept["valid"].to(device)[None],
    )
    sam = None
    if header.sam is not None:
        sam = SamProposals(
            _unpacked(kept["sam_masks"], header.sam).to(device),
            kept["sam_embeddings"].to(device).float(),
            kept["sam_valid"].to(device),
        )
    framing = Framing(header.padded, header.image, header.original)
    return ImageProposals(framing, queries, sam, kept["image_embedding"].numpy())


def _packed(logits: Tensor, most_bytes: int) -> tuple[Tensor, _Packing]:
    """Return mask logits [N, h, w] as bytes, uint8 [any], and how to unpack them."""
    scaled = logits.float().cpu() / LIMIT
    steps = _MOST_STEPS
    while True:
        # No level is 0: what is inside of a mask stays inside.
        levels = (scaled * steps).floor().clamp(-steps, steps - 1).to(torch.int8).numpy()
        changes = np.diff(levels.view(np.uint8), axis=1, prepend=np.uint8(0))  # they may wrap
        content = zlib.compress(np.diff(changes, axis=2, prepend=np.uint8(0)).tobytes(), _LEVEL)
        if len(content) <= most_bytes or steps == 1:
            packing = _Packing(shape=(len(logits), *logits.shape[1:]), steps=steps)
            return torch.frombuffer(bytearray(content), dtype=torch.uint8), packing
        steps //= 2


def _unpacked(packed: Tensor, packing: _Packing) -> Tensor:
    """Return the mask logits float32 [N, h, w] of `_packed`."""
    content = zlib.decompress(packed.numpy().tobytes())
    changes = np.frombuffer(content, np.uint8).reshape(packing.shape)
    levels: NDArray[np.uint8] = changes.cumsum(axis=2, dtype=np.uint8)
    levels = levels.cumsum(axis=1, dtype=np.uint8)
    return (torch.from_numpy(levels.view(np.int8)).float() + 0.5) * (LIMIT / packing.steps)
