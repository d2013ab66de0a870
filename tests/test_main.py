"""How the program begins."""

import os
import subprocess
import sys
from pathlib import Path

INTERRUPT = "import os, signal; os.kill(os.getpid(), signal.SIGINT)\n"


def test_ctrl_c_while_the_program_still_starts_ends_it_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text(INTERRUPT)  # comes while the command line is imported
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-m", "frozenseg_label", "demo", "pictures"],
        env=os.environ | {"PYTHONPATH": path},
        cwd=Path(__file__).parents[1],
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (130, b"")
