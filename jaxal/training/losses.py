"""Losses on logits [B, C] and integer labels [B], averaged over the batch, by what is known of the labeled set."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxal.config.losses import (
    APLossConfig,
    BCEConfig,
    CrossEntropyConfig,
    FocalConfig,
    LDAMConfig,
    LossConfig,
    WeightedCrossEntropyConfig,
)
from jaxal.training.ap_loss import ap_loss
from jaxal.training.class_weights import effective_number_weights, inverse_frequency_weights
from jaxal.typing import Array, Float, Int32

__all__ = [
    "LabeledSet",
    "LossFn",
    "binary_cross_entropy",
    "cross_entropy",
    "focal",
    "ldam",
    "make_loss",
    "weighted_cross_entropy",
]


class LabeledSet(NamedTuple):
    """What a loss may know beyond its batch."""

    class_counts: Int32[Array, " C"]  # labels of each class that train, n_c; 0 for one that was not found yet
    progress: Float[Array, ""]  # share of the fit's steps that are done, in [0, 1)


LossFn = Callable[[Array, Array, LabeledSet], Array]


@functools.cache
def make_loss(config: LossConfig) -> LossFn:
    """Make the loss of a config: (logits [B, C], labels [B], labeled) -> scalar; the same config gives the same one."""
    match config:
        case CrossEntropyConfig():
            return cross_entropy
        case BCEConfig():
            return binary_cross_entropy
        case WeightedCrossEntropyConfig():
            return weighted_cross_entropy
        case FocalConfig():
            return functools.partial(focal, gamma=config.gamma)
        case LDAMConfig():
            return functools.partial(ldam, config=config)
        case APLossConfig():
            return functools.partial(ap_loss, delta=config.delta)


def cross_entropy(
    logits: Float[Array, "B C"], labels: Int32[Array, " B"], labeled: LabeledSet | None = None
) -> Float[Array, ""]:
    """Average -log softmax(logits)[label], in nats."""
    return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, labels))


def binary_cross_entropy(
    logits: Float[Array, "B 2"], labels: Int32[Array, " B"], labeled: LabeledSet | None = None
) -> Float[Array, ""]:
    """Average softplus(∓(l₁ - l₀)): BCE on the one logit l₁ - l₀, the same function as cross-entropy on two."""
    difference = logits[:, 1] - logits[:, 0]
    return jnp.mean(jax.nn.softplus(jnp.where(labels == 1, -difference, difference)))


def weighted_cross_entropy(
    logits: Float[Array, "B C"], labels: Int32[Array, " B"], labeled: LabeledSet
) -> Float[Array, ""]:
    """Average cross-entropy with weights ∝ 1 / n_c, divided by the sum of the batch's weights (as PyTorch does)."""
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    return _weighted_mean(losses, inverse_frequency_weights(labeled.class_counts)[labels])


def focal(
    logits: Float[Array, "B C"], labels: Int32[Array, " B"], labeled: LabeledSet | None = None, *, gamma: float
) -> Float[Array, ""]:
    """Average -(1 - p)^γ·log p, p the softmax probability of the label; gradients are finite also where p = 1.

    References:
        Lin et al., ICCV 2017, Eq. 4, over all classes of the softmax.
    """
    log_p = -optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    # (1 - p)^γ by its logarithm: the power of 0 has no gradient where γ < 1, and 1 - p of p near 1 no digits.
    miss = jnp.maximum(-jnp.expm1(log_p), jnp.finfo(jnp.float32).tiny)
    return -jnp.mean(jnp.exp(gamma * jnp.log(miss)) * log_p)


def ldam(
    logits: Float[Array, "B C"], labels: Int32[Array, " B"], labeled: LabeledSet, *, config: LDAMConfig
) -> Float[Array, ""]:
    """Average cross-entropy of s·cos θ with the label's cosine lowered by its margin, reweighted late in the schedule.

    Δ_c = max_margin·(n_min / n_c)^¼ over classes with labels; a class without any has none (it is no sample's label).
    From progress `reweight_from` on classes are weighted by their effective number, and the sum is divided by the
    batch's weights.

    Args:
        logits: s·cos θ, of a model whose last layer is normalized (`normalized_head`).
        labels: of the batch.
        labeled: counts and progress.
        config: of the loss.

    References:
        Cao et al., NeurIPS 2019, Eq. 10 and 13, Algorithm 1.
    """
    counts = labeled.class_counts
    is_known = counts > 0
    rarest = jnp.min(jnp.where(is_known, counts, jnp.iinfo(jnp.int32).max))
    margins = jnp.where(is_known, config.max_margin * (rarest / jnp.maximum(counts, 1)) ** 0.25, 0.0)
    is_label = jnp.arange(logits.shape[1])[None] == labels[:, None]
    lowered = logits - jnp.where(is_label, config.scale * margins[None], 0.0)
    losses = optax.softmax_cross_entropy_with_integer_labels(lowered, labels)
    weights = effective_number_weights(counts, config.beta)[labels]
    return _weighted_mean(losses, jnp.where(labeled.progress >= config.reweight_from, weights, 1.0))


def _weighted_mean(losses: Float[Array, " B"], weights: Float[Array, " B"]) -> Float[Array, ""]:
    total = jnp.sum(weights)
    return jnp.sum(weights * losses) / jnp.where(total > 0, total, 1.0)
