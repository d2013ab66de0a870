"""What one changed word costs: the names of LVIS, nano's text tower, vectors kept on the disk.

python tests/benchmarks/changed_word.py
"""

import tempfile
import time
from dataclasses import replace
from pathlib import Path

from frozenseg_label.checkpoints.checkpoint import load_checkpoint
from frozenseg_label.checkpoints.named_weights import find_weights
from frozenseg_label.checkpoints.text_embeddings import build_text_classifier
from frozenseg_label.vocabulary import Vocabulary
from frozenseg_label.vocabulary_files import read_vocabulary


def main() -> None:
    """Print a table."""
    model, info = load_checkpoint(find_weights("nano"))
    unknown = "of no package"  # the package has LVIS's vectors by nano
    words = read_vocabulary("lvis-1203")
    first, *others = words.categories
    changed = Vocabulary("changed", (replace(first, name="spray bottle"), *others))
    lines = ["| vocabulary | CPU, s | clock, s |", "|---|---|---|"]
    with tempfile.TemporaryDirectory() as folder:
        ways = {"new": words, "the same again": words, "one word changed": changed}
        for way, vocabulary in ways.items():
            clock, cpu = time.perf_counter(), time.process_time()
            build_text_classifier(
                model.clip,
                vocabulary,
                info.seen_names,
                clip_fingerprint=unknown,
                cache_folder=Path(folder),
            )
            cpu, clock = time.process_time() - cpu, time.perf_counter() - clock
            lines.append(f"| {way} | {cpu:.2f} | {clock:.2f} |")
        kept = sum(file.stat().st_size for file in Path(folder).iterdir())
    lines.append(f"{len(set(words.all_names()))} names; {kept / 2**20:.1f} MiB are kept")
    print("\n".join(lines), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
