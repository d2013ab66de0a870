"""Errors that a user can mend; each says what is wrong, in which file, and what to do next."""


class FrozenSegLabelError(Exception):
    """Anything that the user can mend; the command line prints it and exits with 1."""


class VocabularyError(FrozenSegLabelError):
    """A vocabulary that cannot be used: file missing, wrong form, duplicate or empty names."""


class ImageError(FrozenSegLabelError):
    """An image that cannot be read, or a folder without images."""


class CheckpointError(FrozenSegLabelError):
    """Weights that are missing, damaged, of another model, or of a form that is not loaded."""


class SettingsError(FrozenSegLabelError):
    """A recipe of a training that cannot be used: file missing, unknown key, odd number."""


class TrainingError(FrozenSegLabelError):
    """A training that cannot start or go on: labels that do not fit, a loss that is no number."""


class FormatError(FrozenSegLabelError):
    """A label file whose content is not what its format promises."""


class RunError(FrozenSegLabelError):
    """A run folder that is not ours, in use, or made with other weights, words or options."""


class ReviewError(FrozenSegLabelError):
    """A review that cannot be opened or saved: no database, unknown classes, no free port."""
