"""What does not change from round to round: data on its place, network, strategy, oracle."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import jax.numpy as jnp
import msgspec
import numpy as np

from jaxal.config.losses import LDAMConfig
from jaxal.config.study import ExperimentConfig
from jaxal.data.augment import augmented_once
from jaxal.data.dataset import Dataset, parts_of
from jaxal.data.listeners import OnImages
from jaxal.data.loading import Images
from jaxal.data.schedule import initial_labels, query_sizes
from jaxal.data.subgroups import subgroups
from jaxal.experiment.embeddings import Start
from jaxal.experiment.keys import AUGMENT_POOL, purpose_key
from jaxal.experiment.source import make_network, open_source_model, source_logits
from jaxal.experiment.trunk import embedded_parts, last_layer
from jaxal.models.facts import is_frozen
from jaxal.models.grouped_head import grouped_head
from jaxal.models.model import Model
from jaxal.models.normalized_head import normalized_head
from jaxal.models.pretrained import check_weights, pretrained_model
from jaxal.oracle import Oracle, simulated_oracle
from jaxal.pool import UNLABELED
from jaxal.strategies.registry import make_strategy
from jaxal.strategies.strategy import Strategy
from jaxal.training.augmentation import augmented
from jaxal.training.placement import place_images
from jaxal.training.regrouping import max_pseudo_classes
from jaxal.training.trainer import EvaluationSet
from jaxal.typing import Array, Float, Shaped

__all__ = ["Experiment", "is_fitted", "is_scored", "make_experiment", "make_model", "plan_labels"]


class Experiment(NamedTuple):
    """What does not change from round to round."""

    config: ExperimentConfig
    model: Model  # augments what it is trained on; where the trunk is frozen, of its embeddings
    strategy: Strategy | None  # None: the arm asks nothing
    oracle: Oracle
    class_names: tuple[str, ...]
    minority: int
    initial_labels: np.ndarray  # int32 [N]
    query_sizes: tuple[int, ...]  # labels to buy in rounds 1, 2, …
    pool_images: Shaped[Array, "N ..."] | Images  # where the trunk is frozen, their embeddings [N, D]
    pool_ids: np.ndarray  # str [N]
    sample_ids: Array  # int32 [N]
    pool_groups: np.ndarray | None  # str [N]; what belongs together, None where every sample stands alone
    validation: EvaluationSet | None  # None: held out of the labels bought, anew in each fit
    test_sets: dict[str, EvaluationSet]  # "test", and "external" where there is one
    weights_sha256: str  # of the file with pretrained weights; empty where there are none
    source_logits: Float[Array, "N S"] | None = None  # of the source model, where the strategy asks by one
    source_sha256: str = ""  # of the file with its weights
    scored: "Experiment | None" = None  # where another model is trained on the same labels and scored: that one's
    subgroups: Mapping[str, Mapping[str, Array]] = MappingProxyType({})  # test set -> subgroup -> bool [n], its rows


def is_scored(experiment: Experiment, number: int) -> bool:
    """Tell whether the schedule has the model fitted and scored after a round."""
    return experiment.config.schedule.scored_rounds == "all" or number == len(experiment.query_sizes)


def is_fitted(experiment: Experiment, number: int) -> bool:
    """Tell whether anything is fitted after a round: a query model always is."""
    return experiment.scored is not None or is_scored(experiment, number)


def make_experiment(
    config: ExperimentConfig,
    dataset: Dataset,
    *,
    on_embedded: OnImages = lambda done, total: None,
) -> Experiment:
    """Bind a config to its data; hidden labels of the pool go to the oracle and nowhere else.

    Images go to the device where data.images_in_memory allows it; else they are streamed whenever they are looked at.
    With a query model the experiment is that model's, and holds another, of the model that is scored, in `scored`.
    Where the trunk is frozen they go through it now, once, and their embeddings take their place.
    A config without strategy labels the whole pool from the start and asks nothing.

    Args:
        config: of the experiment.
        dataset: its data.
        on_embedded: told how many images of how many have gone through a frozen trunk, or a source model.

    Raises:
        ConfigError: the images do not fit the network.
        DataError: pretrained weights are not found, or do not fit.
    """
    if config.query_model is not None:
        return _with_query_model(config, dataset, on_embedded)
    num_classes = len(dataset.class_names)
    known, sizes = plan_labels(config, dataset)
    strategy = None if config.strategy is None else make_strategy(config.strategy, num_classes=num_classes)
    network = make_model(config, dataset)
    weights = check_weights(network, config.model)
    parts = parts_of(dataset)
    beginning, logits, source_sha256 = Start(config, dataset, network, weights), None, ""
    if config.source_model is not None:
        source = open_source_model(config, dataset)
        logits, source_sha256 = source_logits(source, beginning, on_embedded), source.weights.sha256
    if is_frozen(config.model):
        model, whole = last_layer(beginning), embedded_parts(beginning, on_embedded)
    else:
        model = augmented(pretrained_model(network, config.model, weights.sha256), config.augmentation)
        whole = {name: part.images for name, part in parts.items()}
        if config.augmentation.mode == "pool_once":
            key = purpose_key(config.seed, 0, AUGMENT_POOL)
            whole["pool"] = augmented_once(config.augmentation, key, whole["pool"], dataset.pool.sample_ids)
    model = _with_head(model, config, num_classes)
    images = place_images(whole, config.data.images_in_memory)
    sets = {
        name: EvaluationSet(images[name], jnp.asarray(part.labels), jnp.ones(len(part.labels), bool))
        for name, part in parts.items()
        if name != "pool"
    }
    return Experiment(
        config=config,
        model=model,
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
        weights_sha256=weights.sha256,
        source_logits=logits,
        source_sha256=source_sha256,
        subgroups={
            name: {group: jnp.asarray(rows) for group, rows in subgroups(parts[name].columns).items()} for name in sets
        },
    )


def _with_head(model: Model, config: ExperimentConfig, num_classes: int) -> Model:
    """Put in place of a model's last layer what its training needs."""
    training = config.training
    if training.regrouping != "none":
        model = grouped_head(model, num_classes, training.regrouping)
    return normalized_head(model, training.loss.scale) if isinstance(training.loss, LDAMConfig) else model


