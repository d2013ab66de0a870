"""Writes the API pages of the Python face: `python .ci/api_pages.py FOLDER` (with `[dev]`).

Any warning of pdoc is an error: a name that cannot be shown, an annotation that means nothing.
"""

import sys
import warnings
from pathlib import Path
from unittest.mock import MagicMock

import pdoc

import frozenseg_label

NOT_INSIDE = r"!frozenseg_label\..*"  # only the face is promised

if __name__ == "__main__":
    warnings.filterwarnings("error", module="pdoc")
    # Annotations lead to FiftyOne, which would start its database when it is imported.
    sys.modules["fiftyone"] = MagicMock()
    for name in frozenseg_label.__all__:
        getattr(frozenseg_label, name)  # pdoc does not ask for names that are imported late
    pdoc.render.configure(docformat="google", show_source=False)
    pdoc.pdoc("frozenseg_label", NOT_INSIDE, output_directory=Path(sys.argv[1]))
