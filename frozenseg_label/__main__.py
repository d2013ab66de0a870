"""`python -m frozenseg_label` and the command `frozenseg-label` begin here."""

import os
import sys

INTERRUPTED = 130  # as in cli/output.py, which is not imported yet when Ctrl-C comes early


def main() -> int:
    """Run the command line and return its exit code; Ctrl-C is answered from the first moment."""
    try:
        import signal

        usual = signal.getsignal(signal.SIGINT)
        if usual is not signal.SIG_IGN:
            # While modules are imported there is nothing to clean up, and an exception in the
            # middle of a class would come out as another one.
            signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
        from frozenseg_label.cli import main as run

        signal.signal(signal.SIGINT, usual)
        return run()
    except KeyboardInterrupt:
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
