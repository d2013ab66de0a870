"""Messages to people on stderr, and the log file, which keeps all of them with levels and times."""

import logging
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from frozenseg_label.cli.output import command_line, escaped_lines, say
from frozenseg_label.version import __version__

PACKAGE = "frozenseg_label"
# What these log is on stderr already: as the lines of a long job, and as errors that end a command.
ONLY_IN_FILES = (f"{PACKAGE}.progress_bar", __name__)
LINE = "%(asctime)s %(levelname)s %(name)s: %(message)s"
TIME = "%Y-%m-%dT%H:%M:%S%z"

log = logging.getLogger(__name__)
_ours = logging.getLogger(PACKAGE)


class _Escaped(logging.Formatter):
    """Messages in which no name of an image or a class can steer the terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the message of a record."""
        return escaped_lines(super().format(record))


class _Shown(logging.Filter):
    """Lets our messages of a level and above pass to stderr, and the warnings of libraries.

    It is a filter, because `logging_redirect_tqdm` takes over only filters and the formatter.

    Attributes:
        level: the lowest of ours that is shown.
    """

    level = logging.INFO

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record is shown."""
        if record.name.split(".")[0] != PACKAGE:
            return record.levelno >= logging.WARNING
        return record.levelno >= self.level and record.name not in ONLY_IN_FILES


class _LogFile(logging.FileHandler):
    """The log file of this command."""


_shown = _Shown()


def start_messages() -> None:
    """Send messages to stderr, those of INFO and above."""
    stderr = logging.StreamHandler(sys.stderr)
    stderr.setFormatter(_Escaped("%(message)s"))
    stderr.addFilter(_shown)
    logging.basicConfig(level=logging.WARNING, handlers=[stderr])
    want_level(logging.INFO)


def want_level(level: int) -> None:
    """Show our messages from this level on."""
    _shown.level = level
    _ours.setLevel(logging.DEBUG if _log_files() else level)


def wanted_level() -> int:
    """Return the lowest level of our messages that is shown."""
    return _shown.level


def open_log_file(path: Path) -> None:
    """Append all messages from now on to a file, also those that are not shown; OSError: it cannot.

    The file is opened once, also where the option is given twice.
    """
    if any(file.baseFilename == f"{path.absolute()}" for file in _log_files()):
        return
    file = _LogFile(path, encoding="utf-8", errors="backslashreplace")
    file.setFormatter(_Escaped(LINE, TIME))
    logging.getLogger().addHandler(file)
    want_level(_shown.level)
    log.info("frozenseg-label %s began", __version__)


def tell_end(text: str) -> None:
    """Say on stderr why a command ended, and write it into the log file."""
    say(text, err=True)
    if _log_files():
        log.error("%s", text)


def close_log_files(arguments: Sequence[str] | None, code: int | None) -> None:
    """Close the log file, if there is one, with a last line.

    Args:
        arguments: of the command line; None: those of this process.
        code: the exit code; None where an exception of no known kind ends the process.
    """
    for file in _log_files():
        line = command_line(*(sys.argv[1:] if arguments is None else arguments))
        if code is None:
            log.critical("%s broke off\n%s", line, traceback.format_exc())
        else:
            log.info("%s ended with exit code %d", line, code)
        logging.getLogger().removeHandler(file)
        file.close()


def _log_files() -> list[_LogFile]:
    return [file for file in logging.getLogger().handlers if isinstance(file, _LogFile)]
