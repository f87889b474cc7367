"""Losses on logits [B, C] and integer labels [B], averaged over the batch."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from jaxal.typing import Array, Float, Int32

__all__ = ["LOSSES", "LossFn", "binary_cross_entropy", "cross_entropy"]

LossFn = Callable[[Array, Array], Array]


def cross_entropy(logits: Float[Array, "B C"], labels: Int32[Array, " B"]) -> Float[Array, ""]:
    """Average -log softmax(logits)[label], in nats."""
    return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, labels))


def binary_cross_entropy(logits: Float[Array, "B 2"], labels: Int32[Array, " B"]) -> Float[Array, ""]:
    """Average softplus(∓(l₁ - l₀)): BCE on the one logit l₁ - l₀, the same function as cross-entropy on two."""
    difference = logits[:, 1] - logits[:, 0]
    return jnp.mean(jax.nn.softplus(jnp.where(labels == 1, -difference, difference)))


LOSSES: dict[str, LossFn] = {"cross_entropy": cross_entropy, "bce": binary_cross_entropy}
