"""Filling a cache before the first step, so that all steps are equally fast."""

import logging
from typing import Protocol

from tqdm import tqdm

from frozenseg_label.errors import FormatError, ImageError
from frozenseg_label.training.data.tensor_cache import TensorCache

log = logging.getLogger(__name__)


class CachedSource(Protocol):
    """Images whose tensors are kept by a key."""

    def __len__(self) -> int: ...

    def key(self, index: int, mirrored: bool) -> str:
        """The key of an image, or of its mirror image."""
        ...

    def bytes_of(self, index: int) -> int:
        """About how much the file of an image takes."""
        ...

    def keep(self, index: int, mirrored: bool) -> None:
        """Have the tensors of an image in the cache."""
        ...


def fill_cache(
    source: CachedSource,
    cache: TensorCache,
    *,
    mirrored: bool,
    process: int = 0,
    processes: int = 1,
    progress: bool = False,
) -> None:
    """Have all images in the cache; says how much is written before it is.

    Args:
        mirrored: their mirror images, too.
        process, processes: which one of how many this is; each takes its share.
    """
    wanted = [(i, m) for i in range(len(source)) for m in ((False, True) if mirrored else (False,))]
    missing = [(i, m) for i, m in wanted if not cache.has(source.key(i, m))]
    if not missing:
        return
    if process == 0:
        total = sum(source.bytes_of(i) for i, _ in missing)
        cache.announce(f"{len(missing)} of {len(wanted)} images to be kept", total)
    share = missing[process::processes]
    for index, mirror in tqdm(share, unit="image", disable=None if progress else True):
        try:
            source.keep(index, mirror)
        except (ImageError, FormatError) as error:  # the loop will name and count it
            log.debug("not kept: %s", error)
