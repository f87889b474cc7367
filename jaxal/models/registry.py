"""From a model's settings to the model."""

import functools
from collections.abc import Callable

from jaxal.config.models import EfficientNetConfig, ModelConfig, OrganCNNConfig, ResNetConfig
from jaxal.models.efficientnet import efficientnet
from jaxal.models.model import Model
from jaxal.models.organ_cnn import organ_cnn
from jaxal.models.resizing import resized
from jaxal.models.resnet import resnet

__all__ = ["make_model", "seen_shape"]

MAKERS: dict[type, Callable[..., Model]] = {
    OrganCNNConfig: organ_cnn,
    EfficientNetConfig: efficientnet,
    ResNetConfig: resnet,
}


@functools.cache
def make_model(
    config: ModelConfig,
    *,
    image_shape: tuple[int, int, int],
    num_classes: int,
    mean: tuple[float, ...],
    std: tuple[float, ...],
) -> Model:
    """Make the network of a config, with random initial variables; the same settings give the same model.

    Raises:
        ConfigError: the images do not fit the network.
    """
    seen = seen_shape(config, image_shape)
    model = MAKERS[type(config)](config, image_shape=seen, num_classes=num_classes, mean=mean, std=std)
    return model if seen == image_shape else resized(model, image_shape)


def seen_shape(config: ModelConfig, image_shape: tuple[int, int, int]) -> tuple[int, int, int]:
    """Return height, width and channels of images as the first layer sees them, resized where the config says so."""
    size = 0 if isinstance(config, OrganCNNConfig) else config.image_size
    return (size, size, image_shape[2]) if size else image_shape
