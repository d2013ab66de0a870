"""The App's server as a program of its own, which ends when the program that started it does.

python -m frozenseg_label.review.app.server_program PORT ADDRESS

FiftyOne's own way of starting it leaves the server running where its parent is killed. Here the
parent holds the other end of stdin, and the system closes that in whatever way the parent ends.
"""

import os
import sys
import threading


def main() -> None:
    """Serve until the parent is gone."""
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    from fiftyone.server.main import start_server

    start_server(port=int(sys.argv[1]), address=sys.argv[2])


def _exit_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    main()
