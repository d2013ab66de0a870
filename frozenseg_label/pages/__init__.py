"""Static pages and overlays of labels."""
