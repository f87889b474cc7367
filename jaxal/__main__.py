"""The console script and `python -m jaxal`: the command line, and a clean end also while its modules are loaded."""

import os
import signal
from typing import NoReturn

__all__ = ["entry"]

ENDINGS = {signal.SIGINT: (b"\njaxal: stopped.\n", 130), signal.SIGTERM: (b"jaxal: terminated.\n", 143)}


def entry() -> NoReturn:
    """Run the command line; a signal before a command has its own handling ends it with a line and its exit code."""
    for number in ENDINGS:
        if signal.getsignal(number) not in (None, signal.SIG_IGN):
            signal.signal(number, _end)

    from jaxal.cli import entry as command_line

    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    command_line()


def _end(number: int, frame: object) -> NoReturn:
    # No exception: while modules are loaded it may be lost, or be shown as a traceback.
    line, code = ENDINGS[signal.Signals(number)]
    os.write(2, line)
    os._exit(code)


if __name__ == "__main__":
    entry()
