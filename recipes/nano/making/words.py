"""Put what nano's text tower says of the shipped vocabularies into the package.

    python -m recipes.nano.making.words

A machine that labels for the first time then reads the vectors, and the tokens of words, from the
disk. They are small: most names nano never met, and many of these share a vector.
"""

import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import numpy as np

from frozenseg_label.checkpoints.checkpoint import load_checkpoint
from frozenseg_label.checkpoints.known_words import stored_tokens, unknown_words
from frozenseg_label.checkpoints.named_weights import EMBEDDED
from frozenseg_label.checkpoints.text_cache import SHIPPED
from frozenseg_label.checkpoints.text_embeddings import build_text_classifier
from frozenseg_label.vocabulary_files import read_vocabulary, shipped_vocabularies


def main() -> None:
    """Encode all names into an empty cache, and write what is in it."""
    for old in SHIPPED.glob("*.npz"):
        old.unlink()
    model, info = load_checkpoint(EMBEDDED)
    stored = stored_tokens(EMBEDDED)
    with tempfile.TemporaryDirectory() as name:
        cache = Path(name)
        for shipped in sorted(shipped_vocabularies()):
            words = read_vocabulary(shipped)
            build_text_classifier(
                model.clip, words, (), clip_fingerprint=info.clip_hash, cache_folder=cache
            )
            unknown_words(words.all_words(), stored, cache / "tokens.sqlite")
        for file in cache.glob("*.sqlite"):
            write(file)


def write(cached: Path) -> None:
    """Write the rows of a file of the cache as a file of the package."""
    with closing(sqlite3.connect(cached)) as file:
        rows = file.execute("SELECT key, vector FROM vectors ORDER BY key").fetchall()
    keys = np.array([np.frombuffer(key, np.uint8) for key, _ in rows])  # [N, 32]
    vectors = np.array([np.frombuffer(vector, "<f4") for _, vector in rows])  # [N, D]
    SHIPPED.mkdir(exist_ok=True)
    np.savez_compressed(SHIPPED / f"{cached.stem}.npz", keys=keys, vectors=vectors)


if __name__ == "__main__":
    main()
