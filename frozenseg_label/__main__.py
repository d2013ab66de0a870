"""`python -m frozenseg_label` is the command line."""

import sys

from frozenseg_label.cli import main

if __name__ == "__main__":
    sys.exit(main())
