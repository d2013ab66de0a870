"""People look at the labels of a run folder and correct them; the sole owner of FiftyOne."""
