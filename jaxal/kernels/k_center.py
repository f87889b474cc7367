"""Greedy k-center (core-set) selection, Sener and Savarese 2018, in its plain exact form."""

import jax
import jax.numpy as jnp

from jaxal.kernels.distances import squared_distances
from jaxal.typing import Array, Bool, Float, Int32

__all__ = ["k_center", "nearest_center_distances"]


def nearest_center_distances(embeddings: Float[Array, "N D"], is_center: Bool[Array, " N"]) -> Float[Array, " N"]:
    """Square each row's distance to its nearest center; inf where there is no center at all.

    Cost: one pass over the embeddings per center: a loop over the centers there are, not over N.
    """
    num_rows = embeddings.shape[0]
    (centers,) = jnp.nonzero(is_center, size=num_rows, fill_value=0)

    def fold_in(position: Array, nearest: Array) -> Array:
        return jnp.minimum(nearest, squared_distances(embeddings, embeddings[centers[position]]))

    unreached = jnp.full(num_rows, jnp.inf, embeddings.dtype)
    return jax.lax.fori_loop(0, jnp.sum(is_center, dtype=jnp.int32), fold_in, unreached)


def k_center(
    embeddings: Float[Array, "N D"],
    is_center: Bool[Array, " N"],
    is_selectable: Bool[Array, " N"],
    first_priority: Float[Array, " N"],
    num_wanted: Int32[Array, ""],
    query_size: int,
) -> tuple[Int32[Array, " Q"], Bool[Array, " Q"], Float[Array, " Q"]]:
    """Pick, one after the other, the selectable row that lies farthest from its nearest center.

    i_t = argmax_{i selectable} min_{j ∈ centers ∪ {i_1 … i_{t-1}}} ‖z_i - z_j‖, ties to the lowest row.

    Args:
        embeddings: z.
        is_center: rows that are centers from the start (the labeled samples).
        is_selectable: rows that may be picked; a pick is never picked again.
        first_priority: where there is no center at all, the selectable row with the highest value opens.
        num_wanted: how many picks at most.
        query_size: Q, static; may exceed N.

    Returns:
        (indices, is_valid, distance): distance is that of the pick to its nearest center when it was picked (inf for
        an opening pick, NaN on padding); padding indices hold N.

    Cost: O((L + Q)·N·D) arithmetic in one loop on the device, O(N) memory.
    """
    num_rows = embeddings.shape[0]
    num_picks = jnp.minimum(num_wanted, jnp.sum(is_selectable, dtype=jnp.int32))
    has_center = jnp.any(is_center)

    def pick(position: Array, carry: tuple[Array, Array, Array, Array]) -> tuple[Array, Array, Array, Array]:
        nearest, selectable, indices, distances = carry
        is_opening = (position == 0) & ~has_center
        value = jnp.where(is_opening, first_priority, nearest)
        chosen = jnp.argmax(jnp.where(selectable, value, -jnp.inf)).astype(jnp.int32)
        return (
            jnp.minimum(nearest, squared_distances(embeddings, embeddings[chosen])),
            selectable.at[chosen].set(False),
            indices.at[position].set(chosen),
            distances.at[position].set(jnp.sqrt(nearest[chosen])),
        )

    start = (
        nearest_center_distances(embeddings, is_center),
        is_selectable,
        jnp.full(max(query_size, 1), num_rows, jnp.int32),  # room for one even where Q = 0: the loop body is traced
        jnp.full(max(query_size, 1), jnp.nan, embeddings.dtype),
    )
    _, _, indices, distances = jax.lax.fori_loop(0, jnp.minimum(num_picks, query_size), pick, start)
    indices, distances = indices[:query_size], distances[:query_size]
    return indices, indices < num_rows, distances
