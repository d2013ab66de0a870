"""The training loop: learners, settings, state on disk, report."""
