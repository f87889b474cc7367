"""Scores set right for a skewed labeled set, without training anew."""

import jax.numpy as jnp

from jaxal.typing import Array, Float, Int32

__all__ = ["thresholded"]


def thresholded(logits: Float[Array, "N C"], class_counts: Int32[Array, " C"]) -> Float[Array, "N C"]:
    """Divide softmax probabilities by the classes' shares of the labels; in logits, l_c - log(n_c / L).

    Renormalized by whoever takes a softmax of the result. Decision values of a classifier that is no probability model
    are read as logits: it is the probabilities that are divided, since dividing signed values would turn them around.
    A class without labels has no share, and its probability stays undivided.

    Args:
        logits: unnormalized log-probabilities.
        class_counts: labels of each class that trained, n_c.

    References:
        Buda, Maki, Mazurowski, Neural Networks 2018, as used by Aggarwal, Popescu, Hudelot, WACV 2020.
    """
    num_labeled = jnp.maximum(jnp.sum(class_counts), 1)
    shares = jnp.where(class_counts > 0, class_counts, num_labeled) / num_labeled
    return logits - jnp.log(shares)[None].astype(logits.dtype)
