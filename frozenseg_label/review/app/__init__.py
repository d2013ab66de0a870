"""The review in FiftyOne's App; only this folder imports FiftyOne."""
