"""The versions of this package and of what its labels depend on; every module may ask for them."""

__version__ = "0.1.0"

LIBRARIES = ("torch", "open_clip_torch", "numpy")  # labels may depend on their versions


def library_versions() -> dict[str, str]:
    """Return Python's and the libraries' versions, without importing a library."""
    from importlib.metadata import version  # --help does not wait for these
    from platform import python_version

    return {"python": python_version(), **{name: version(name) for name in LIBRARIES}}
