"""k-means++ over the gradients of the last layer, g = q ⊗ z with q = p - onehot ŷ, which are never built (BADGE).

A gradient has C·D entries; its geometry needs only the C of q and the D of z.
"""

import jax
import jax.numpy as jnp

from jaxal.kernels.blocks import map_row_blocks
from jaxal.kernels.cached_blocks import rows_per_cached_block
from jaxal.kernels.distance_sampling import PICKS_PER_PASS, row_gumbels, sample_by_distance
from jaxal.kernels.distances import squared_distances_by_blocks
from jaxal.kernels.masking import first_argmax, lowest, pick_mask
from jaxal.kernels.nearest_center import Geometry, Points, product_tolerance
from jaxal.kernels.pool_mesh import take_rows
from jaxal.kernels.taylor import logit_residual
from jaxal.typing import Array, Bool, Float, Int32, PRNGKey

__all__ = [
    "BLIND",
    "DISTANT",
    "LARGEST",
    "gradient_block_size",
    "gradient_geometry",
    "member_residual",
    "sample_gradients",
    "scaled_residual",
]

LARGEST, DISTANT, BLIND = 0, 1, 2  # how a pick was made


def scaled_residual(
    logits: Float[Array, "N C"], is_member: Bool[Array, " N"]
) -> tuple[Float[Array, "N C"], Float[Array, ""]]:
    """Compute q = p - onehot ŷ, so that q ⊗ z is the gradient ∂ℓ/∂W of each member's pseudo-label, without the bias.

    Residuals come from the logits by `logit_residual`, so they are zero only where every other probability is no
    float32 number; and they are scaled by the largest among the members, so that their squares do not underflow where
    all predictions are nearly certain. Distances in proportion are the same.

    Args:
        logits: l; ŷ is their argmax, ties to the lowest class.
        is_member: rows that count; the others may hold anything and get q = 0.

    Returns:
        (q / scale, scale).

    Cost: O(NC).
    """
    residual, largest = member_residual(logits, is_member)
    scale = jnp.where(largest > 0, largest, 1)
    return residual / scale, scale


def member_residual(
    logits: Float[Array, "N C"], is_member: Bool[Array, " N"]
) -> tuple[Float[Array, "N C"], Float[Array, ""]]:
    """Compute q as `scaled_residual` does, not yet scaled, and its largest entry by size."""
    # Masked before as well as behind: softmax of NaN is never looked at.
    residual = logit_residual(jnp.where(is_member[:, None], logits, 0), jnp.argmax(logits, axis=1).astype(jnp.int32))
    residual = jnp.where(is_member[:, None], residual, 0)
    return residual, jnp.max(jnp.abs(residual), initial=0)


def gradient_geometry(residual: Float[Array, "N C"], embeddings: Float[Array, "N D"]) -> tuple[Geometry, Points]:
    """Lay out gradients q ⊗ z for `fold_centers`: the factors, and the squared norm ‖q‖²‖z‖².

    By products, ‖q_i ⊗ z_i - q_j ⊗ z_j‖² = |q_i|²|z_i|² + |q_j|²|z_j|² - 2(q_i·q_j)(z_i·z_j), the textbook form, which
    cancels for near gradients. With differences Δ and means q̄ and z̄ of the two,
    q_i ⊗ z_i - q_j ⊗ z_j = Δq ⊗ z̄ + q̄ ⊗ Δz, and so, by differences,

        |Δq|²|z̄|² + |q̄|²|Δz|² + 2(Δq·q̄)(Δz·z̄),

    which is exactly 0 for duplicates; where its terms are larger than the two norms (a small q with a large z against
    the reverse) it is the one that cancels, and the textbook form is taken. Rounding below 0 is clipped.

    Cost: O(C + D) a pair either way.
    """
    tolerance = product_tolerance(residual.shape[1]) + product_tolerance(embeddings.shape[1])

    def by_products(rows: Points, centers: Points) -> tuple[Array, Array]:
        (q, z, squares), (center_q, center_z, center_squares) = rows, centers
        sizes = squares[:, None] + center_squares[None]
        products = jnp.matmul(q, center_q.T, precision="highest") * jnp.matmul(z, center_z.T, precision="highest")
        return sizes - 2 * products, tolerance * sizes

    def by_differences(points: Points, others: Points) -> Array:
        def parts(rows: Array, others: Array) -> tuple[Array, Array, Array]:
            difference, mean = rows - others, (rows + others) / 2
            products = (jnp.square(difference), jnp.square(mean), difference * mean)
            return tuple(jnp.sum(product, axis=1) for product in products)  # pyright: ignore[reportReturnType]

        q_difference, q_mean, q_mixed = parts(points[0], others[0])
        z_difference, z_mean, z_mixed = parts(points[1], others[1])
        size, textbook_size = q_difference * z_mean + q_mean * z_difference, points[2] + others[2]
        # a·b = |(a + b) / 2|² - |a - b|² / 4: no fourth pass over the rows.
        textbook = textbook_size - 2 * (q_mean - q_difference / 4) * (z_mean - z_difference / 4)
        return jnp.maximum(jnp.where(size <= textbook_size, size + 2 * q_mixed * z_mixed, textbook), 0)

    squares = squared_distances_by_blocks(embeddings, jnp.zeros_like(embeddings[0]))
    norms = jnp.sum(jnp.square(residual), axis=1) * squares
    return Geometry(by_products, by_differences), (residual, embeddings, norms)


