"""Run fruitcnn in this process, and send it a signal at a chosen moment: `python -m tests.stopped NUMBER FILE ...`.

The signal comes while FILE is given its name for the first time, wherever it lies: neither before nor after, however
slow the machine is. Ctrl-C is obeyed also where the tests run in the background of a shell, which makes its children
ignore it.
"""

import os
import runpy
import signal
import sys


def main() -> None:
    """Start with the arguments after the signal and the file."""
    number, file = int(sys.argv[1]), sys.argv[2]
    sent = []

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        if event == "os.rename" and str(arguments[1]).endswith(file) and not sent:
            sent.append(number)
            os.kill(os.getpid(), number)

    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.addaudithook(watch)
    sys.argv[1:] = sys.argv[3:]
    runpy.run_module("fruitcnn", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
