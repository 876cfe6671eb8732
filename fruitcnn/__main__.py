"""`python -m fruitcnn` and the `fruitcnn` script: signals first, then everything that takes time to import."""

import os
import signal
import sys
from types import FrameType


def main() -> None:
    """Run the command; a signal ends it at once, without a traceback and without leaving a part of a file."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        # What the parent made this process ignore, as nohup and a shell's & do, stays ignored.
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _stop)
    from fruitcnn.cli import main as run

    run()


def _stop(number: int, frame: FrameType | None) -> None:
    # Not there yet, or half imported: then no file was begun.
    discard = getattr(sys.modules.get("fruitcnn.outputs"), "discard_unfinished", None)
    if discard:
        discard()
    os._exit(128 + number)


if __name__ == "__main__":
    main()
