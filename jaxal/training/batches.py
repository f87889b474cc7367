"""Which labeled samples make which SGD batch: full batches only, in shapes that no round changes."""

import functools

import jax
import jax.numpy as jnp

from jaxal.typing import Array, Int32, PRNGKey

__all__ = ["epoch_batches", "steps_per_epoch"]


def steps_per_epoch(num_labeled: int, batch_size: int) -> int:
    """Count the batches that cover the labeled set once, the last one wrapping around: ceil(L / B)."""
    return -(-num_labeled // batch_size)


@functools.partial(jax.jit, static_argnames=("num_steps", "batch_size"))
def epoch_batches(
    key: PRNGKey, labels: Int32[Array, " N"], *, num_steps: int, batch_size: int
) -> Int32[Array, "num_steps B"]:
    """Shuffle the labeled rows and lay them out in batches, wrapping around where they run out.

    Wrapping keeps every batch full: padded rows would poison the statistics of batch norm.

    Args:
        key: of this epoch.
        labels: class of each row, negative where there is none; at least one row must be labeled.
        num_steps: batches to lay out, static: those of the largest labeled set of the run.
        batch_size: B.

    Returns:
        Rows; the first ceil(L / B) batches hold every labeled row at least once.
    """
    is_labeled = labels >= 0
    rows = jnp.arange(labels.shape[0], dtype=jnp.int32)
    _, _, shuffled = jax.lax.sort((~is_labeled, jax.random.bits(key, labels.shape), rows), num_keys=3)
    num_labeled = jnp.sum(is_labeled, dtype=jnp.int32)
    positions = jnp.arange(num_steps * batch_size, dtype=jnp.int32) % jnp.maximum(num_labeled, 1)
    return shuffled[positions].reshape(num_steps, batch_size)
