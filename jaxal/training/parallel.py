"""One fit on all devices, of all processes: each takes a share of every batch."""

import numpy as np
from jax.sharding import NamedSharding

from jaxal import processes
from jaxal.config.training import TrainingConfig
from jaxal.data.loading import Images
from jaxal.errors import ConfigError
from jaxal.models.model import Variables
from jaxal.training.placement import batch_sharding
from jaxal.typing import Array

__all__ = ["as_readable", "fit_sharding", "own_variables"]


def fit_sharding(config: TrainingConfig) -> NamedSharding | None:
    """Return how batches are spread in a fit; None where one device does all of it.

    Raises:
        ConfigError: the devices do not divide what goes through the network at a time.
    """
    sharding = batch_sharding(of_all_processes=True) if config.data_parallel else None
    if sharding is None:
        return None
    size, num_devices = config.batch_size // config.num_parts, len(sharding.device_set)
    if size % num_devices:
        name = "micro_batch_size" if config.num_parts > 1 else "batch_size"
        raise ConfigError(
            f"training.data_parallel: {num_devices} devices do not divide {name} = {size}; set it to a multiple"
        )
    return sharding


def own_variables(sharding: NamedSharding | None, variables: Variables) -> Variables:
    """Give the variables of a fit as this process's own, where it shares the fit with other devices."""
    return variables if sharding is None else processes.on_this_host(variables)


def as_readable(images: Array | Images) -> Images:
    """Have images that lie on one device read by their rows, as those are that do not."""
    if isinstance(images, Images):
        return images
    return Images(lambda rows: np.asarray(images[rows]), images.shape[0], images.shape[1:], images.dtype.type)
