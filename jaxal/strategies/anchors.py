"""The anchors of feature mixing: where each class stands among the labeled samples."""

from typing import Literal

import jax.numpy as jnp

from jaxal.kernels.centroids import class_centroids
from jaxal.strategies.strategy import AcquisitionInputs
from jaxal.typing import Array, Bool, Float

__all__ = ["class_anchors"]


def class_anchors(
    inputs: AcquisitionInputs, num_classes: int, missing_anchor: Literal["skip", "global_mean"]
) -> tuple[Float[Array, "C D"], Bool[Array, " C"]]:
    """Return the mean embedding μ_c of each class's labeled samples, and which classes have an anchor.

    Args:
        inputs: the pool and its embeddings.
        num_classes: C.
        missing_anchor: a class without labels has none ("skip"), or the mean of all labeled samples ("global_mean").
            Where nothing at all is labeled there is no anchor either way.
    """
    centroids, counts = class_centroids(inputs.embeddings, inputs.pool.labels, num_classes=num_classes)
    if missing_anchor == "skip":
        return centroids, counts > 0
    any_label = jnp.where(inputs.pool.labels >= 0, 0, -1)
    overall, num_labeled = class_centroids(inputs.embeddings, any_label, num_classes=1)
    return jnp.where((counts > 0)[:, None], centroids, overall), jnp.broadcast_to(num_labeled > 0, counts.shape)
