"""The training loop: learners, steps, state on disk, quality and report."""
