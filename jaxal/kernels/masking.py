"""Ranking under masks: the lowest rows by lexicographic keys, in arrays whose shapes never change."""

import jax
import jax.numpy as jnp

from jaxal.typing import Array, Bool, Int32

__all__ = ["concatenate_picks", "lowest", "pick_mask", "picked_values"]


def lowest(
    keys: tuple[Array, ...], is_selectable: Bool[Array, " N"], num_wanted: Int32[Array, ""], query_size: int
) -> tuple[Int32[Array, " Q"], Bool[Array, " Q"]]:
    """Pick the selectable rows with the lexicographically smallest keys, smallest first.

    Ties that survive every key go to the lowest row. A NaN key ranks behind every number.

    Args:
        keys: arrays [N], the most significant first; may be empty, then the lowest rows are taken.
        is_selectable: rows that may be picked.
        num_wanted: how many picks; the valid ones number min(num_wanted, Q, selectable rows).
        query_size: Q, static; may be 0 and may exceed N.

    Returns:
        (indices, is_valid): valid picks first and distinct; padding holds N.

    Cost: one stable sort of N rows.
    """
    num_rows = is_selectable.shape[0]
    rows = jnp.arange(num_rows, dtype=jnp.int32)
    *_, order = jax.lax.sort((~is_selectable, *keys, rows), num_keys=len(keys) + 2)
    padding = jnp.full((max(query_size - num_rows, 0),), num_rows, jnp.int32)
    order = jnp.concatenate([order, padding])[:query_size]
    num_picked = jnp.minimum(num_wanted, jnp.sum(is_selectable, dtype=jnp.int32))
    is_valid = jnp.arange(query_size, dtype=jnp.int32) < num_picked
    return jnp.where(is_valid, order, num_rows), is_valid


def picked_values(values: Array, indices: Int32[Array, " Q"], is_valid: Bool[Array, " Q"]) -> Array:
    """Read values [N] at the picks; NaN on padding."""
    return jnp.where(is_valid, values.at[indices].get(mode="fill", fill_value=jnp.nan), jnp.nan)


def pick_mask(indices: Int32[Array, " Q"], num_rows: int) -> Bool[Array, " N"]:
    """Mark the picked rows; padding (index N) marks nothing."""
    return jnp.zeros(num_rows, bool).at[indices].set(True, mode="drop")


def concatenate_picks(
    is_valid: tuple[Bool[Array, " _"], ...], query_size: int
) -> tuple[Int32[Array, " Q"], Bool[Array, " Q"]]:
    """Order the stages' picks one stage after the other with all padding behind.

    Args:
        is_valid: for each stage, which of its entries are picks.
        query_size: Q; the stages' entries together number at least Q or are padded up to it.

    Returns:
        (order, is_valid): positions into the concatenation of the stages (its length as padding), and which are picks.
    """
    valid = jnp.concatenate(is_valid)
    order, _ = lowest((), valid, jnp.asarray(query_size, jnp.int32), query_size)
    return order, order < valid.shape[0]
