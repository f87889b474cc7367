"""Laps over groups: every group's best, then every group's second best, … (Aggarwal et al., WACV 2020)."""

import jax
import jax.numpy as jnp

from jaxal.typing import Array, Bool, Int32

__all__ = ["lap_ranks"]


def lap_ranks(
    groups: Int32[Array, " N"], keys: tuple[Array, ...], is_selectable: Bool[Array, " N"]
) -> Int32[Array, " N"]:
    """Rank each selectable row among the selectable rows of its group: 0 for the group's best, then 1, 2, …

    Best is the lexicographically smallest key; ties go to the lowest row. Picking by (rank, keys, row) takes lap after
    lap, and inside a lap the best first.

    Args:
        groups: the group of each row, any integers; groups may be empty and their number need not be known.
        keys: arrays [N], the most significant first, without NaN on selectable rows.
        is_selectable: rows that take part; what the others hold changes nothing, and their rank means nothing.

    Cost: one stable sort of N rows, one scan over them, one scatter; no loop over groups.
    """
    positions = jnp.arange(is_selectable.shape[0], dtype=jnp.int32)
    is_left_out, group, *_, order = jax.lax.sort((~is_selectable, groups, *keys, positions), num_keys=len(keys) + 3)
    # A row opens its group where the row sorted before it belongs to another one, or does not take part.
    is_first = (group != jnp.roll(group, 1)) | (is_left_out != jnp.roll(is_left_out, 1)) | (positions == 0)
    start = jax.lax.cummax(jnp.where(is_first, positions, 0))
    return jnp.zeros_like(positions).at[order].set(positions - start)
