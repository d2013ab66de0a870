"""The review in FiftyOne's App; the only owner of FiftyOne."""
