"""From what a person did in the App to the labels that follow; numpy only, no FiftyOne."""
