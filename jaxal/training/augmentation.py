"""A model that sees its training images changed by chance, and all others as they are."""

import functools
from typing import Any

import jax

from jaxal.config.augmentation import AugmentationConfig
from jaxal.data.augment import augment
from jaxal.models.model import Model, Variables
from jaxal.typing import Array, PRNGKey

__all__ = ["augmented"]

# What a training step's key is folded with, far from the small numbers that networks fold it with.
AUGMENT = 2**31


@functools.cache
def augmented(model: Model, config: AugmentationConfig) -> Model:
    """Let a model augment the images that it is trained on; with nothing to change it is the model itself.

    Where the pool is changed once there is nothing left to change either. The network's own noise is that of the model
    without augmentation. With batches in parts, every part is a batch.
    """
    if config.is_none or config.mode == "pool_once":
        return model

    def changed(key: PRNGKey, images: Array) -> Array:
        return augment(config, jax.random.fold_in(key, AUGMENT), images)

    def embed_train(variables: Variables, key: PRNGKey, images: Array) -> tuple[Array, Any]:
        return model.embed_train(variables, key, changed(key, images))

    def apply_train(variables: Variables, key: PRNGKey, images: Array) -> tuple[Array, Any]:
        return model.apply_train(variables, key, changed(key, images))

    return model._replace(embed_train=embed_train, apply_train=apply_train)
