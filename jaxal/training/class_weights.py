"""What each class counts in a loss, from how many labels it has; a class without labels counts nothing."""

import jax.numpy as jnp

from jaxal.typing import Array, Float, Int32

__all__ = ["effective_number_weights", "inverse_frequency_weights"]


def inverse_frequency_weights(class_counts: Int32[Array, " C"]) -> Float[Array, " C"]:
    """Weight each class by 1 / n_c, scaled so that a labeled sample weighs 1 on average; 0 where n_c = 0.

    w_c = L / (C₊·n_c) with L labels of C₊ classes.
    """
    return _mean_one(jnp.where(class_counts > 0, 1 / jnp.maximum(class_counts, 1), 0.0), class_counts)


def effective_number_weights(class_counts: Int32[Array, " C"], beta: float) -> Float[Array, " C"]:
    """Weight each class by the inverse of its effective number, (1 - β) / (1 - βⁿ), scaled as 1 / n_c is.

    beta = 0 weighs all classes alike, beta → 1 approaches 1 / n_c.

    Args:
        class_counts: labels of each class, n_c.
        beta: in [0, 1).

    References:
        Cui et al., CVPR 2019, Eq. 4.
    """
    # 1 - βⁿ without cancellation where β is close to 1 and n is small.
    share_new = -jnp.expm1(class_counts * jnp.log(jnp.float32(beta))) if beta > 0 else jnp.ones(class_counts.shape)
    weights = jnp.where(class_counts > 0, (1 - beta) / jnp.where(class_counts > 0, share_new, 1.0), 0.0)
    return _mean_one(weights, class_counts)


def _mean_one(weights: Float[Array, " C"], class_counts: Int32[Array, " C"]) -> Float[Array, " C"]:
    total = jnp.sum(weights * class_counts)
    return weights * jnp.sum(class_counts) / jnp.where(total > 0, total, 1.0)
