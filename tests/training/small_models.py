"""Models that compile in no time, for what does not hang on the network."""

import jax
import jax.numpy as jnp

from jaxal.models.model import Model, ModelSpec, Variables
from jaxal.training.steps import FitPlan
from jaxal.typing import LinearHead


def fit_plan(total_steps: float, num_classes: int = 2) -> FitPlan:
    """Plan a fit of so many steps to one label of each class."""
    return FitPlan(jnp.asarray(total_steps, jnp.float32), jnp.ones(num_classes, jnp.int32))


def linear_model(num_pixels: int = 4, num_classes: int = 2, seen_shapes: list | None = None) -> Model:
    """Make a linear model of the pixels; its batch statistics keep the noise of the last training pass.

    `seen_shapes` collects the shape of the images each time that embed is traced.
    """
    spec = ModelSpec((num_pixels, 1, 1), num_classes, num_pixels, (0.0,), (1.0,))

    def init(key):
        kernel = jax.random.normal(key, (num_pixels, num_classes))
        return Variables({"classifier": {"kernel": kernel, "bias": jnp.zeros(num_classes)}}, {"noise": jnp.zeros(())})

    def embed(variables, images):
        if seen_shapes is not None:
            seen_shapes.append(images.shape)
        return images.reshape(images.shape[0], -1).astype(jnp.float32) / 255

    def head(variables, z):
        layer = variables.params["classifier"]
        return z @ layer["kernel"] + layer["bias"][None]

    def apply(variables, images):
        return head(variables, embed(variables, images))

    def embed_train(variables, key, images):
        noise = jax.random.uniform(key)
        return embed(variables, images) * (1 + 0.1 * noise), {"noise": noise}

    def apply_train(variables, key, images):
        z, batch_stats = embed_train(variables, key, images)
        return head(variables, z), batch_stats

    def linear_head(variables):
        return LinearHead(variables.params["classifier"]["kernel"], variables.params["classifier"]["bias"])

    return Model(spec, init, embed, head, apply, embed_train, apply_train, linear_head)
