"""What does not change from round to round: data on its place, network, strategy, oracle."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxal.config.study import ExperimentConfig
from jaxal.data.dataset import Dataset, Part
from jaxal.data.loading import Images
from jaxal.data.schedule import initial_labels, query_sizes
from jaxal.models import registry
from jaxal.models.model import Model
from jaxal.oracle import Oracle, simulated_oracle
from jaxal.pool import UNLABELED
from jaxal.strategies.registry import make_strategy
from jaxal.strategies.strategy import Strategy
from jaxal.training.placement import place_images
from jaxal.training.trainer import EvaluationSet
from jaxal.typing import Array, UInt8

__all__ = ["Experiment", "make_experiment", "make_model", "plan_labels"]


class Experiment(NamedTuple):
    """What does not change from round to round."""

    config: ExperimentConfig
    model: Model
    strategy: Strategy | None  # None: the arm asks nothing
    oracle: Oracle
    class_names: tuple[str, ...]
    minority: int
    initial_labels: np.ndarray  # int32 [N]
    query_sizes: tuple[int, ...]  # labels to buy in rounds 1, 2, …
    pool_images: UInt8[Array, "N H W ch"] | Images
    pool_ids: np.ndarray  # str [N]
    sample_ids: Array  # int32 [N]
    pool_groups: np.ndarray | None  # str [N]; what belongs together, None where every sample stands alone
    validation: EvaluationSet | None  # None: held out of the labels bought, anew in each fit
    test_sets: dict[str, EvaluationSet]  # "test", and "external" where there is one


def make_experiment(config: ExperimentConfig, dataset: Dataset) -> Experiment:
    """Bind a config to its data; hidden labels of the pool go to the oracle and nowhere else.

    Images go to the device where data.images_in_memory allows it; else they are streamed whenever they are looked at.
    A config without strategy labels the whole pool from the start and asks nothing.
    """
    num_classes = len(dataset.class_names)
    known, sizes = plan_labels(config, dataset)
    strategy = None if config.strategy is None else make_strategy(config.strategy, num_classes=num_classes)
    named = {name: getattr(dataset, name) for name in ("pool", "validation", "test", "external")}
    parts: dict[str, Part] = {name: part for name, part in named.items() if part is not None}
    images = place_images({name: part.images for name, part in parts.items()}, config.data.images_in_memory)
    sets = {
        name: EvaluationSet(images[name], jnp.asarray(part.labels), jnp.ones(len(part.labels), bool))
        for name, part in parts.items()
        if name != "pool"
    }
    return Experiment(
        config=config,
        model=make_model(config, dataset),
        strategy=strategy,
        oracle=simulated_oracle(dataset.pool.labels),
        class_names=dataset.class_names,
        minority=dataset.minority,
        initial_labels=known,
        query_sizes=sizes,
        pool_images=images["pool"],
        pool_ids=dataset.pool.ids,
        sample_ids=jnp.asarray(dataset.pool.sample_ids),
        pool_groups=dataset.pool.groups,
        validation=sets.pop("validation", None),
        test_sets=sets,
    )


def make_model(config: ExperimentConfig, dataset: Dataset) -> Model:
    """Make the config's network for the data's images and classes.

    Raises:
        ConfigError: the images do not fit the network.
    """
    return registry.make_model(
        config.model,
        image_shape=dataset.pool.images.image_shape,
        num_classes=len(dataset.class_names),
        mean=dataset.mean,
        std=dataset.std,
    )


def plan_labels(config: ExperimentConfig, dataset: Dataset) -> tuple[np.ndarray, tuple[int, ...]]:
    """Return the labels known from the start, int32 [N], and how many each later round buys."""
    if config.strategy is None:
        return dataset.pool.labels, ()
    known = initial_labels(config.schedule, dataset.pool, len(dataset.class_names), config.seed)
    return known, query_sizes(config.schedule, len(known), int(np.sum(known != UNLABELED)))
