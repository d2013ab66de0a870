"""The label life cycle around the FrozenSeg model (filled in by its Python face)."""

__version__ = "0.1.0"
