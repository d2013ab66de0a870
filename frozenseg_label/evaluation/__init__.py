"""Agreement between two sets of labels: figures, tables and pictures of it; no torch."""
