"""Feature mixing in closed form: the smallest unconstrained mix that flips a prediction, by its L2 norm.

Mixing with α moves the lead of ŷ over j by -α·v with v = (w_j - w_ŷ)∘(μ_c - z). The shortest α that brings the lead
D_j = l_ŷ - l_j down to zero points along v: α = D_j·v / ‖v‖², of length D_j / ‖v‖. The box [0, 1]^D is ignored; the
order hardly changes by that.
"""

import jax
import jax.numpy as jnp

from jaxal.kernels.blocks import map_row_blocks
from jaxal.kernels.feature_mixing import Mixing, anchor_difference
from jaxal.kernels.pool_mesh import on_own_rows, take
from jaxal.kernels.taylor import relative_loss_gradient
from jaxal.typing import Array, Bool, Float

__all__ = ["closed_form_mixing"]


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
        block_size: rows per block; changes memory and time only.

    Returns:
        norm: +inf where there is no anchor, or where every anchor lies at the sample itself or no class differs from ŷ
        (the denominator is zero). relative_change: Eq. 3, the largest over the anchors of (α_c∘(μ_c - z))·∇ℓ(z) with
        α_c the shortest flipping α of that anchor (of rivals that tie, the lowest class), over 1 - p_ŷ; -inf without
        one.

    Cost: O(NC²D) multiply-adds as products of matrices. The square of the denominator is Σ (w_ŷ - w_j)²·(μ_c - z)², a
    product of what depends on the class ŷ alone and on the sample alone, and a sum without cancellation. So rows are
    taken in the order of ŷ, and a block has a product for each class predicted in it. Memory: a few block_size×D, and a
    few arrays [N].

    References: Lin et al., MICCAI 2024, Eq. 1-3; the closed form is ours.
    """
    num_classes = weight.shape[1]
    classes = jnp.arange(num_classes, dtype=jnp.int32)

    def mix_block(z: Array, block_logits: Array, block_predicted: Array) -> Mixing:
        gradient = relative_loss_gradient(block_logits, block_predicted, weight)
        lead = jnp.max(block_logits, axis=1, keepdims=True) - block_logits
        is_rival = classes[None] != block_predicted[:, None]

        def mix_with_anchor(best: Mixing, center: Array) -> Mixing:
            difference = anchor_difference(center, z)
            square = jnp.square(difference)

            def measure(label: Array, lengths: Array) -> Array:
                gaps = jnp.square(weight - jax.lax.dynamic_index_in_dim(weight, label, axis=1))
                measured = jnp.matmul(square, gaps, precision="highest")
                return jnp.where(block_predicted[:, None] == label, measured, lengths)

            first, last = jnp.min(block_predicted), jnp.max(block_predicted)
            lengths = jnp.sqrt(jax.lax.fori_loop(first, last + 1, measure, jnp.zeros_like(lead)))
            is_reachable = is_rival & (lengths > 0)
            norms = jnp.where(is_reachable, lead / jnp.where(is_reachable, lengths, 1), jnp.inf)
            rival = jnp.argmin(norms, axis=1)
            norm, length = (jnp.take_along_axis(each, rival[:, None], axis=1)[:, 0] for each in (norms, lengths))
            toward = take(weight.T, rival) - take(weight.T, block_predicted)
            gain = jnp.sum(toward * square * gradient, axis=1)
            is_flipped = jnp.isfinite(norm)
            change = jnp.where(is_flipped, norm, 0) * (gain / jnp.where(is_flipped, length, 1))
            return Mixing(
                norm=jnp.minimum(best.norm, norm),
                relative_change=jnp.maximum(best.relative_change, jnp.where(is_flipped, change, -jnp.inf)),
            )

        def pass_anchor(best: Mixing, anchor: tuple[Array, Array]) -> tuple[Mixing, None]:
            center, exists = anchor
            return jax.lax.cond(exists, mix_with_anchor, lambda best, _: best, best, center), None

        infinite = jnp.full_like(z, jnp.inf, shape=z.shape[:1])
        return jax.lax.scan(pass_anchor, Mixing(infinite, -infinite), (anchors, is_anchor))[0]

    def mix_rows(embeddings: Array, logits: Array) -> Mixing:
        predicted = jnp.argmax(logits, axis=1).astype(jnp.int32)
        order = jnp.argsort(predicted, stable=True).astype(jnp.int32)

        def mix_ordered(rows: Array) -> Mixing:
            block = (array.at[rows].get(mode="promise_in_bounds") for array in (embeddings, logits, predicted))
            return mix_block(*block)

        mixing = map_row_blocks(mix_ordered, (order,), block_size)
        return jax.tree.map(lambda values: jnp.zeros_like(values).at[order].set(values), mixing)

    return on_own_rows(mix_rows, embeddings, logits)
