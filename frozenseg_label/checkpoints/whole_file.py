"""Weights appear whole or not at all: a temporary name beside the file, fsync, rename. No torch."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from safetensors import SafetensorError

from frozenseg_label.errors import CheckpointError


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a path to write to; it becomes `path` if the block ends well, and vanishes if not."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch()
        usual = temporary.stat().st_mode  # safetensors would let nobody else read the file
        yield temporary
        temporary.chmod(usual)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"{path} cannot be written ({error}); make room there, or choose another place with "
            f"FROZENSEG_LABEL_CACHE or --output, and give the same command again"
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink()
