"""CPU seconds from the command to the labels of one image, beside `import torch`.

    python tests/benchmarks/start_up.py

`annotate` with nano on one demonstration scene, in processes of their own that take turns. The
first run fills the cache of text vectors and is told by itself. Prints medians.
"""

import os
import resource
import statistics
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

RUNS = 5


def main() -> None:
    """Run both in turn and print what they took."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["FROZENSEG_LABEL_CACHE"] = f"{folder / 'cache'}"
        command = [sys.executable, "-m", "frozenseg_label", "-q"]
        cpu_seconds([*command, "demo", f"{folder / 'images'}", "--count", "1"])
        annotate = [*command, "annotate", f"{folder / 'images'}", "--vocab", "stickers", "-o"]
        first = cpu_seconds([*annotate, f"{folder / 'first'}"])
        labelling, torch = [], []
        for run in range(RUNS):
            labelling.append(cpu_seconds([*annotate, f"{folder / str(run)}"]))
            torch.append(cpu_seconds([sys.executable, "-c", "import torch"]))
    whole, part = statistics.median(labelling), statistics.median(torch)
    print("| | CPU s | of `import torch` |\n|---|---|---|")  # noqa: T201
    print(f"| `import torch` | {part:.2f} | 1.00 |")  # noqa: T201
    print(f"| `annotate` | {whole:.2f} | {whole / part:.2f} |")  # noqa: T201
    print(f"| `annotate` for the first time | {first:.2f} | {first / part:.2f} |")  # noqa: T201


def cpu_seconds(command: list[str]) -> float:
    """Run a command to its end; return the seconds that it worked."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


if __name__ == "__main__":
    main()
