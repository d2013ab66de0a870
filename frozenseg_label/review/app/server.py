"""The App's server: a program of its own, which ends when the program that started it does.

python -m frozenseg_label.review.app.server PORT ADDRESS

FiftyOne's own way of starting it leaves the server running when its parent is killed. Here the
parent holds the other end of stdin, and the system closes that end however the parent ends.
"""

import os
import shutil
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from subprocess import PIPE, Popen, TimeoutExpired
from tempfile import TemporaryFile
from typing import IO
from urllib.request import ProxyHandler, build_opener

from frozenseg_label.errors import ReviewError

PLUGIN = "frozenseg-label-review"  # name of the link among the person's own plugins
START_SECONDS = 120.0  # to wait at most; a busy machine took 10
REVIEWER = "FROZENSEG_LABEL_REVIEWER"  # name of the person, for the App's server
EXIT_SECONDS = 5.0
LAST_WORDS = 4  # lines to show of the output of a server that did not start
PLUGIN_FOLDER = Path(__file__).with_name("plugin")


@contextmanager
def served_app(port: int, address: str, user: str | None = None) -> Iterator[str]:
    """Serve the App while the block runs, and yield its address; no process is left afterwards.

    Args:
        port: to listen on.
        address: to bind to; 127.0.0.1 lets in only this machine.
        user: name of the person, for the journal.
    """
    require_free_port(port, address)
    import fiftyone as fo

    link_plugin(Path(fo.config.plugins_dir))
    place = f"http://{'127.0.0.1' if address == '0.0.0.0' else address}:{port}"
    with TemporaryFile() as said:
        # -P: a queue.py in the folder where somebody works must not replace Python's own.
        program = [sys.executable, "-P", "-m", "frozenseg_label.review.app.server"]
        command = [*program, f"{port}", address]
        environment = {**os.environ, REVIEWER: user or ""}
        server = Popen(command, stdin=PIPE, stdout=said, stderr=said, env=environment)
        try:
            _wait_until_up(place, server, said)
            yield place
        finally:
            server.terminate()
            try:
                server.wait(EXIT_SECONDS)
            except TimeoutExpired:
                server.kill()
                server.wait()
            if server.stdin is not None:
                server.stdin.close()


def _wait_until_up(place: str, server: "Popen[bytes]", said: IO[bytes]) -> None:
    """Return once the App answers; ReviewError if its server ends or takes too long."""
    until = time.monotonic() + START_SECONDS
    here = build_opener(ProxyHandler({}))  # a proxy would not lead to this machine
    while time.monotonic() < until and server.poll() is None:
        try:
            with here.open(f"{place}/fiftyone", timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    said.seek(0)
    last = " | ".join(said.read().decode(errors="replace").split("\n")[-LAST_WORDS:]).strip(" |")
    ended = server.poll() is not None
    what = "ended before it answered" if ended else f"did not answer in {START_SECONDS:.0f} s"
    raise ReviewError(
        f"FiftyOne's App {what} on {place} ({last or 'it printed nothing'}); "
        "try `fiftyone app launch` to see more"
    )


def wait_for_interrupt() -> None:
    """Wait until Ctrl-C or a polite kill raises KeyboardInterrupt."""
    threading.Event().wait()


def require_free_port(port: int, address: str) -> None:
    """Raise ReviewError where the App cannot listen."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            reason = (error.strerror or f"{error}").lower()
            raise ReviewError(
                f"cannot listen on {address}:{port}, {reason}; choose another --port or --address"
            ) from error


def refuse_exposure(address: str, port: int) -> None:
    """Raise ReviewError where other machines could reach the App."""
    try:
        is_private = address == "localhost" or ip_address(address).is_loopback
    except ValueError:  # a name; where it leads to may change
        is_private = False
    if not is_private:
        raise ReviewError(
            f"--address {address}: FiftyOne's server asks for no password; whoever reaches this "
            "port can change labels and read every file that you may read. Leave the option out "
            f"and connect by ssh -N -L {port}:127.0.0.1:{port} THIS-MACHINE; if everybody who "
            "reaches it may do so, give --yes-expose-files, too"
        )


def link_plugin(folder: Path) -> None:
    """Put our plugin beside the person's own plugins; those are not touched."""
    folder.mkdir(parents=True, exist_ok=True)
    link = folder / PLUGIN
    if link.is_symlink():
        if link.resolve() == PLUGIN_FOLDER.resolve():
            return
        link.unlink()  # from another installation
    elif link.exists():
        shutil.rmtree(link)
    try:
        link.symlink_to(PLUGIN_FOLDER, target_is_directory=True)
    except OSError:  # this disk or system knows no links
        shutil.copytree(PLUGIN_FOLDER, link)


def open_browser(address: str) -> None:
    """Show a page, if there is a screen."""
    import webbrowser

    has_screen = sys.platform in ("win32", "darwin")
    if has_screen or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        webbrowser.open_new_tab(address)


def main() -> None:
    """Serve until the program that started this one is gone."""
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    from fiftyone.server.main import start_server

    start_server(port=int(sys.argv[1]), address=sys.argv[2])


def _exit_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    main()