def gradient_block_size(num_rows: int, width: int) -> int:
    """Choose the rows of a block for a pass over gradients that measures them against new picks."""
    return rows_per_cached_block(4 * (2 * width + 4 * PICKS_PER_PASS), num_rows)


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
        embeddings: z; what rows that are not selectable hold does not matter.
        sample_ids: stable ids, on which the noise hangs.
        is_selectable: rows that may be picked, each once.
        num_wanted: picks wanted.
        query_size: Q, static; may be 0 and may exceed N.

    Returns:
        (indices, distance, how): padding holds N, NaN, 0. distance is that of a DISTANT pick to the nearest pick
        before it, the norm of the LARGEST one, and NaN for a BLIND one, each in the unit of q times that of z.

    Cost: that of `sample_by_distance`: products of N×(C + D) by Q picks; O(N) memory besides the factors.
    """
    num_rows = sample_ids.shape[0]
    num_picks = jnp.minimum(jnp.minimum(num_wanted, query_size), jnp.sum(is_selectable, dtype=jnp.int32))
    geometry, points = gradient_geometry(residual, embeddings)
    norms = jnp.where(is_selectable, points[-1], 0)
    block_size = gradient_block_size(*embeddings.shape)
    draw_key, blind_key = jax.random.split(key)
    largest = first_argmax(norms)
    opening, norm = take_rows((points, norms), largest[None])
    has_largest = (num_picks > 0) & (norm[0] > 0)
    nearest = map_row_blocks(lambda *rows: geometry.by_differences(rows, opening), points, block_size)
    is_free = is_selectable & ~(has_largest & (jnp.arange(num_rows, dtype=jnp.int32) == largest))
    drawn, squared = sample_by_distance(
        draw_key,
        geometry,
        points,
        jnp.where(has_largest, nearest, 0),
        sample_ids,
        is_free,
        num_picks - 1,
        max(query_size - 1, 0),
        block_size=block_size,
    )
    indices = jnp.concatenate([jnp.where(has_largest, largest, num_rows)[None], drawn])[:query_size]
    distances = jnp.sqrt(jnp.concatenate([jnp.where(has_largest, norm, jnp.nan), squared]))[:query_size]
    # What no gradient tells apart: rows left go by chance, behind the picks.
    is_picked = pick_mask(indices, num_rows)
    noise = row_gumbels(blind_key, sample_ids)
    num_picked = jnp.sum(is_picked, dtype=jnp.int32)
    blind, _ = lowest((noise,), is_selectable & ~is_picked, num_picks - num_picked, query_size)
    places = jnp.arange(query_size, dtype=jnp.int32)
    is_blind = (places >= num_picked) & (places < num_picks)
    indices = jnp.where(is_blind, blind.at[places - num_picked].get(mode="clip"), indices)
    how = jnp.where(is_blind, BLIND, jnp.where((places > 0) & (places < num_picks), DISTANT, LARGEST))
    return indices, distances, how.astype(jnp.int32)
