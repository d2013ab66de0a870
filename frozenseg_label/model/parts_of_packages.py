"""Some modules of a package without all that the package imports for others.

`import segment_anything` brings torchvision and torch's compiler along, which takes as long as
torch itself; its model is a few files that need torch only.
"""

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType


@contextmanager
def without_the_rest(package: str) -> Iterator[None]:
    """Let the block import modules of a package without running the package's own `__init__`.

    Whoever imports the package afterwards gets all of it, with these modules in it.
    """
    spec = importlib.util.find_spec(package) if package not in sys.modules else None
    if spec is None or spec.submodule_search_locations is None:  # loaded already, or missing
        yield
        return
    stub = ModuleType(package)
    stub.__path__ = list(spec.submodule_search_locations)
    stub.__spec__ = spec
    sys.modules[package] = stub
    try:
        yield
    finally:
        del sys.modules[package]
