"""The App, served until somebody stops it, and cleared away afterwards."""

import logging
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from frozenseg_label.errors import ReviewError

if TYPE_CHECKING:
    import fiftyone as fo

log = logging.getLogger(__name__)

PLUGIN = "frozenseg-label-review"  # name of the link among the person's own plugins
PLUGIN_FOLDER = Path(__file__).with_name("plugin")


@contextmanager
def served_app(
    dataset: "fo.Dataset", *, port: int, address: str, remote: bool
) -> Iterator["fo.Session"]:
    """Serve the App while the block runs; nothing of it is left afterwards.

    Args:
        port: to listen on.
        address: to bind to; 127.0.0.1 lets in this machine alone.
        remote: open no browser here.
    """
    require_free_port(port, address)
    import fiftyone as fo

    link_plugin(Path(fo.config.plugins_dir))
    fo.config.do_not_track = True
    # `auto` would open a browser window of its own accord, `remote` prints advice for SSH.
    session = fo.launch_app(dataset, port=port, address=address, remote=True)
    try:
        if not remote:
            _open_browser(f"http://{address}:{port}/datasets/{dataset.name}")
        yield session
    finally:
        fo.close_app()


def wait_for_interrupt() -> None:
    """Return never; Ctrl-C and a polite kill raise KeyboardInterrupt."""
    Event().wait()


def require_free_port(port: int, address: str) -> None:
    """Raise ReviewError where the App could not listen."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            reason = (error.strerror or f"{error}").lower()
            raise ReviewError(
                f"cannot listen on {address}:{port}, {reason}; choose another --port or --address"
            ) from error


def link_plugin(folder: Path) -> None:
    """Put our plugin beside the person's own ones; those are not touched."""
    folder.mkdir(parents=True, exist_ok=True)
    link = folder / PLUGIN
    if link.is_symlink():
        if link.resolve() == PLUGIN_FOLDER.resolve():
            return
        link.unlink()  # of another installation
    elif link.exists():
        shutil.rmtree(link)
    try:
        link.symlink_to(PLUGIN_FOLDER, target_is_directory=True)
    except OSError:  # a disk or a system without links
        shutil.copytree(PLUGIN_FOLDER, link)


def _open_browser(address: str) -> None:
    import webbrowser

    if os.name == "nt" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        webbrowser.open_new_tab(address)
