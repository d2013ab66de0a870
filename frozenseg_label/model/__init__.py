"""The network: frozen encoders, the decoder between them, names at the end; checkpoints."""
