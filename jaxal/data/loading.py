"""Images that are read when they are wanted, and batches of them read ahead by threads."""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import NamedTuple

import numpy as np

__all__ = ["Images", "choose_images", "load_batches"]

ReadFn = Callable[[np.ndarray], np.ndarray]

# Copying rows out of mapped files keeps a few threads waiting for the disk at most, whatever the cores.
NUM_THREADS = min(4, os.cpu_count() or 1)
PREFETCH = 4


class Images(NamedTuple):
    """Images that are not in memory, or what stands for them, such as their embeddings; n is their number."""

    read: ReadFn  # rows [B], integers below n -> [B, *image_shape] of the dtype; called by several threads at once
    num_images: int  # n
    image_shape: tuple[int, ...]  # height, width, channels; of embeddings D alone
    dtype: type = np.uint8


def choose_images(images: Images, rows: np.ndarray) -> Images:
    """Take some of the images, in the order of the rows, without reading them."""
    return images._replace(read=lambda chosen: images.read(rows[chosen]), num_images=len(rows))


def load_batches(
    read: ReadFn, batches: Iterable[np.ndarray], *, num_threads: int = NUM_THREADS, prefetch: int = PREFETCH
) -> Generator[np.ndarray, None, None]:
    """Read batches of rows by threads, ahead of their use, and give them in the order asked for.

    At most `prefetch` batches are held at a time, the one given last among them. Closing the iterator, or an exception
    at its user's, ends the threads: it waits for the reads that have begun, not for those in the queue. A user that
    may leave early closes it (contextlib.closing); one that is dropped before its end is closed as it is collected.

    Args:
        read: gives the images of a batch's rows; called by several threads at once.
        batches: of rows; taken one by one, as there is room.
        num_threads: at least 1.
        prefetch: at least 1; with 1 nothing is read before it is asked for.

    Raises:
        Exception: what `read` raised, when the batch that it was raised for has its turn.
    """
    todo = iter(batches)
    pool = ThreadPoolExecutor(num_threads, thread_name_prefix="jaxal-load")
    try:
        waiting = deque(pool.submit(read, rows) for rows in islice(todo, prefetch))
        while waiting:
            # No name here keeps what was given: the next batch is asked for once its user has moved on.
            yield waiting.popleft().result()
            waiting.extend(pool.submit(read, rows) for rows in islice(todo, 1))
    finally:
        pool.shutdown(cancel_futures=True)
