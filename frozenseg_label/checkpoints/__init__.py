"""Weight files: what they say of themselves, where they come from, how they are read."""
