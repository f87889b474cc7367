"""Scores corrected for the share of each class in the labeled set."""

import jax
import jax.numpy as jnp

from jaxal.typing import Array, Float, Int32

__all__ = ["FLOOR", "thresholded"]

# What a class without labels is given: far below log p of any class that is ever predicted, and with finite sums.
FLOOR = -1e4


@jax.jit
def thresholded(logits: Float[Array, "N C"], class_counts: Int32[Array, " C"]) -> Float[Array, "N C"]:
    """Divide class probabilities by the labeled set's priors, in logarithms: log softmax(l)_c - log(n_c / Σn).

    It is probabilities that are divided, never the scores themselves: a negative score divided by a small prior would
    fall, and the rarest class would be predicted least. With two labeled classes every row's log-odds move by one
    constant: the ranking stays, the prediction may change.

    Args:
        logits: of any model, as finite decision values.
        class_counts: labels of each class that trained it, n_c. A class without any cannot be predicted: it has no
            part in the softmax, and gets FLOOR.

    Returns:
        Logits again, finite; their softmax is p_c / prior_c, normalized. All FLOOR where there is no label at all.

    References:
        Aggarwal et al., WACV 2020; Buda et al., Neural Networks 2018.
    """
    is_known = (class_counts > 0)[None]
    priors = class_counts / jnp.maximum(jnp.sum(class_counts), 1)
    log_p = jax.nn.log_softmax(jnp.where(is_known, logits, -jnp.inf), axis=1)
    return jnp.where(is_known, log_p - jnp.log(priors)[None], FLOOR)
