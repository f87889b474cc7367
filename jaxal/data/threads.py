"""A function called for many things by as many threads as there are cores."""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

__all__ = ["map_in_threads"]

# Results that wait for an earlier one: enough that one slow file does not stop the other threads.
WAITING_PER_THREAD = 16

A, R = TypeVar("A"), TypeVar("R")


def map_in_threads(
    function: Callable[[A], R], arguments: Iterable[A], *, max_waiting: int | None = None
) -> Generator[R, None, None]:
    """Call a function for each argument, in threads; yields the results in the order of the arguments.

    A bounded number of results waits to be taken, so memory does not grow with the number of arguments. Close the
    iterator if it is not used up: calls that have begun are waited for, the others are not made.

    Args:
        function: may be called from several threads at once.
        arguments: of the calls, one each.
        max_waiting: results that wait at most, but as many as keep the threads busy.
    """
    num_threads = os.cpu_count() or 1
    num_waiting = WAITING_PER_THREAD * num_threads
    if max_waiting is not None:
        num_waiting = min(num_waiting, max_waiting)
    todo = iter(arguments)
    with ThreadPoolExecutor(num_threads) as pool:
        try:
            waiting = deque(pool.submit(function, each) for each in islice(todo, max(num_waiting, num_threads + 1)))
            while waiting:
                result = waiting.popleft().result()
                waiting.extend(pool.submit(function, each) for each in islice(todo, 1))
                yield result
        except BaseException:
            pool.shutdown(cancel_futures=True)  # Ctrl-C waits for what has begun, not for all
            raise
