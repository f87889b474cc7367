"""Word from inside a long computation of how far it has come."""

import functools
from collections.abc import Callable
from contextlib import AbstractContextManager
from contextvars import ContextVar

import jax

from jaxal.kernels.tracing import set_while
from jaxal.typing import Array

__all__ = ["Listener", "current_listener", "progress_to", "tell"]

Listener = Callable[[str, int, int], None]  # (what is counted, how many are done, of how many)

_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


def progress_to(listener: Listener | None) -> AbstractContextManager[None]:
    """Have every computation that is traced inside tell the listener how far it has come; None for silence.

    A listener is looked up while tracing only (`set_while`). It is called from threads of JAX's own, and a program that
    calls back cannot be kept in the compilation cache.
    """
    return set_while(_listener, listener)


def current_listener() -> Listener | None:
    """Return the listener that is set."""
    return _listener.get()


def tell(what: str, num_done: Array, num_wanted: Array | int) -> None:
    """Tell the listener, if there is one; without any, nothing is added to the computation."""
    listener = _listener.get()
    if listener is not None:
        jax.debug.callback(functools.partial(_call, listener, what), num_done, num_wanted)


def _call(listener: Listener, what: str, num_done: Array, num_wanted: Array) -> None:
    listener(what, int(num_done), int(num_wanted))
