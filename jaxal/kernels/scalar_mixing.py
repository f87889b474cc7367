"""Mixing with one scalar α for all dimensions, which mixes logits: no embedding is needed beyond the anchors' own.

z_a = α·μ_c + (1 - α)·z gives a linear head the logits α·l*_c + (1 - α)·l with l*_c those of μ_c. The lead of ŷ over a
rival j falls linearly from D_ij = l_iŷ - l_ij at α = 0 to l*_cŷ - l*_cj at α = 1, so the anchor that favors j most
decides: T[y, j] = min_c (l*_cy - l*_cj) is all that the anchors contribute.
"""

import jax
import jax.numpy as jnp

from jaxal.kernels.blocks import map_row_blocks
from jaxal.kernels.cached_blocks import rows_per_cached_block
from jaxal.kernels.feature_mixing import Mixing
from jaxal.kernels.pool_mesh import take
from jaxal.kernels.taylor import relative_residual
from jaxal.typing import Array, Bool, Float, Int32

__all__ = ["anchor_gaps", "anchor_logits", "scalar_mixing", "smallest_flipping_alpha"]


def anchor_logits(
    anchors: Float[Array, "C D"], weight: Float[Array, "D C"], bias: Float[Array, " C"]
) -> Float[Array, "C C"]:
    """Compute l*_c = μ_c W + b, one row an anchor.  Cost: O(C²D)."""
    return jnp.matmul(anchors, weight, precision="highest") + bias[None]


def anchor_gaps(logits_at_anchors: Float[Array, "K C"], is_anchor: Bool[Array, " K"]) -> Float[Array, "C C"]:
    """Tabulate T[y, j] = min over the anchors c of l*_cy - l*_cj; +inf without any anchor.

    Cost: O(KC²), one anchor at a time.
    """

    def lower(gaps: Array, anchor: tuple[Array, Array]) -> tuple[Array, None]:
        row, exists = anchor
        return jnp.minimum(gaps, jnp.where(exists, row[:, None] - row[None], jnp.inf)), None

    num_classes = logits_at_anchors.shape[1]
    unbounded = jnp.full((num_classes, num_classes), jnp.inf, logits_at_anchors.dtype)
    gaps, _ = jax.lax.scan(lower, unbounded, (logits_at_anchors, is_anchor))
    return gaps


def smallest_flipping_alpha(
    logits: Float[Array, "N C"], predicted: Int32[Array, " N"], gaps: Float[Array, "C C"]
) -> Float[Array, " N"]:
    """Find the smallest scalar α at which the mix with some anchor changes the prediction.

    α_i = min over j with T[ŷ, j] < 0 of D_ij / (D_ij - T[ŷ, j]), in [0, 1); +inf where no anchor can change it.

    Args:
        logits: l.
        predicted: ŷ = argmax l.
        gaps: T, from `anchor_gaps`.

    Cost: O(NC): all anchors and all α at once.
    """
    lead = jnp.max(logits, axis=1, keepdims=True) - logits
    gap = take(gaps, predicted)
    is_rival = jnp.arange(logits.shape[1], dtype=jnp.int32)[None] != predicted[:, None]
    can_win = is_rival & (gap < 0)
    return jnp.min(jnp.where(can_win, lead / jnp.where(can_win, lead - gap, 1), jnp.inf), axis=1)


def scalar_mixing(
    logits: Float[Array, "N C"],
    logits_at_anchors: Float[Array, "K C"],
    is_anchor: Bool[Array, " K"],
    alphas: Float[Array, " A"],
) -> Mixing:
    """Find the smallest of given scalars that flips each sample's prediction with some anchor (CB-DAL's Fig. 3).

    Args:
        logits: l, the head's at z.
        logits_at_anchors: l*_c, from `anchor_logits`.
        is_anchor: anchors that exist.
        alphas: the scalars tried, in (0, 1], in any order.

    Returns:
        norm: that scalar, +inf where none of them flips (a scalar's mean|α| is itself). relative_change: Eq. 3 at that
        scalar α, the largest of α·(μ_c - z)·∇ℓ(z) over the anchors, over 1 - p_ŷ; -inf where none flips. The shift of
        the embedding times the gradient is the shift of the logits times their residual.

    Cost: O(KC² + KNC), by blocks of rows; no pass over the embeddings.
    """
    num_rows, num_classes = logits.shape
    num_anchors = logits_at_anchors.shape[0]
    ascending = jnp.sort(alphas)
    gaps = anchor_gaps(logits_at_anchors, is_anchor)

    def mix_block(block: Array) -> Mixing:
        predicted = jnp.argmax(block, axis=1).astype(jnp.int32)
        exact = smallest_flipping_alpha(block, predicted, gaps)
        alpha = ascending.at[jnp.searchsorted(ascending, exact)].get(mode="fill", fill_value=jnp.inf)
        direction = relative_residual(block, predicted).direction

        def raise_change(largest: Array, anchor: tuple[Array, Array]) -> tuple[Array, None]:
            row, exists = anchor
            shift = row[None] - block
            gain = shift - jnp.take_along_axis(shift, predicted[:, None], axis=1)  # the direction sums to 0
            return jnp.maximum(largest, jnp.where(exists, jnp.sum(gain * direction, axis=1), -jnp.inf)), None

        change, _ = jax.lax.scan(raise_change, jnp.full_like(exact, -jnp.inf), (logits_at_anchors, is_anchor))
        is_flipped = jnp.isfinite(alpha)
        return Mixing(alpha, jnp.where(is_flipped, jnp.where(is_flipped, alpha, 0) * change, -jnp.inf))

    return map_row_blocks(mix_block, (logits,), rows_per_cached_block(4 * (6 * num_classes + num_anchors), num_rows))
