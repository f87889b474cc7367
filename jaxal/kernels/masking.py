"""Ranking under masks: the lowest rows by lexicographic keys, in arrays whose shapes never change."""

import jax
import jax.numpy as jnp

from jaxal.kernels.marked_rows import marked_rows
from jaxal.kernels.pool_mesh import current_mesh, first_own_row, gathered, pool_mesh
from jaxal.typing import Array, Bool, Float, Int32

__all__ = [
    "candidate_room",
    "concatenate_picks",
    "first_argmax",
    "first_argmin",
    "lowest",
    "may_be_lowest",
    "pick_mask",
    "picked_values",
    "sorted_rows",
    "top_values",
]

COLUMNS = 1024  # of the matrix that a long array is searched as
ROOM_PER_PICK = 2  # rows that a partial sort has room for, so that some ties at its end do no harm


def first_argmax(values: Array) -> Int32[Array, ""]:
    """Find the largest of values [N], ties to the lowest row; NaN is not allowed.

    By rows of a matrix and then inside the best of them: on CPU XLA finds a maximum many times faster than its place.
    """
    mesh = current_mesh()
    if mesh is not None:

        def own_best(values: Array) -> tuple[Array, Array]:
            row = first_argmax(values)
            return values[row][None], (first_own_row(values.shape[0]) + row)[None]

        best, rows = gathered(mesh, own_best, values)
        return rows[jnp.argmax(best)]
    num_values = values.shape[0]
    num_whole = num_values // COLUMNS
    if num_whole < 2:
        return jnp.argmax(values).astype(jnp.int32)
    head, tail = values[: num_whole * COLUMNS].reshape(num_whole, COLUMNS), values[num_whole * COLUMNS :]
    row = jnp.argmax(jnp.max(head, axis=1)).astype(jnp.int32)
    column = jnp.argmax(head[row]).astype(jnp.int32)
    best = row * COLUMNS + column
    if tail.shape[0] == 0:
        return best
    last = jnp.argmax(tail).astype(jnp.int32)
    return jnp.where(tail[last] > head[row, column], num_whole * COLUMNS + last, best)


def first_argmin(values: Array) -> Int32[Array, ""]:
    """Find the smallest of values [N], as `first_argmax` finds the largest."""
    return first_argmax(-values)


def top_values(values: Float[Array, " N"], num_values: int) -> tuple[Float[Array, " K"], Int32[Array, " K"]]:
    """Find the K largest of values, largest first, and their rows; ties in the order of the rows."""
    mesh = current_mesh()
    if mesh is not None:

        def own_largest(values: Array) -> tuple[Array, Array]:
            num_own = values.shape[0]
            largest, rows = top_values(values, min(num_values, num_own))
            return largest, first_own_row(num_own) + rows

        candidates, candidate_rows = gathered(mesh, own_largest, values)
        with pool_mesh(None):
            largest, places = top_values(candidates, num_values)
        return largest, candidate_rows[places]
    # Without the barrier XLA would make a slice of the outcome a slice of a sort of everything.
    largest, rows = jax.lax.top_k(values, num_values)
    return jax.lax.optimization_barrier(largest), jax.lax.optimization_barrier(rows)


def candidate_room(query_size: int) -> int:
    """Derive how many rows to have room for where a few more than Q may come into question."""
    return ROOM_PER_PICK * query_size + COLUMNS


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

    Cost: where Q is small beside N, a partial sort by the first key and a stable sort of few rows by all keys, unless
    more rows tie at its Q-th value than there is room for; else a stable sort of N rows.
    """
    num_rows = is_selectable.shape[0]
    num_picked = jnp.minimum(num_wanted, jnp.sum(is_selectable, dtype=jnp.int32))
    is_valid = jnp.arange(query_size, dtype=jnp.int32) < num_picked
    mesh = current_mesh()
    if mesh is not None and query_size > 0:

        def own_lowest(keys: tuple[Array, ...], is_selectable: Array) -> tuple[tuple[Array, ...], Array, Array]:
            num_own = is_selectable.shape[0]
            most = min(query_size, num_own)
            rows, is_open = lowest(keys, is_selectable, jnp.asarray(most, jnp.int32), most)
            own_keys = tuple(key.at[rows].get(mode="clip") for key in keys)
            return own_keys, is_open, first_own_row(num_own) + rows

        order, _ = sorted_rows(*gathered(mesh, own_lowest, keys, is_selectable), query_size, num_rows)
        return jnp.where(is_valid, order, num_rows), is_valid
    room = candidate_room(query_size)
    is_partial = query_size > 0 and room <= num_rows // 4 and bool(keys) and keys[0].dtype == jnp.float32

    def by_full_sort() -> Array:
        return sorted_rows(keys, is_selectable, jnp.arange(num_rows, dtype=jnp.int32), query_size, num_rows)[0]

    if not is_partial:
        order = by_full_sort()
    else:
        is_near = may_be_lowest(keys[0], keys[0], is_selectable, query_size)

        def by_partial_sort() -> Array:
            rows = marked_rows(is_near, room)
            near_keys = tuple(key.at[rows].get(mode="clip") for key in keys)
            return sorted_rows(near_keys, rows < num_rows, rows, query_size, num_rows)[0]

        order = jax.lax.cond(jnp.sum(is_near, dtype=jnp.int32) <= room, by_partial_sort, by_full_sort)
    return jnp.where(is_valid, order, num_rows), is_valid


def may_be_lowest(
    low: Float[Array, " N"], high: Float[Array, " N"], is_selectable: Bool[Array, " N"], query_size: int
) -> Bool[Array, " N"]:
    """Mark the selectable rows that may be among the Q lowest, of each of which a lower and an upper bound is known.

    Those are the rows whose lower bound is not beyond the Q-th smallest upper bound; all where fewer can be picked. A
    bound that is NaN leaves its row in.

    Cost: a partial sort of N.
    """
    descending = jnp.where(is_selectable & ~jnp.isnan(high), -high, -jnp.inf)
    threshold = -top_values(descending, query_size)[0][-1]
    return is_selectable & ~(low > threshold)


def sorted_rows(
    keys: tuple[Array, ...], is_open: Bool[Array, " n"], rows: Int32[Array, " n"], query_size: int, padding: int
) -> tuple[Int32[Array, " Q"], tuple[Array, ...]]:
    """Sort rows by their keys, then by their numbers, those that are not open last; the first Q, and their keys.

    Where there are fewer than Q, the padding given and 0 stand behind them.
    """
    _, *sorted_keys, order = jax.lax.sort((~is_open, *keys, rows), num_keys=len(keys) + 2)

    def first(values: Array, filling: int) -> Array:
        missing = jnp.full((max(query_size - len(values), 0),), filling, values.dtype)
        return jnp.concatenate([values, missing])[:query_size]

    return first(order, padding), tuple(first(key, 0) for key in sorted_keys)


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
    with pool_mesh(None):  # these are no rows of the pool
        order, _ = lowest((), valid, jnp.asarray(query_size, jnp.int32), query_size)
    return order, order < valid.shape[0]
