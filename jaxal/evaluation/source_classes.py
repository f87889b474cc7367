"""How a source model spreads the pool over its own classes."""

import jax.numpy as jnp
import numpy as np

from jaxal.errors import InputError
from jaxal.typing import Array, Float

__all__ = ["source_class_shares"]


def source_class_shares(source_logits: Float[Array, "N S"] | Float[np.ndarray, "N S"]) -> np.ndarray:
    """Computes the share of the images that each class of the source model is predicted for, largest first.

    A prediction is the largest logit, ties to the lowest class.

    Args:
      source_logits: finite, N ≥ 1; on the device or not.

    Returns:
      float64 [S], descending, of sum 1; 0 for classes that are predicted for no image.

    Raises:
      InputError: no images.

    Cost: one pass over N·S, of which N class numbers leave the device.

    References:
      Aggarwal, Popescu, Hudelot, WACV 2020, Fig. 1.

    >>> source_class_shares(np.array([[0.0, 2.0, 1.0], [1.0, 1.0, 0.0], [0.0, 3.0, 0.0], [0.0, 1.0, 0.0]])).tolist()
    [0.75, 0.25, 0.0]
    """
    num_images, num_classes = source_logits.shape
    if num_images == 0:
        raise InputError("source_logits: no images; shares need at least one")
    predicted = np.asarray(jnp.argmax(jnp.asarray(source_logits), axis=1))
    return np.sort(np.bincount(predicted, minlength=num_classes))[::-1] / num_images
