"""Which images and segments a person should look at first; no FiftyOne."""
