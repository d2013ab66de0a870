"""What a set of predicted masks costs."""
