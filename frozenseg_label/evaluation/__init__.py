"""How well two sets of labels agree: figures, tables and pages; no torch."""
