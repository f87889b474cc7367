"""A last layer of cosines: unit embeddings times unit columns, scaled; LDAM's margins are meant for it."""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from jaxal.models.model import Model, Variables
from jaxal.typing import Array, Float, LinearHead, PRNGKey

__all__ = ["normalized_head"]

# Added to squared norms: an embedding of zeros stays zero, and has a gradient.
TINY = 1e-12


@functools.cache
def normalized_head(model: Model, scale: float) -> Model:
    """Give a model the head s·cos θ: embed returns z/|z|, the head's weight is s·w/|w|, its bias 0.

    The parameters are those of the model; the bias of its last layer has no part in anything any more.

    Args:
        model: whose last layer is "classifier" among its parameters.
        scale: s.
    """

    def unit(z: Float[Array, "B D"]) -> Float[Array, "B D"]:
        return z * jax.lax.rsqrt(jnp.sum(z * z, axis=1, keepdims=True) + TINY)

    def linear_head(variables: Variables) -> LinearHead:
        kernel = variables.params["classifier"]["kernel"]
        weight = scale * kernel * jax.lax.rsqrt(jnp.sum(kernel * kernel, axis=0, keepdims=True) + TINY)
        return LinearHead(weight, jnp.zeros(weight.shape[1], weight.dtype))

    def embed(variables: Variables, images: Array) -> Array:
        return unit(model.embed(variables, images))

    def head(variables: Variables, z: Float[Array, "B D"]) -> Float[Array, "B C"]:
        # As every last layer: picks depend on the logits, so no reduced precision on any device.
        return jnp.dot(z, linear_head(variables).weight, precision="highest")

    def apply(variables: Variables, images: Array) -> Array:
        return head(variables, embed(variables, images))

    def embed_train(variables: Variables, key: PRNGKey, images: Array) -> tuple[Array, Any]:
        z, batch_stats = model.embed_train(variables, key, images)
        return unit(z), batch_stats

    def apply_train(variables: Variables, key: PRNGKey, images: Array) -> tuple[Array, Any]:
        z, batch_stats = embed_train(variables, key, images)
        return head(variables, z), batch_stats

    return Model(model.spec, model.init, embed, head, apply, embed_train, apply_train, linear_head)
