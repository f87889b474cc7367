"""The machine's ceilings, the larger of what jax, NumPy and PyTorch reach."""

import contextlib
import time
from collections.abc import Callable

import jax
import numpy as np

from jaxal.profiling.ceilings import Ceilings, measure_ceilings

from .contestants import NotInstalled, NotPossible
from .torch_device import load_torch

NUM_TRIES = 5
PRODUCT = 2048  # rows and columns on a host; four times as many on an accelerator


def best_ceilings(read_bytes: int = 256 * 2**20) -> Ceilings:
    """Measure the fastest read and the fastest float32 product (no TF32) by any of the libraries.

    Args:
        read_bytes: of the array that is read.
    """
    found = [measure_ceilings(read_bytes)]
    if jax.default_backend() == "cpu":
        found.append(_numpy_ceilings(read_bytes))
    with contextlib.suppress(NotInstalled, NotPossible):
        found.append(_torch_ceilings(read_bytes))
    return Ceilings(*(max(values) for values in zip(*found, strict=True)))


def _numpy_ceilings(read_bytes: int) -> Ceilings:
    values = np.ones(read_bytes // 4, np.float32)
    square = np.ones((PRODUCT, PRODUCT), np.float32)
    read = _best_seconds(lambda: np.dot(values, values))
    return Ceilings(values.nbytes / read, 2 * PRODUCT**3 / _best_seconds(lambda: square @ square))


def _torch_ceilings(read_bytes: int) -> Ceilings:
    torch, device, wait = load_torch()
    size = PRODUCT if device == "cpu" else 4 * PRODUCT
    values = torch.ones(read_bytes // 4, device=device)
    square = torch.ones((size, size), device=device)

    def read() -> None:
        values.sum()
        wait()

    def multiply() -> None:
        torch.mm(square, square)
        wait()

    return Ceilings(values.nbytes / _best_seconds(read), 2 * size**3 / _best_seconds(multiply))


def _best_seconds(call: Callable[[], object]) -> float:
    seconds = []
    for _ in range(NUM_TRIES + 1):
        began = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - began)
    return min(seconds[1:])
