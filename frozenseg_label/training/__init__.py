"""Training the decoder: one loop, its losses and its data."""
