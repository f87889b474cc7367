"""What there is to say of a model before it is trained."""

import math
from typing import NamedTuple

import jax

from jaxal.config.models import ModelConfig, OrganCNNConfig
from jaxal.models.model import Model
from jaxal.models.pretrained import check_weights, lacks_weights, model_name
from jaxal.models.registry import seen_shape
from jaxal.models.weights import LoadReport

__all__ = ["ModelFacts", "describe_model", "is_frozen", "model_facts"]

# By which the large networks divide the side of an image in all.
STRIDE = 32


class ModelFacts(NamedTuple):
    """A model in figures."""

    name: str
    num_parameters: int
    num_trained: int  # of these
    width: int  # of its embeddings
    weights: LoadReport  # where the initial variables come from
    too_small: tuple[int, int] | None  # the side of images as the network sees them, where its stride exceeds it
    lacks_weights: str = ""  # why it starts from random variables though its settings would rather have pretrained ones


def is_frozen(config: ModelConfig) -> bool:
    """Return whether the last layer alone is trained."""
    return not isinstance(config, OrganCNNConfig) and config.trunk == "frozen"


def model_facts(model: Model, config: ModelConfig) -> ModelFacts:
    """Count a model's parameters, and check that its pretrained weights are there and fit.

    Args:
        model: made from the config, with random initial variables.
        config: the model's settings.

    Raises:
        DataError: as `check_weights`.
    """
    params = jax.eval_shape(model.init, jax.random.key(0)).params
    given_height, given_width, channels = model.spec.image_shape
    height, width, _ = seen_shape(config, (given_height, given_width, channels))
    is_large = not isinstance(config, OrganCNNConfig)
    return ModelFacts(
        name=model_name(config),
        num_parameters=_count(params),
        num_trained=_count(params["classifier"] if is_frozen(config) else params),
        width=model.spec.embedding_width,
        weights=check_weights(model, config),
        too_small=(height, width) if is_large and min(height, width) < STRIDE else None,
        lacks_weights=lacks_weights(config),
    )


def describe_model(facts: ModelFacts) -> str:
    """Tell a model's facts in a sentence or two."""
    weights = facts.weights
    start = "random ones"
    if weights.source:
        start = f"those of {weights.source} (SHA-256 {weights.sha256})"
    notes = "".join(f"; {note}" for note in weights.notes)
    if facts.num_trained == facts.num_parameters:
        trained = f"all trained from {start}{notes}"
    else:
        trained = (
            f"{start}{notes}; the trunk is frozen: each image goes through it once, and the {facts.num_trained:,} of"
            " the last layer are trained"
        )
    text = f"{facts.name}, {facts.num_parameters:,} parameters, {trained}."
    if facts.too_small is None:
        return text
    height, width = facts.too_small
    return (
        f"{text} It divides the side of an image by {STRIDE} in all, but sees {height}×{width}: its last stages have a"
        " single pixel to look at; model.image_size enlarges images inside the network."
    )


def _count(params: dict) -> int:
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params))
