"""A save of corrections to kill; the tests start it as a program of its own.

python saving.py OUT EVENT NAME COUNT     killed before the COUNT-th EVENT on a file with NAME in it
"""

import os
import signal
import sys

from frozenseg_label.review.review_run import save_review


def main() -> None:
    output, wanted, name, count = sys.argv[1:]
    left = int(count)

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal left
        if event == wanted and len(arguments) > 1 and name in f"{arguments[1]}":
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)
    save_review(output)


if __name__ == "__main__":
    main()
