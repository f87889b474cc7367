"""Polite stops: SIGTERM becomes an exception, and both it and Ctrl-C wait while something must not be torn."""

import contextlib
import signal
import threading
from collections.abc import Iterator

_STOPS = (signal.SIGINT, signal.SIGTERM)


class Terminated(BaseException):
    """SIGTERM arrived. Like KeyboardInterrupt it is no error, so `except Exception` lets it pass."""


@contextlib.contextmanager
def handled() -> Iterator[None]:
    """Makes SIGTERM raise `Terminated` in the main thread during the block; SIGINT stays KeyboardInterrupt.

    The handler from before is put back afterwards. Outside the main thread nothing happens, since only the main
    thread may set handlers; nor does anything if the handler in force was not set by Python.

    Raises:
      Terminated: SIGTERM arrived.
    """
    old = signal.getsignal(signal.SIGTERM)
    if not _is_main_thread() or old is None:
        yield
        return
    try:
        signal.signal(signal.SIGTERM, _terminate)
        yield
    finally:
        signal.signal(signal.SIGTERM, old)


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """Holds SIGINT and SIGTERM back during the block and delivers the first of them right after it.

    For the few lines that must happen together, such as a checkpoint and its journal line. The signal is delivered to
    the handler from before, also when the block raised (that error is then the context of the new one). Outside the
    main thread nothing happens: signals reach the main thread alone.

    Raises:
      KeyboardInterrupt: SIGINT arrived during the block.
      Terminated: SIGTERM arrived during the block, inside `handled`.
    """
    old = {number: handler for number in _STOPS if (handler := signal.getsignal(number)) is not None}
    if not _is_main_thread():
        yield
        return
    held: list[int] = []

    def hold(number: int, frame: object) -> None:
        held.append(number)

    try:
        for number in old:
            signal.signal(number, hold)
        yield
    finally:
        _put_back(list(old.items()))
        if held:
            signal.raise_signal(held[0])


def _put_back(handlers: list) -> None:
    # A signal may raise as soon as its handler is back; the others must be put back all the same.
    if handlers:
        try:
            signal.signal(*handlers[0])
        finally:
            _put_back(handlers[1:])


def _terminate(number: int, frame: object) -> None:
    raise Terminated


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
