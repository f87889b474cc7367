"""ALFA-Mix's closed form on a linear head, as one ray test for all anchors and all caps.

The closed form α = ε‖μ_c - z‖·(∇/‖∇‖) ⊘ (μ_c - z) moves the embedding by α∘(μ_c - z) = ε‖μ_c - z‖·ĝ: always along the
same ray ĝ = ∇/‖∇‖, the anchor and the cap only say how far. So a sample flips under a cap exactly when the first flip
along its ray lies within ε times the distance to its farthest anchor.
"""

import jax
import jax.numpy as jnp

from jaxal.kernels.blocks import map_row_blocks
from jaxal.kernels.distances import squared_distances
from jaxal.kernels.feature_mixing import flip_fraction
from jaxal.kernels.taylor import relative_loss_gradient
from jaxal.typing import Array, Bool, Float, Int32

__all__ = ["candidate_cap", "flipping_cap"]


def flipping_cap(
    embeddings: Float[Array, "N D"],
    logits: Float[Array, "N C"],
    weight: Float[Array, "D C"],
    anchors: Float[Array, "C D"],
    is_anchor: Bool[Array, " C"],
    *,
    block_size: int,
) -> Float[Array, " N"]:
    """Find the smallest cap on α at which the closed-form mix with some anchor flips each sample's prediction.

    cap_i = √D·t_i / max_c ‖μ_c - z_i‖ with t_i = min over j with (w_j - w_ŷ)·ĝ > 0 of (l_ŷ - l_j) / ((w_j - w_ŷ)·ĝ),
    from ε = cap/√D and flips where t_i ≤ ε·max_c ‖μ_c - z_i‖.

    Args:
        embeddings: z.
        logits: l, the head's at z.
        weight: W of the head.
        anchors: μ_c.
        is_anchor: anchors that exist.
        block_size: rows per block; changes memory and time only.

    Returns:
        The cap, from 0 (two classes tie) to beyond 1; +inf without an anchor, where no class gains along the ray, and
        where every anchor lies at the sample itself.

    Cost: O(NCD).

    References: Parvaneh et al., CVPR 2022, for the closed form; the ray is ours.
    """
    predicted = jnp.argmax(logits, axis=1).astype(jnp.int32)
    # Only differences between classes count; an offset that all of them share would cost digits.
    offsets = weight - weight[:, :1]

    def cap_block(z: Array, block_logits: Array, block_predicted: Array) -> Array:
        gradient = relative_loss_gradient(block_logits, block_predicted, weight)
        length = jnp.linalg.norm(gradient, axis=1, keepdims=True)
        ray = gradient / jnp.where(length > 0, length, 1)
        flip = flip_fraction(block_logits, jnp.matmul(ray, offsets, precision="highest"), block_predicted)

        def farther(square: Array, anchor: tuple[Array, Array]) -> tuple[Array, None]:
            center, exists = anchor
            return jnp.maximum(square, jnp.where(exists, squared_distances(z, center), 0)), None

        farthest, _ = jax.lax.scan(farther, jnp.zeros(z.shape[0], z.dtype), (anchors, is_anchor))
        reach = jnp.sqrt(farthest / z.shape[1])
        # A tie of two classes flips at once, even with an anchor at the sample itself: 0 ≤ 0.
        cap = jnp.where(flip > 0, jnp.where(reach > 0, flip / jnp.where(reach > 0, reach, 1), jnp.inf), 0)
        return jnp.where(jnp.any(is_anchor), cap, jnp.inf)

    return map_row_blocks(cap_block, (embeddings, logits, predicted), block_size)


def candidate_cap(
    caps: Float[Array, " N"], is_selectable: Bool[Array, " N"], num_wanted: Int32[Array, ""], cap_step: float
) -> Float[Array, ""]:
    """Grow the cap by cap_step, to 1 at most, until more selectable samples than wanted flip.

    The caps tried are cap_step, 2·cap_step, …, and 1 as the last one.

    Args:
        caps: each sample's smallest flipping cap.
        is_selectable: rows that may be picked.
        num_wanted: how many are to be picked; strictly more are to flip.
        cap_step: in (0, 1].

    Cost: one sort of N; no loop over caps, however fine.
    """
    ascending = jnp.sort(jnp.where(is_selectable, caps, jnp.inf))
    least = ascending.at[num_wanted].get(mode="fill", fill_value=jnp.inf)
    least = jnp.where(least <= 1, least, 1)
    steps = jnp.maximum(jnp.ceil(least / cap_step), 1)
    # The division may round to either side of a whole number.
    steps = jnp.where((steps > 1) & ((steps - 1) * cap_step >= least), steps - 1, steps)
    steps = jnp.where(steps * cap_step < least, steps + 1, steps)
    return jnp.minimum(steps * cap_step, 1)
