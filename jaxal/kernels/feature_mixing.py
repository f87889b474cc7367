"""Automatic feature mixing: how small a learned mix with a class anchor flips the prediction (CB-DAL Eq. 1-4).

Mixing z_a = α∘μ_c + (1 - α)∘z moves the embedding by α∘d with d = μ_c - z, and a linear head's logits by (α∘d)W. All
below is arithmetic on those two; nothing of size N×C×D is held: rows go by blocks, anchors one after the other.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxal.kernels.blocks import map_row_blocks
from jaxal.kernels.mixing_start import initial_alpha
from jaxal.kernels.taylor import relative_loss_gradient, relative_residual, taylor_loss_change
from jaxal.typing import Array, Bool, Float, Int32, PRNGKey

__all__ = ["Mixing", "anchor_difference", "flip_fraction", "mix_features"]

# A mean of float32 rows that are all equal may miss them by a few units in the last place; a coordinate where anchor
# and sample differ by no more than that does not differ.
ROUNDING_UNITS = 8


class Mixing(NamedTuple):
    """What mixing tells of each row: shape [N] each."""

    norm: Array  # smallest t·mean|α| at which a mix flips the prediction; +inf where none does
    # Largest first-order loss change over the anchors at the final α (Eq. 3), divided by 1 - p_ŷ, the same for all
    # anchors: of a saturated prediction the change itself is 0 in float32. -inf without anchor.
    relative_change: Array


def anchor_difference(center: Float[Array, " D"], embeddings: Float[Array, "N D"]) -> Float[Array, "N D"]:
    """Compute d = μ_c - z, exactly 0 where the two differ by rounding alone: else its sign would move α."""
    difference = center[None] - embeddings
    tolerance = ROUNDING_UNITS * float(jnp.finfo(embeddings.dtype).eps)
    is_rounding = jnp.abs(difference) <= tolerance * jnp.maximum(jnp.abs(center)[None], jnp.abs(embeddings))
    return jnp.where(is_rounding, 0, difference)


def flip_fraction(
    logits: Float[Array, "N C"], logit_shift: Float[Array, "N C"], predicted: Int32[Array, " N"]
) -> Float[Array, " N"]:
    """Find how far along a shift of the logits the prediction first changes.

    t = min over j ≠ ŷ with g_j > 0 of (l_ŷ - l_j) / g_j, where g_j = shift_j - shift_ŷ; +inf when no class gains on ŷ.
    A flip happens within the shift exactly when t ≤ 1.

    Args:
        logits: l at the start.
        logit_shift: what the whole shift adds to them.
        predicted: ŷ = argmax l.
    """
    lead = jnp.take_along_axis(logits, predicted[:, None], axis=1) - logits
    gain = logit_shift - jnp.take_along_axis(logit_shift, predicted[:, None], axis=1)
    # ŷ itself is left out by name: where the compiler fuses product and subtraction, its gain is not exactly 0.
    can_win = (gain > 0) & (jnp.arange(logits.shape[1], dtype=jnp.int32)[None] != predicted[:, None])
    return jnp.min(jnp.where(can_win, lead / jnp.where(can_win, gain, 1), jnp.inf), axis=1)


def mix_features(
    key: PRNGKey,
    embeddings: Float[Array, "N D"],
    sample_ids: Int32[Array, " N"],
    logits: Float[Array, "N C"],
    weight: Float[Array, "D C"],
    anchors: Float[Array, "C D"],
    is_anchor: Bool[Array, " C"],
    *,
    alpha_init: str,
    num_steps: int,
    step_size: float,
    penalty_weight: float,
    block_size: int,
) -> Mixing:
    """Learn the mixing α of every sample with every anchor, and score the smallest mix that flips its prediction.

    From α₀, num_steps steps of α ← clip(α - step_size·sign(∂L/∂α), 0, 1) on L = 1 - CE(head(z_a), ŷ) + λ·mean|α|
    (Eq. 1 and 4; ŷ for the paper's undefined y*), with dCE/dα = d∘(W(softmax(head(z_a)) - onehot ŷ)) renewed each step.
    The penalty's derivative is λ/D, at α = 0 too, where only growth is possible. The sign is taken of ∂L/∂α over
    1 - p_ŷ, which does not vanish where the softmax saturates. What is within num_steps roundings of 0 or 1 is there.
    norm_i = min over anchors and iterates (α₀ included) with t ≤ 1 of t·mean|α|, t from `flip_fraction`.

    Args:
        key: the query's key; unused with alpha_init = "half".
        embeddings: z.
        sample_ids: stable ids, for the noise.
        logits: the head's at z.
        weight: W of the head.
        anchors: μ_c.
        is_anchor: classes that have an anchor; the others are passed over.
        alpha_init: "normal" or "half".
        num_steps: gradient steps, 0 or more.
        step_size: of α, in (0, 1].
        penalty_weight: λ, 0 or more.
        block_size: rows per block; changes memory and time only.

    Cost: O(N·C·D·(num_steps + 1)) multiply-adds for each of the C logits, over the classes that have an anchor; memory
    of a few block_size×D arrays.

    References: Lin et al., MICCAI 2024, Eq. 1-4; Parvaneh et al., CVPR 2022, for the pseudo-label and fresh steps.
    """
    width = embeddings.shape[1]
    predicted = jnp.argmax(logits, axis=1).astype(jnp.int32)
    # Only differences between classes count, here to class 0; an offset that all of them share would cost digits.
    offsets = weight[:, 1:] - weight[:, :1]
    near_bound = num_steps * float(jnp.finfo(embeddings.dtype).eps)

    def mix_block(z: Array, ids: Array, block_logits: Array, block_predicted: Array) -> Mixing:
        gradient_at_z = relative_loss_gradient(block_logits, block_predicted, weight)

        def mix_with_anchor(best: Mixing, anchor: tuple[Array, Array]) -> Mixing:
            label, center = anchor
            difference = anchor_difference(center, z)

            def score(alpha: Array, norm: Array) -> tuple[Array, Array]:
                shift = jnp.pad(_of_each_row(alpha * difference, offsets), ((0, 0), (1, 0)))
                fraction = flip_fraction(block_logits, shift, block_predicted)
                candidate = jnp.where(fraction <= 1, fraction * jnp.mean(alpha, axis=1), jnp.inf)
                return shift, jnp.minimum(norm, candidate)

            def step(_: Array, carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
                alpha, shift, norm = carry
                residual = relative_residual(block_logits + shift, block_predicted)
                # 0·inf is not 0; an infinite penalty outweighs any loss.
                penalty = penalty_weight / width * residual.inverse_error[:, None] if penalty_weight else 0
                loss_slope = difference * jnp.matmul(residual.direction[:, 1:], offsets.T, precision="highest")
                alpha = alpha - step_size * jnp.sign(penalty - loss_slope)
                alpha = jnp.where(alpha <= near_bound, 0, jnp.where(alpha >= 1 - near_bound, 1, alpha))
                return alpha, *score(alpha, norm)

            alpha = initial_alpha(key, ids, label, z, alpha_init)
            shift, norm = score(alpha, jnp.full_like(best.norm, jnp.inf))
            alpha, _, norm = jax.lax.fori_loop(0, num_steps, step, (alpha, shift, norm))
            change = taylor_loss_change(alpha * difference, gradient_at_z)
            return Mixing(jnp.minimum(best.norm, norm), jnp.maximum(best.relative_change, change))

        def pass_anchor(best: Mixing, anchor: tuple[Array, Array, Array]) -> tuple[Mixing, None]:
            label, center, exists = anchor
            return jax.lax.cond(exists, mix_with_anchor, lambda best, _: best, best, (label, center)), None

        infinite = jnp.full_like(z, jnp.inf, shape=z.shape[:1])
        labels = jnp.arange(anchors.shape[0], dtype=jnp.int32)
        best, _ = jax.lax.scan(pass_anchor, Mixing(infinite, -infinite), (labels, anchors, is_anchor))
        return best

    return map_row_blocks(mix_block, (embeddings, sample_ids, logits, predicted), block_size)


def _of_each_row(rows: Array, columns: Array) -> Array:
    """Multiply rows [B, D] with columns [D, K], equal rows to equal products wherever they lie.

    A single column is summed row by row: XLA's product of a matrix and a vector on a CPU adds up the last rows of a
    block in another order than those before, and ties would be lost.
    """
    if columns.shape[1] == 1:
        return jnp.sum(rows * columns[:, 0][None], axis=1, keepdims=True)
    return jnp.matmul(rows, columns, precision="highest")
