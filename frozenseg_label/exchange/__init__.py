"""The job of bringing labels from other tools into a run folder."""
