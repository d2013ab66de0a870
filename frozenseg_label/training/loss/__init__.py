"""The loss of a set of predicted masks."""
