"""What a contestant and a task are."""

import importlib
from collections.abc import Callable
from typing import Any, NamedTuple

from .pools import Pool


class NotInstalled(Exception):
    """A peer that this machine does not have."""


class NotPossible(Exception):
    """What a contestant cannot do here, and why."""


class Call(NamedTuple):
    """A contestant made ready for one pool; every function blocks until its answer is there, on the host."""

    run: Callable[[], Any]  # the whole task
    # Where the task is a loop: the first passes of the loop (an answer that the check accepts), and how many passes
    # the whole task takes. Told from this is how long the whole would take.
    sample: Callable[[int], Any] | None = None
    num_passes: int = 0
    # Where it is none: a guess of the seconds of the whole task, from a smaller one.
    estimate: Callable[[], float] | None = None


class Contestant(NamedTuple):
    """Somebody who solves a task."""

    name: str
    problem: str  # what exactly it solves, where contestants differ
    make: Callable[[Pool], Call]  # raises NotInstalled or NotPossible
    is_ours: bool = False  # the one to whose time all times are compared


class Task(NamedTuple):
    """A task, its contestants, and what it takes at least."""

    name: str
    title: str
    contestants: tuple[Contestant, ...]
    check: Callable[[Contestant, Any], str | None]  # what is wrong with an answer
    num_picks: int  # of which a share of the seconds is told; 1 where nothing is picked
    flops: float  # that any answer in floating point needs, by products of matrices
    num_bytes: float  # that must be read at least once


def peer(module: str) -> Any:
    """Import a library that need not be there.

    Raises:
        NotInstalled: it is not.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise NotInstalled(f"{module}: {error}") from error
