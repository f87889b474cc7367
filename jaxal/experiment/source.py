"""A source model: pretrained, never trained here, and asked by its own classes."""

import jax
import msgspec

from jaxal.config.models import ModelConfig
from jaxal.config.study import ExperimentConfig
from jaxal.data.dataset import Dataset
from jaxal.data.listeners import OnImages
from jaxal.data.loading import choose_images
from jaxal.errors import ConfigError
from jaxal.experiment.embeddings import Start, have_same_embeddings, stored_embeddings
from jaxal.experiment.trunk import last_layer
from jaxal.models import registry
from jaxal.models.facts import is_frozen
from jaxal.models.model import Model
from jaxal.models.pretrained import check_weights, input_normalization, num_own_classes
from jaxal.training.inference import apply_images
from jaxal.typing import Array, Float

__all__ = ["make_network", "open_source_model", "source_logits"]


def make_network(config: ModelConfig, dataset: Dataset, num_classes: int) -> Model:
    """Make a network, with random initial variables, for the data's images and so many classes.

    Images are standardized as its pretrained weights need it, else by the data's own mean and deviation.

    Raises:
        ConfigError: the images do not fit the network.
    """
    image_shape = dataset.images.image_shape
    scaling = input_normalization(config, image_shape[-1])
    mean, std = (dataset.mean, dataset.std) if scaling is None else scaling
    return registry.make_model(config, image_shape=image_shape, num_classes=num_classes, mean=mean, std=std)


def open_source_model(config: ExperimentConfig, dataset: Dataset) -> Start:
    """Make an experiment's source model, with the last layer and the S classes of its weights.

    Raises:
        ConfigError: there is none, or the images do not fit it.
        DataError: its weights are not found, do not fit, or have no last layer.
    """
    source = config.source_model
    if source is None:
        raise ConfigError("source_model: there is none")
    network = make_network(source, dataset, num_own_classes(source))
    return Start(msgspec.structs.replace(config, model=source), dataset, network, check_weights(network, source))


def source_logits(source: Start, trained: Start, on_embedded: OnImages) -> Float[Array, "N S"]:
    """Compute the source model's logits of the pool, in evaluation mode.

    Every image of the data goes through the source model once, for all arms, seeds and studies: its embeddings are kept
    as those of a frozen trunk are (see `stored_embeddings`), and are the same ones where the trained model has the same
    frozen trunk; then data.embeddings are read for both.

    Args:
        source: as `open_source_model` returns it.
        trained: the network of the experiment itself.
        on_embedded: told how many images of how many are done, where any are to be embedded.

    Returns:
        Logits on the device, 4·N·S bytes: 4 KB an image for ImageNet's 1000 classes.

    Raises:
        DataError: as `stored_embeddings`.
    """
    config = source.config
    if not (is_frozen(trained.config.model) and have_same_embeddings(source, trained)):
        own_data = msgspec.structs.replace(config.data, embeddings="")
        source = source._replace(config=msgspec.structs.replace(config, data=own_data))
    pool = choose_images(stored_embeddings(source, on_embedded).rows, source.dataset.pool.sample_ids)
    head = last_layer(source)
    # Nothing is drawn: the weights have the last layer.
    return apply_images(head, head.init(jax.random.key(0)), pool, config.training.inference_batch_size)
