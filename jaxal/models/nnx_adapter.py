"""Flax NNX modules run functionally: split once, merge inside the jitted function, plain dicts outside."""

from collections.abc import Callable
from typing import Any, Protocol

import jax
from flax import nnx

from jaxal.models.model import Model, ModelSpec, Variables, normalize_images
from jaxal.typing import Array, LinearHead, PRNGKey

__all__ = ["EmbeddingModule", "adapt"]


class EmbeddingModule(Protocol):
    """What the adapter asks of a module; it holds no random state."""

    classifier: nnx.Linear

    def embed(self, images: Array, *, key: PRNGKey | None = None) -> Array:
        """Map normalized images [B, height, width, channels] to embeddings [B, D].

        With a key it trains: batch norm goes by the batch, the key is that of the network's own noise.
        """
        ...


class _Keys(nnx.Rngs):
    """The keys of nnx.Rngs(params=key), counted in Python: counted by a traced array, tracing is quadratic in them."""

    def __init__(self, key: PRNGKey):
        self.key, self.count = key, 0

    def params(self) -> PRNGKey:
        """Return the next key."""
        key = jax.random.fold_in(self.key, self.count)
        self.count += 1
        return key


def adapt(spec: ModelSpec, build: Callable[[nnx.Rngs], Any]) -> Model:
    """Wrap a module in a Model.

    Args:
        spec: of the model; embed normalizes images by it.
        build: makes the module; called with the generators of its initial parameters.
    """
    graph, _, _ = nnx.split(nnx.eval_shape(lambda: build(_Keys(jax.random.key(0)))), nnx.Param, nnx.BatchStat)

    def module(variables: Variables) -> Any:
        return nnx.merge(graph, nnx.State(variables.params), nnx.State(variables.batch_stats))

    def init(key: PRNGKey) -> Variables:
        _, params, batch_stats = nnx.split(build(_Keys(key)), nnx.Param, nnx.BatchStat)
        return Variables(nnx.to_pure_dict(params), nnx.to_pure_dict(batch_stats))

    def embed(variables: Variables, images: Array) -> Array:
        return module(variables).embed(normalize_images(images, spec))

    def head(variables: Variables, z: Array) -> Array:
        return module(variables).classifier(z)

    def apply(variables: Variables, images: Array) -> Array:
        return head(variables, embed(variables, images))

    def embed_train(variables: Variables, key: PRNGKey, images: Array) -> tuple[Array, Any]:
        net = module(variables)
        z = net.embed(normalize_images(images, spec), key=key)
        return z, nnx.to_pure_dict(nnx.as_pure(nnx.state(net, nnx.BatchStat)))

    def apply_train(variables: Variables, key: PRNGKey, images: Array) -> tuple[Array, Any]:
        z, batch_stats = embed_train(variables, key, images)
        return head(variables, z), batch_stats

    def linear_head(variables: Variables) -> LinearHead:
        layer = variables.params["classifier"]
        return LinearHead(weight=layer["kernel"], bias=layer["bias"])

    return Model(spec, jax.jit(init), embed, head, apply, embed_train, apply_train, linear_head)
