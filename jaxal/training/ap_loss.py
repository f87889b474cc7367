"""AP-loss: one minus the interpolated average precision of a batch, whose gradient is the error of its ranking."""

import functools

import jax
import jax.numpy as jnp

from jaxal.typing import Array, Bool, Float, Int32

__all__ = ["ap_loss", "ranking_errors"]


def ap_loss(logits: Float[Array, "B C"], labels: Int32[Array, " B"], labeled, *, delta: float) -> Float[Array, ""]:
    """Average the AP-loss of classes against the rest, each ranked by its log-odds l_c - logsumexp of the others.

    With two classes it is that of the one with fewer labels (of equal ones class 1); with more, of every class that the
    batch holds together with others. Nothing to rank, as in a batch of one class: loss and gradient are zero.

    Args:
        logits: of the batch.
        labels: of the batch.
        labeled: its class_counts decide which class is the rarer of two.
        delta: half of the width of the slope of a comparison, in logits.

    References:
        Chen et al., CVPR 2019, Sections 3.2 to 3.4.

    Cost: O(C·B²).
    """
    num_classes = logits.shape[1]
    classes = jnp.arange(num_classes)
    is_class = labels[:, None] == classes[None]
    others = jax.vmap(lambda c: jax.nn.logsumexp(jnp.where(classes[None] == c, -jnp.inf, logits), axis=1), out_axes=1)
    scores = logits - others(classes)
    losses = jax.vmap(functools.partial(_class_loss, delta), in_axes=1)(scores, is_class)
    counts = labeled.class_counts
    is_rarer = classes == (counts[1] <= counts[0]).astype(jnp.int32)
    is_ranked = jnp.any(is_class, axis=0) & ~jnp.all(is_class, axis=0)
    is_counted = is_ranked & (is_rarer | (num_classes > 2))
    return jnp.sum(jnp.where(is_counted, losses, 0.0)) / jnp.maximum(jnp.sum(is_counted), 1)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _class_loss(delta: float, scores: Float[Array, " B"], is_positive: Bool[Array, " B"]) -> Float[Array, ""]:
    return ranking_errors(scores, is_positive, delta)[0]


def _forward(delta: float, scores: Array, is_positive: Array) -> tuple[Array, Array]:
    return ranking_errors(scores, is_positive, delta)


def _backward(delta: float, errors: Array, cotangent: Array) -> tuple[Array, None]:
    return cotangent * errors, None


_class_loss.defvjp(_forward, _backward)


def ranking_errors(
    scores: Float[Array, " B"], is_positive: Bool[Array, " B"], delta: float
) -> tuple[Float[Array, ""], Float[Array, " B"]]:
    """Compute 1 - interpolated average precision, and the error of each sample, which takes the gradient's place.

    H(x) = clip(x / 2δ + ½, 0, 1) with x = s_j - s_i makes the step of "j ranks above i" a slope. For positive i and
    negative j, L_ij = H_ij / (1 + Σ_{k ≠ i} H_ik): the share of i's precision that j takes. The error of i is
    -Σ_j L_ij / |P|, of j Σ_i L_ij / |P|: positives go up and negatives down. Interpolation: where a positive with a
    lower score has the higher precision P, L_i· is scaled so that its precision becomes P.

    Args:
        scores: larger ranks higher.
        is_positive: of each sample.
        delta: half of the width of the slope.

    Returns:
        (loss in [0, 1], errors [B], which add up to zero); both zero without a positive.
    """
    above = jnp.clip((scores[None] - scores[:, None]) / (2 * delta) + 0.5, 0, 1)  # [i, j]: j above i
    above = jnp.where(is_positive[:, None], above, 0.0)
    from_negatives = jnp.where(is_positive[None], 0.0, above)
    # A positive counts itself as one; H(0) = ½ of its own comparison is in the sum already.
    positives = jnp.sum(jnp.where(is_positive[None], above, 0.0), axis=1) + 0.5
    negatives = jnp.sum(from_negatives, axis=1)
    precision = positives / (positives + negatives)
    order = jnp.argsort(jnp.where(is_positive, scores, jnp.inf), stable=True)
    best_in_order = jax.lax.cummax(jnp.where(is_positive, precision, 0.0)[order])
    best = jnp.zeros_like(scores).at[order].set(best_in_order)
    missing = jnp.where(precision < 1, 1 - precision, 1.0)
    shares = from_negatives / (positives + negatives)[:, None] * ((1 - best) / missing)[:, None]
    num_positive = jnp.maximum(jnp.sum(is_positive), 1)
    errors = (jnp.sum(shares, axis=0) - jnp.sum(shares, axis=1)) / num_positive
    loss = jnp.sum(jnp.where(is_positive, 1 - best, 0.0)) / num_positive
    return loss, errors
