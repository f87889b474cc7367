"""The last layer of a network alone: a model whose images are embeddings, for a trunk that is never trained."""

import functools

import jax
import jax.numpy as jnp

from jaxal.models.layers import dropout
from jaxal.models.model import Model, ModelSpec, Variables
from jaxal.typing import Array, Float, LinearHead, PRNGKey

__all__ = ["as_given", "linear"]


def as_given(variables: Variables, images: Float[Array, "B D"]) -> Float[Array, "B D"]:
    """Embed what is embedded already."""
    return images


@functools.cache
def linear(model: Model, *, dropout_rate: float, is_drawn: bool) -> Model:
    """Make the last layer of a network a model of its own, which takes the network's embeddings in place of images.

    Args:
        model: the network; its last layer is "classifier" among its parameters.
        dropout_rate: of embeddings in training.
        is_drawn: whether `model.init` draws the last layer at random and can be traced: then nothing else is drawn.
            Otherwise the layer is the same for every key, and is taken once from what `model.init` returns.

    Returns:
        The model; with the same key it starts from the last layer that the network would start from.
    """
    width, num_classes = model.spec.embedding_width, model.spec.num_classes

    def first_layer(key: PRNGKey) -> dict[str, Array]:
        return model.init(key).params["classifier"]

    draw = jax.jit(first_layer)
    given = functools.cache(lambda: first_layer(jax.random.key(0)))

    def init(key: PRNGKey) -> Variables:
        # Copies of what is given: a fit donates what it begins with.
        return Variables({"classifier": draw(key) if is_drawn else jax.tree.map(jnp.copy, given())}, {})

    def head(variables: Variables, z: Array) -> Array:
        layer = variables.params["classifier"]
        return jnp.dot(z, layer["kernel"], precision="highest") + layer["bias"][None]

    def embed_train(variables: Variables, key: PRNGKey, images: Array) -> tuple[Array, dict]:
        return dropout(key, images, dropout_rate), {}

    def apply_train(variables: Variables, key: PRNGKey, images: Array) -> tuple[Array, dict]:
        return head(variables, dropout(key, images, dropout_rate)), {}

    def linear_head(variables: Variables) -> LinearHead:
        layer = variables.params["classifier"]
        return LinearHead(weight=layer["kernel"], bias=layer["bias"])

    spec = ModelSpec((width,), num_classes, width, mean=(), std=())
    return Model(spec, init, as_given, head, head, embed_train, apply_train, linear_head)
