"""What this machine can do at best, measured in the same run: bytes read and float32 products per second."""

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxal.typing import Array

__all__ = ["Ceilings", "measure_ceilings"]

# Large enough that caches do not hold it, and on a device that starting the call takes no part of the time.
HOST_READ_BYTES, DEVICE_READ_BYTES = 256 * 2**20, 4 * 2**30
NUM_TRIES = 5


class Ceilings(NamedTuple):
    """The machine's best."""

    read_bytes_per_second: float
    gemm_flops_per_second: float


def measure_ceilings(read_bytes: int | None = None, num_tries: int = NUM_TRIES) -> Ceilings:
    """Measure the fastest read of a large array and the fastest float32 matrix product on the default device.

    Every form is tried num_tries times and the best of all counts: on CPU some of XLA's reductions reach a third of
    what the memory gives, and NumPy's by threads take part as well. Products are true float32, precision "highest": on
    a GPU the default would be TF32.

    Args:
        read_bytes: of the array read; 256 MiB on a host, 4 GiB or a quarter of the memory on a device where absent.
        num_tries: of each form.
    """
    on_host = jax.default_backend() == "cpu"
    num_bytes = read_bytes or (HOST_READ_BYTES if on_host else _device_read_bytes())
    return Ceilings(_read_speed(num_bytes, num_tries, on_host), _product_speed(num_tries, on_host))


def _device_read_bytes() -> int:
    stats = jax.local_devices()[0].memory_stats() or {}
    return min(DEVICE_READ_BYTES, stats.get("bytes_limit", 4 * DEVICE_READ_BYTES) // 4)


def _best_seconds(call: Callable[[], object], num_tries: int) -> float:
    call()  # compiles, and brings the data close
    seconds = []
    for _ in range(num_tries):
        began = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def _read_speed(read_bytes: int, num_tries: int, on_host: bool) -> float:
    width = 4096
    array = jax.block_until_ready(jnp.full((max(read_bytes // (4 * width), 1), width), 0.5, jnp.float32))
    ones = jnp.ones(width, jnp.float32)
    forms: tuple[Callable[[Array], Array], ...] = (
        jnp.sum,
        jnp.max,
        lambda rows: jnp.sum(rows, axis=1),
        lambda rows: jnp.matmul(rows, ones, precision="highest"),
    )

    def reading(form: Callable[[Array], Array]) -> Callable[[], object]:
        compiled = jax.jit(form)
        return lambda: jax.block_until_ready(compiled(array))

    seconds = [_best_seconds(reading(form), num_tries) for form in forms]
    if on_host:
        num_threads = os.cpu_count() or 1
        parts = np.array_split(np.asarray(array).reshape(-1), num_threads)
        with ThreadPoolExecutor(num_threads) as pool:
            for read in (np.max, lambda part: np.dot(part, part)):
                seconds.append(_best_seconds(lambda read=read: list(pool.map(read, parts)), num_tries))
    return array.nbytes / min(seconds)


def _product_speed(num_tries: int, on_host: bool) -> float:
    scale = 1 if on_host else 4
    rng = np.random.default_rng(0)
    shapes = ((1024, 1024, 1024), (2048, 2048, 2048), (8192, 1024, 512))
    multiply = jax.jit(lambda left, right: jnp.matmul(left, right, precision="highest"))
    best = 0.0
    for rows, inner, columns in ((scale * m, scale * k, scale * n) for m, k, n in shapes):
        left = jnp.asarray(rng.random((rows, inner), dtype=np.float32))
        right = jnp.asarray(rng.random((inner, columns), dtype=np.float32))

        def product(left: Array = left, right: Array = right) -> object:
            return jax.block_until_ready(multiply(left, right))

        best = max(best, 2 * rows * inner * columns / _best_seconds(product, num_tries))
    return best
