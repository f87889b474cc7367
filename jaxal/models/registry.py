"""From a model's settings to the model."""

import functools
from collections.abc import Callable

from jaxal.config.models import EfficientNetConfig, ModelConfig, OrganCNNConfig, ResNetConfig
from jaxal.models.efficientnet import efficientnet
from jaxal.models.model import Model
from jaxal.models.organ_cnn import organ_cnn
from jaxal.models.resnet import resnet

__all__ = ["make_model"]

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
    """Make the network of a config; the same settings give the same model.

    Raises:
        ConfigError: the images do not fit the network.
    """
    return MAKERS[type(config)](config, image_shape=image_shape, num_classes=num_classes, mean=mean, std=std)
