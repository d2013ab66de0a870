"""The run folder, where the jobs meet: manifest, journal, and who owns which segment."""
