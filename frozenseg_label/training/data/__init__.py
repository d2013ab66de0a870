"""From labelled images to the samples that a training step takes."""
