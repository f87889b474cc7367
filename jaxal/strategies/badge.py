"""BADGE: k-means++ over the gradients of the last layer (Ash et al., ICLR 2020)."""

import functools

import jax.numpy as jnp

from jaxal.config.strategies import BADGEConfig
from jaxal.kernels.gradient_embeddings import BLIND, sample_gradients, scaled_residual
from jaxal.pool import Query, is_selectable
from jaxal.strategies.strategy import AcquisitionInfo, AcquisitionInputs, Strategy, needed, num_to_pick, stateless
from jaxal.typing import PRNGKey

__all__ = ["badge"]

# In the order of the kernel's LARGEST, DISTANT, BLIND.
REASONS = ("largest_gradient", "gradient_distance", "random")


@functools.cache
def badge(config: BADGEConfig, *, num_classes: int) -> Strategy:
    """Choose gradients that are large and far from each other: the largest first, then by D² sampling.

    The gradient is that of the cross-entropy against the predicted class by the last layer's weight (not its bias, as
    in the authors' code): g = (p - onehot ŷ) ⊗ z. Only unlabeled samples take part: labeled ones are no centers, nor is
    the origin. The first pick goes by ‖g‖, ties to the lowest row; the others are drawn by seed and sample id.

    The score is the distance ‖g - g'‖ to the nearest gradient chosen before, for the first pick its norm ‖g‖. Once
    every gradient left is zero or a duplicate of a chosen one, the rest is drawn uniformly: without score, with the
    reason "random", and counted in num_fallback. A gradient counts as zero where no probability but the predicted
    class's is a float32 number (logits more than some 87 apart).

    References: Ash, Zhang, Krishnamurthy, Langford, Agarwal, ICLR 2020, Algorithm 1.
    """

    def acquire(
        key: PRNGKey, state: tuple[()], inputs: AcquisitionInputs, query_size: int
    ) -> tuple[Query, tuple[()], AcquisitionInfo]:
        selectable = is_selectable(inputs.pool)
        residual, scale = scaled_residual(needed(inputs.logits, "logits"), selectable)
        indices, distances, how = sample_gradients(
            key, residual, inputs.embeddings, inputs.sample_ids, selectable, num_to_pick(inputs, query_size), query_size
        )
        info = AcquisitionInfo(
            score=distances * scale,
            reason=how,
            num_fallback=jnp.sum(how == BLIND, dtype=jnp.int32),
        )
        return Query(indices, indices < inputs.sample_ids.shape[0]), state, info

    return Strategy("badge", frozenset({"logits"}), REASONS, stateless, acquire)
