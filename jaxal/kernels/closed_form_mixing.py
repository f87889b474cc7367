"""Feature mixing in closed form: the smallest unconstrained mix that flips a prediction, by its L2 norm.

Mixing with α moves the lead of ŷ over j by -α·v with v = (w_j - w_ŷ)∘(μ_c - z). The shortest α that brings the lead
D_j = l_ŷ - l_j down to zero points along v: α = D_j·v / ‖v‖², of length D_j / ‖v‖. The box [0, 1]^D is ignored; the
order hardly changes by that.
"""

import jax
import jax.numpy as jnp

from jaxal.kernels.blocks import map_row_blocks
from jaxal.kernels.feature_mixing import Mixing
from jaxal.kernels.taylor import loss_gradient
from jaxal.typing import Array, Bool, Float

__all__ = ["closed_form_mixing"]

# A mean of float32 rows that are all equal may miss them by a few units in the last place; a coordinate where anchor
# and sample differ by no more than that does not differ.
ROUNDING_UNITS = 8


def closed_form_mixing(
    embeddings: Float[Array, "N D"],
    logits: Float[Array, "N C"],
    weight: Float[Array, "D C"],
    anchors: Float[Array, "C D"],
    is_anchor: Bool[Array, " C"],
    *,
    block_size: int,
) -> Mixing:
    """Compute the smallest L2 norm of an unconstrained α that flips each sample's prediction.

    norm_i = min over anchors c and rivals j ≠ ŷ of (l_iŷ - l_ij) / ‖(w_ŷ - w_j)∘(μ_c - z_i)‖₂

    Args:
        embeddings: z.
        logits: l, the head's at z.
        weight: W of the head.
        anchors: μ_c.
        is_anchor: classes that have an anchor; the others are passed over.
        block_size: rows per block; changes memory only.

    Returns:
        norm: +inf where there is no anchor, or where every anchor lies at the sample itself or no class differs from ŷ
        (the denominator is zero). loss_change: Eq. 3, the largest over the anchors of (α_c∘(μ_c - z))·∇ℓ(z) with α_c
        the shortest flipping α of that anchor (of rivals that tie, the lowest class), -inf without one.

    Cost: O(NC²D) arithmetic, elementwise: the differences are squared, not expanded into three products, because two
    classes with nearly the same weights, or a sample close to an anchor, would cancel. Memory: a few block_size×D.

    References: Lin et al., MICCAI 2024, Eq. 1-3; the closed form is ours.
    """
    predicted = jnp.argmax(logits, axis=1).astype(jnp.int32)
    tolerance = ROUNDING_UNITS * float(jnp.finfo(embeddings.dtype).eps)

    def mix_block(z: Array, block_logits: Array, block_predicted: Array) -> Mixing:
        gradient = loss_gradient(block_logits, block_predicted, weight)
        own_weight = weight.T[block_predicted]
        lead = jnp.take_along_axis(block_logits, block_predicted[:, None], axis=1) - block_logits

        def mix_with_anchor(best: Mixing, anchor: tuple[Array, Array]) -> tuple[Mixing, None]:
            center, exists = anchor
            difference = center[None] - z
            is_rounding = jnp.abs(difference) <= tolerance * jnp.maximum(jnp.abs(center)[None], jnp.abs(z))
            difference = jnp.where(is_rounding, 0, difference)

            def mix_towards(shortest: Mixing, rival: tuple[Array, Array, Array]) -> tuple[Mixing, None]:
                label, rival_weight, rival_lead = rival
                gain = (rival_weight[None] - own_weight) * difference
                square = jnp.sum(jnp.square(gain), axis=1)
                is_reachable = exists & (label != block_predicted) & (square > 0)
                length = jnp.sqrt(jnp.where(is_reachable, square, 1))
                norm = jnp.where(is_reachable, rival_lead / length, jnp.inf)
                change = rival_lead / length * (jnp.sum(gain * difference * gradient, axis=1) / length)
                is_shorter = norm < shortest.norm
                return Mixing(
                    norm=jnp.where(is_shorter, norm, shortest.norm),
                    loss_change=jnp.where(is_shorter, change, shortest.loss_change),
                ), None

            shortest, _ = jax.lax.scan(mix_towards, none_yet, (labels, weight.T, lead.T))
            return Mixing(
                norm=jnp.minimum(best.norm, shortest.norm),
                loss_change=jnp.maximum(best.loss_change, shortest.loss_change),
            ), None

        none_yet = Mixing(
            norm=jnp.full(z.shape[0], jnp.inf, z.dtype), loss_change=jnp.full(z.shape[0], -jnp.inf, z.dtype)
        )
        best, _ = jax.lax.scan(mix_with_anchor, none_yet, (anchors, is_anchor))
        return best

    labels = jnp.arange(weight.shape[1], dtype=jnp.int32)
    return map_row_blocks(mix_block, (embeddings, logits, predicted), block_size)
