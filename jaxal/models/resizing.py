"""Images resized inside a network, on the device."""

import jax
import jax.numpy as jnp

from jaxal.models.model import Model, Variables
from jaxal.typing import Array, PRNGKey

__all__ = ["resized"]


def resized(model: Model, image_shape: tuple[int, int, int]) -> Model:
    """Make a model of images of one shape into one of images of another, which it resizes by linear interpolation.

    Smaller ones are not rounded to whole gray levels; larger ones are smoothed as they shrink.

    Args:
        model: made for the images that it is to see.
        image_shape: height, width and channels of those that are given.
    """
    seen = model.spec.image_shape

    def fitted(images: Array) -> Array:
        return jax.image.resize(images.astype(jnp.float32), (images.shape[0], *seen), "linear")

    def embed(variables: Variables, images: Array) -> Array:
        return model.embed(variables, fitted(images))

    def apply(variables: Variables, images: Array) -> Array:
        return model.apply(variables, fitted(images))

    def embed_train(variables: Variables, key: PRNGKey, images: Array) -> tuple[Array, dict]:
        return model.embed_train(variables, key, fitted(images))

    def apply_train(variables: Variables, key: PRNGKey, images: Array) -> tuple[Array, dict]:
        return model.apply_train(variables, key, fitted(images))

    spec = model.spec._replace(image_shape=image_shape)
    return model._replace(spec=spec, embed=embed, apply=apply, embed_train=embed_train, apply_train=apply_train)
