"""`python -m frozenseg_label` and the command `frozenseg-label` begin here."""

import sys

INTERRUPTED = 130  # as in cli/output.py, which is not imported yet when Ctrl-C comes early


def main() -> int:
    """Run the command line and return its exit code, also where Ctrl-C comes during its import."""
    try:
        from frozenseg_label.cli import main as run

        return run()
    except KeyboardInterrupt:
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
