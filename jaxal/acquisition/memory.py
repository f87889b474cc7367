"""How much memory there is, and how much of it the blocks of a pass may take where nobody says."""

import jax
import jax.numpy as jnp

from jaxal.data.host_memory import free_on_host
from jaxal.kernels.blocks import DEFAULT_BLOCK_BYTES

__all__ = ["default_block_bytes", "free_bytes"]

SHARE = 32  # of what is free, one part
SMALLEST = 2**20


def default_block_bytes() -> int:
    """Take a 32nd of the memory that is free, as a power of two, so that calls in a row are compiled once.

    On a device with memory of its own, at least 64 MiB: larger blocks are fewer. On the host at most that: what
    matters there is the cache. Where the host does not say what is free, 64 MiB.
    """
    free, is_own = free_bytes()
    if free is None:
        return DEFAULT_BLOCK_BYTES
    return (max if is_own else min)(_share(free), DEFAULT_BLOCK_BYTES)


def free_bytes() -> tuple[int | None, bool]:
    """Count the bytes that are free where arrays are put, None where nobody says.

    Returns:
        (bytes, whether that is the memory of a device of its own).
    """
    stats = _default_device().memory_stats()
    if stats and "bytes_limit" in stats:
        return stats["bytes_limit"] - stats.get("bytes_in_use", 0), True
    return free_on_host(), False


def _default_device() -> jax.Device:
    """Find where arrays are put; what jax is told of it may be a device or the name of a platform."""
    (device,) = jnp.zeros(()).devices()
    return device


def _share(free: int) -> int:
    return max(1 << max(free // SHARE, 1).bit_length() - 1, SMALLEST)
