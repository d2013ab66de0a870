"""The header of a checkpoint: which model it is. Reading it needs no tensors and no torch."""

import hashlib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError, safe_open

from frozenseg_label.documents import parse_json
from frozenseg_label.errors import CheckpointError
from frozenseg_label.files import read_regular

HEADER_KEY = "frozenseg_label"
FROZEN_PARTS = ("clip", "sam")
_ZIP = b"PK\x03\x04"  # what torch.save has written since 1.6
_PICKLE = b"\x80"


def is_frozen(key: str) -> bool:
    """Tell whether a tensor of this name belongs to a frozen encoder, not to the decoder."""
    return key.split(".")[0] in FROZEN_PARTS


def _checked_name(name: str) -> str:
    """Return a name of a class that can be shown and encoded; ValueError for any other."""
    if not name.strip() or not all(sign.isprintable() or sign.isspace() for sign in name):
        raise ValueError("a name is empty, or has characters that cannot be printed")
    return name


_Name = Annotated[str, AfterValidator(_checked_name)]
MadeFor = Literal["", "drawings"]  # kind of pictures; empty: unknown
_Hash = Annotated[str, Field(pattern=r"^\w*$")]  # it becomes part of a file's name


class TrainingCategory(BaseModel):
    """A category whose masks the decoder was trained on: its main name first, then its synonyms."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    names: Annotated[tuple[_Name, ...], Field(min_length=1)]
    is_thing: bool


class CheckpointInfo(BaseModel):
    """The header of a checkpoint.

    Attributes:
        builder: name of the builder whose architecture the tensors fit (`model/builders.py`).
        categories: the training vocabulary.
        clip_hash, sam_hash, decoder_hash: SHA-256 of each part's tensors as float32.
        frozen_inside: whether CLIP and SAM lie in the same file; else in the cache, see
            `frozen_file`.
        origin: where the weights come from, for people.
        made_for: what pictures the encoders were trained on; older files do not say it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    builder: str
    categories: tuple[TrainingCategory, ...]
    clip_hash: _Hash
    sam_hash: _Hash
    decoder_hash: _Hash
    frozen_inside: bool
    origin: str = ""
    made_for: MadeFor = ""

    @property
    def fingerprint(self) -> str:
        """Return the SHA-256 of everything that decides the labels of this model."""
        parts = [self.builder, self.clip_hash, self.sam_hash, self.decoder_hash]
        parts += ["|".join(category.names) for category in self.categories]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    @property
    def seen_names(self) -> frozenset[str]:
        """Return every name of the training vocabulary, synonyms included."""
        return frozenset(name for category in self.categories for name in category.names)

    def part_hash(self, part: str) -> str:
        """Return the hash of `clip`, `sam` or `decoder`."""
        return {"clip": self.clip_hash, "sam": self.sam_hash, "decoder": self.decoder_hash}[part]

    def missing_parts(self, folder: Path | None) -> dict[str, str]:
        """Name the frozen parts that are neither inside nor in the folder, with their files."""
        files = zip(FROZEN_PARTS, self.shared_files(folder or Path()), strict=False)
        return {part: file.name for part, file in files if folder is None or not file.is_file()}

    def shared_files(self, folder: Path) -> list[Path]:
        """Return the files of the frozen parts in the folder; none if they are inside."""
        parts = () if self.frozen_inside else FROZEN_PARTS
        return [frozen_file(folder, part, self.part_hash(part)) for part in parts]


def frozen_file(folder: Path, part: str, digest: str) -> Path:
    """Return the file of a frozen part; its name holds the hash."""
    return folder / f"{part}-{digest}.safetensors"


def read_checkpoint_info(path: Path) -> CheckpointInfo:
    """Read the header of one of our checkpoints; CheckpointError says what else the file is."""
    header = read_header(path)
    if HEADER_KEY not in header:
        raise CheckpointError(
            f"{path} is a safetensors file, but no checkpoint of frozenseg-label; convert "
            f"published weights with `frozenseg-label weights convert`"
        )
    try:
        place = f"{path}: its header"
        return CheckpointInfo.model_validate(parse_json(header[HEADER_KEY], place, CheckpointError))
    except ValidationError as error:
        raise CheckpointError(
            f"{path}: its header cannot be read ({_in_one_line(error)}); it may come from a newer "
            f"frozenseg-label: update, or fetch the weights again"
        ) from error


def read_header(path: Path) -> dict[str, str]:
    """Return the text fields of a safetensors file; CheckpointError where it is another file."""
    if path.is_dir():
        raise CheckpointError(f"{path} is a folder; name a file of weights")
    if not path.is_file():
        raise CheckpointError(
            f"{path}: no such file; `frozenseg-label weights list` shows what there is"
        )
    try:
        if is_pickled(path):
            raise CheckpointError(
                f"{path} is a pickled PyTorch file, which could run code when opened; only "
                f"safetensors are loaded: convert it with `frozenseg-label weights convert {path}`"
            )
        with safe_open(path, framework="numpy") as file:
            return dict(file.metadata() or {})
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(
            f"{path} is damaged or cut off ({error}); delete it and fetch or copy it again"
        ) from error


def is_pickled(path: Path) -> bool:
    """Tell from its first bytes whether a file is what `torch.save` writes, or used to write."""
    start = read_regular(path, CheckpointError, most=9)
    # A safetensors file begins with the length of its header, which may look like a pickle.
    return start.startswith(_ZIP) or (start.startswith(_PICKLE) and start[8:] != b"{")


def _in_one_line(error: Exception) -> str:
    """Return the message of an error, cut to one line."""
    return " ".join(str(error).split())[:200]
