"""The check that a vocabulary is written to a new YAML file: nobody's words are overwritten."""

import os
from pathlib import Path

from frozenseg_label.errors import VocabularyError


def refuse_existing(path: Path) -> None:
    """Raise VocabularyError where a file is there already, or its name does not end in .yaml."""
    if path.suffix.lower() not in (".yaml", ".yml"):
        raise VocabularyError(f"{path}: name it {path.with_suffix('.yaml').name}, it becomes YAML")
    if os.path.lexists(path):
        raise VocabularyError(f"{path} exists already; name another file, or delete it first")
