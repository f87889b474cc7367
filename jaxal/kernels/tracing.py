"""Settings that are read while tracing, in whatever is called inside."""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import TypeVar

__all__ = ["set_while"]

T = TypeVar("T")


@contextlib.contextmanager
def set_while(variable: ContextVar[T], value: T) -> Iterator[None]:
    """Set a context variable for as long as the block runs.

    A jitted function that reads it while tracing must also take the value as a static argument, or it would go on with
    that of its first call.
    """
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)
