"""Polite stops: SIGTERM and Ctrl-C become exceptions that are never lost, and wait while something must not be torn."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator

_STOPS = (signal.SIGINT, signal.SIGTERM)


class Terminated(BaseException):
    """SIGTERM arrived. Like KeyboardInterrupt it is no error, so `except Exception` lets it pass."""


@contextlib.contextmanager
def handled() -> Iterator[Callable[[], None]]:
    """Makes SIGTERM raise `Terminated` and SIGINT KeyboardInterrupt during the block, and loses neither.

    An exception that a handler raises is lost where Python cannot pass it on: in a garbage-collection callback (jax has
    one) or a finalizer. So the handler also notes the signal, and the block polls the function that it is given.

    The handlers from before are put back afterwards. Outside the main thread nothing happens, since only the main
    thread may set handlers; nor to a signal that is ignored or whose handler was not set by Python.

    Yields:
      A function that raises the exception of a signal that has arrived, and does nothing before; cheap.

    Raises:
      KeyboardInterrupt, Terminated: the signal arrived; at the end of the block at the latest.
    """
    arrived: list[int] = []

    def stop(number: int, frame: object) -> None:
        arrived.append(number)
        raise_if_stopped()

    def raise_if_stopped() -> None:
        if arrived:
            raise Terminated if arrived[0] == signal.SIGTERM else KeyboardInterrupt

    if not _is_main_thread():
        yield raise_if_stopped
        return
    old = {number: signal.getsignal(number) for number in _STOPS}
    old = {number: handler for number, handler in old.items() if handler not in (None, signal.SIG_IGN)}
    try:
        for number in old:
            signal.signal(number, stop)
        yield raise_if_stopped
        raise_if_stopped()
    finally:
        _put_back(list(old.items()))


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


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