def _with_query_model(config: ExperimentConfig, dataset: Dataset, on_embedded: OnImages) -> Experiment:
    """Make the experiment of the model that asks, and in it that of the model that is scored."""
    training = config.query_training or config.training
    without = msgspec.structs.replace(config, query_model=None, query_training=None)
    asking = msgspec.structs.replace(without, model=config.query_model or config.model, training=training)
    scored = msgspec.structs.replace(without, source_model=None)
    experiment = make_experiment(asking, dataset, on_embedded=on_embedded)
    if is_frozen(asking.model) or is_frozen(scored.model):
        return experiment._replace(scored=make_experiment(scored, dataset, on_embedded=on_embedded))
    # They see the same images, which lie on the device once.
    network = make_model(scored, dataset)
    sha256 = check_weights(network, scored.model).sha256
    model = augmented(pretrained_model(network, scored.model, sha256), scored.augmentation)
    model = _with_head(model, scored, len(dataset.class_names))
    return experiment._replace(scored=experiment._replace(config=scored, model=model, weights_sha256=sha256))


def make_model(config: ExperimentConfig, dataset: Dataset) -> Model:
    """Make the config's network, with random initial variables, for the data's images and classes.

    Where classes are regrouped its last layer has a column for as many pseudo-classes as the run may come to. Images
    are standardized as its pretrained weights need it, else by the data's own mean and deviation.

    Raises:
        ConfigError: the images do not fit the network.
    """
    num_columns = len(dataset.class_names)
    if config.training.regrouping != "none":
        known, sizes = plan_labels(config, dataset)
        num_columns = max_pseudo_classes(
            int(np.sum(known >= 0)) + sum(sizes), num_columns, config.training.regrouping_limit
        )
    return make_network(config.model, dataset, num_columns)


def plan_labels(config: ExperimentConfig, dataset: Dataset) -> tuple[np.ndarray, tuple[int, ...]]:
    """Return the labels known from the start, int32 [N], and how many each later round buys."""
    if config.strategy is None:
        return dataset.pool.labels, ()
    known = initial_labels(config.schedule, dataset.pool, len(dataset.class_names), config.seed)
    return known, query_sizes(config.schedule, len(known), int(np.sum(known != UNLABELED)))
