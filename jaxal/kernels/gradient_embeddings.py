"""k-means++ over the gradients of the last layer, g = q ⊗ z with q = p - onehot ŷ, which are never built (BADGE).

A gradient has C·D entries; its geometry needs only the C of q and the D of z.
"""

import jax
import jax.numpy as jnp

from jaxal.kernels.k_means import draw_row
from jaxal.kernels.taylor import logit_residual
from jaxal.typing import Array, Bool, Float, Int32, PRNGKey

__all__ = ["gradient_factors", "sample_gradients", "squared_gradient_distances", "squared_gradient_norms"]

LARGEST, DISTANT, BLIND = 0, 1, 2  # how a pick was made


def gradient_factors(
    logits: Float[Array, "N C"], embeddings: Float[Array, "N D"], is_member: Bool[Array, " N"]
) -> tuple[Float[Array, "N C"], Float[Array, "N D"], Float[Array, ""]]:
    """Factor the loss gradient of each member's pseudo-label, ∂ℓ/∂W = z ⊗ (p - onehot ŷ), without the bias.

    Residuals come from the logits by `logit_residual`, so they are zero only where every other probability is no
    float32 number; and they are scaled by the largest among the members, so that their squares do not underflow where
    all predictions are nearly certain. Distances in proportion are the same.

    Args:
        logits: l; ŷ is their argmax, ties to the lowest class.
        embeddings: z, the input of the last layer.
        is_member: rows that count; the others may hold anything and get gradient 0.

    Returns:
        (q / scale, z, scale): both factors are 0 where either of them is, so that two zero gradients are duplicates.

    Cost: O(N(C + D)).
    """
    # Masked before as well as behind: softmax of NaN is never looked at.
    residual = logit_residual(jnp.where(is_member[:, None], logits, 0), jnp.argmax(logits, axis=1).astype(jnp.int32))
    residual = jnp.where(is_member[:, None], residual, 0)
    largest = jnp.max(jnp.abs(residual), initial=0)
    scale = jnp.where(largest > 0, largest, 1)
    vectors = jnp.where(is_member[:, None], embeddings, 0)
    is_nonzero = (jnp.any(residual != 0, axis=1) & jnp.any(vectors != 0, axis=1))[:, None]
    return jnp.where(is_nonzero, residual / scale, 0), jnp.where(is_nonzero, vectors, 0), scale


def squared_gradient_norms(residual: Float[Array, "N C"], embeddings: Float[Array, "N D"]) -> Float[Array, " N"]:
    """Compute ‖q ⊗ z‖² = ‖q‖²‖z‖²."""
    return jnp.sum(jnp.square(residual), axis=1) * jnp.sum(jnp.square(embeddings), axis=1)


def squared_gradient_distances(
    residual: Float[Array, "N C"],
    embeddings: Float[Array, "N D"],
    other_residual: Float[Array, " C"],
    other_embedding: Float[Array, " D"],
) -> Float[Array, " N"]:
    """Square the distance of every gradient to one other, ‖q_i ⊗ z_i - q_j ⊗ z_j‖².

    The textbook form |q_i|²|z_i|² + |q_j|²|z_j|² - 2(q_i·q_j)(z_i·z_j) cancels for near gradients. With differences Δ
    and means q̄ and z̄ of the two, q_i ⊗ z_i - q_j ⊗ z_j = Δq ⊗ z̄ + q̄ ⊗ Δz, and so

        |Δq|²|z̄|² + |q̄|²|Δz|² + 2(Δq·q̄)(Δz·z̄),

    which is exactly 0 for duplicates; rounding below 0 is clipped.

    Cost: O(N(C + D)).
    """

    def parts(rows: Array, other: Array) -> tuple[Array, Array, Array]:
        difference, mean = rows - other[None], (rows + other[None]) / 2
        squares = (jnp.square(difference), jnp.square(mean), difference * mean)
        return jnp.sum(squares[0], axis=1), jnp.sum(squares[1], axis=1), jnp.sum(squares[2], axis=1)

    residual_difference, residual_mean, residual_product = parts(residual, other_residual)
    difference, mean, product = parts(embeddings, other_embedding)
    total = residual_difference * mean + residual_mean * difference + 2 * residual_product * product
    return jnp.maximum(total, 0)


def sample_gradients(
    key: PRNGKey,
    residual: Float[Array, "N C"],
    embeddings: Float[Array, "N D"],
    sample_ids: Int32[Array, " N"],
    is_selectable: Bool[Array, " N"],
    num_wanted: Int32[Array, ""],
    query_size: int,
) -> tuple[Int32[Array, " Q"], Float[Array, " Q"], Int32[Array, " Q"]]:
    """Pick selectable rows by k-means++ over their gradients, nothing else being a center.

    The first pick is the largest gradient, ties to the lowest row (Ash et al., Algorithm 1, as its authors' code has
    it); each further one is drawn in proportion to the squared distance to the nearest gradient picked. Where no row
    left has any weight (zero gradients, duplicates of picks), rows are drawn uniformly without replacement.

    Args:
        key: the query's key.
        residual: q, in any unit.
        embeddings: z.
        sample_ids: stable ids, on which the noise hangs.
        is_selectable: rows that may be picked, each once.
        num_wanted: picks wanted.
        query_size: Q, static; may be 0 and may exceed N.

    Returns:
        (indices, distance, how): padding holds N, NaN, 0. distance is that of a DISTANT pick to the nearest pick
        before it, the norm of the LARGEST one, and NaN for a BLIND one, each in the unit of q times that of z.

    Cost: O(QN(C + D)) and 2QN hashes in one loop on the device; O(N) memory besides the factors.
    """
    num_rows = sample_ids.shape[0]
    norms = squared_gradient_norms(residual, embeddings)
    num_picks = jnp.minimum(jnp.minimum(num_wanted, query_size), jnp.sum(is_selectable, dtype=jnp.int32))

    def pick(position: Array, carry: tuple[Array, ...]) -> tuple[Array, ...]:
        nearest, free, indices, distances, how = carry
        is_first = position == 0
        weight = jnp.where(is_first, norms, nearest)
        has_weight = jnp.any(free & (weight > 0))
        drawn, _ = draw_row(key, position, sample_ids, jnp.where(has_weight, jnp.log(weight), 0), free)
        largest = jnp.argmax(jnp.where(free, norms, -1)).astype(jnp.int32)
        row = jnp.where(is_first & has_weight, largest, drawn)
        reached = squared_gradient_distances(residual, embeddings, residual[row], embeddings[row])
        return (
            jnp.minimum(nearest, reached),
            free.at[row].set(False),
            indices.at[position].set(row),
            distances.at[position].set(jnp.where(has_weight, jnp.sqrt(weight[row]), jnp.nan)),
            how.at[position].set(jnp.where(has_weight, jnp.where(is_first, LARGEST, DISTANT), BLIND)),
        )

    size = max(query_size, 1)  # room for one even where Q = 0: the loop body is traced
    start = (
        jnp.full(num_rows, jnp.inf, norms.dtype),
        is_selectable,
        jnp.full(size, num_rows, jnp.int32),
        jnp.full(size, jnp.nan, norms.dtype),
        jnp.zeros(size, jnp.int32),
    )
    _, _, indices, distances, how = jax.lax.fori_loop(0, num_picks, pick, start)
    return indices[:query_size], distances[:query_size], how[:query_size]
