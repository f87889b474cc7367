"""One experiment, one arm with one seed, as a functional loop: embed, acquire, reveal, fit, evaluate."""

import functools
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxal.config.study import ExperimentConfig
from jaxal.data.dataset import Dataset, Part
from jaxal.data.loading import Images
from jaxal.data.schedule import initial_labels, query_sizes
from jaxal.data.splits import hold_out, max_held_out
from jaxal.errors import InputError
from jaxal.evaluation.metrics import undefined
from jaxal.evaluation.rows import MetricRow, pool_rows, split_rows
from jaxal.kernels.mc_dropout import mc_logits
from jaxal.models import registry
from jaxal.models.model import Model, Variables
from jaxal.oracle import Oracle, simulated_oracle
from jaxal.pool import EXCLUDED, UNLABELED, PoolState, Query, enter_labels, new_pool, reveal
from jaxal.strategies.inputs import check_inputs
from jaxal.strategies.registry import make_strategy
from jaxal.strategies.strategy import AcquisitionInfo, AcquisitionInputs, Strategy
from jaxal.training.inference import embed_images, head_logits
from jaxal.training.placement import place_images, take_images
from jaxal.training.trainer import EvaluationSet, evaluate_model, fit
from jaxal.typing import Array, Float, PRNGKey, UInt8

__all__ = [
    "AskInfo",
    "Experiment",
    "ExperimentState",
    "RoundRecord",
    "ask",
    "asked_rows",
    "make_experiment",
    "round_key",
    "run_round",
    "start",
    "state_template",
    "tell",
]

# What a round's key is folded with; each purpose draws from its own stream.
FIT, ACQUIRE, DRAW_HEADS = 0, 1, 2


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


class ExperimentState(NamedTuple):
    """What the next round needs; no random key (see `round_key`)."""

    pool: PoolState
    variables: Variables
    strategy: Any


class RoundRecord(NamedTuple):
    """What a fit came to."""

    metrics: tuple[MetricRow, ...]
    seconds_train: float
    best_epoch: int


class AskInfo(NamedTuple):
    """What a query came to."""

    acquisition: AcquisitionInfo
    seconds_embed: float
    seconds_acquire: float


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


def _fit_sets(experiment: Experiment, labels: Array, max_labeled: int) -> tuple[Array, EvaluationSet]:
    """Return the labels that train, and the set that validates: a fixed one, or some of the labels bought so far."""
    if experiment.validation is not None:
        return labels, experiment.validation
    fraction, num_classes = experiment.config.data.split.validation_fraction, len(experiment.class_names)
    known = np.asarray(labels)
    held = hold_out(known, experiment.pool_groups, num_classes, fraction, experiment.config.seed)
    training = known.copy()
    training[held] = UNLABELED
    # Padded to the most that any round can hold out: shapes never change.
    rows = np.zeros(max_held_out(max_labeled, experiment.pool_groups, num_classes, fraction), np.int32)
    rows[: len(held)] = held
    is_counted = jnp.asarray(np.arange(len(rows)) < len(held))
    return jnp.asarray(training), EvaluationSet(take_images(experiment.pool_images, rows), labels[rows], is_counted)


def round_key(experiment: Experiment, round_number: int, purpose: int) -> Array:
    """Derive the key of a purpose in a round from the seed alone, so that a resumed run draws what it would have."""
    seed_key = jax.random.key(experiment.config.seed)
    return jax.random.fold_in(jax.random.fold_in(seed_key, round_number), purpose)


def state_template(experiment: Experiment) -> ExperimentState:
    """Build the state before round 0: initial labels, unfitted variables; a checkpoint is restored into its shapes."""
    pool = new_pool(jnp.asarray(experiment.initial_labels))
    variables = experiment.model.init(round_key(experiment, 0, FIT))
    if experiment.strategy is None:
        return ExperimentState(pool, variables, ())
    # A strategy's state starts from the pool and from shapes: nothing is fitted yet, so there is nothing to embed.
    images = jax.ShapeDtypeStruct((len(experiment.pool_ids), *experiment.model.spec.image_shape), jnp.uint8)
    embeddings = jax.eval_shape(experiment.model.embed, variables, images)
    draw_key = round_key(experiment, 0, DRAW_HEADS)
    shapes = jax.eval_shape(
        functools.partial(_inputs, experiment, draw_key, labels_left=0), pool, variables, embeddings
    )
    blank = jax.tree.map(lambda array: jnp.zeros(array.shape, array.dtype), shapes)
    return ExperimentState(pool, variables, experiment.strategy.init(blank._replace(pool=pool)))


def start(
    experiment: Experiment, on_steps: Callable[[int], None] = lambda num_steps: None
) -> tuple[ExperimentState, RoundRecord]:
    """Begin with round 0: fit to the initial labels, evaluate."""
    return _fit_and_evaluate(experiment, state_template(experiment), on_steps)


def ask(
    experiment: Experiment, state: ExperimentState, answer: Callable[[np.ndarray], np.ndarray] | None = None
) -> tuple[ExperimentState, Query, AskInfo]:
    """Embed the pool and acquire the next query: at once, or schedule.reveal_every samples at a time.

    In pieces, each is chosen from the pool with the answers to those before it; the model is not fitted and the pool
    not embedded again in between, and all pieces draw with the round's one key, so that a choice which does not depend
    on labels is the same in pieces as at once. labels_left counts down by what was asked. A sample whose answer is left
    for later is not asked again in the same round.

    Args:
        experiment: what runs.
        state: between rounds.
        answer: returns the labels, int32, of the pool rows of a piece, as `tell` takes them; called for every piece
            but the last. It may be left out where the query is asked at once.

    Returns:
        (state, query, info): the state with the strategy's own renewed, but the pool as it was: the labels of the whole
        query are for `tell` to reveal.

    Raises:
        InputError: the model's embeddings or logits are not finite, all planned rounds are over, answers are needed and
            none can be had, or an answer is not a class.
    """
    round_number = int(state.pool.round) + 1
    if experiment.strategy is None or round_number > len(experiment.query_sizes):
        planned = len(experiment.query_sizes)
        raise InputError(f"state: round {round_number} is beyond the {planned} rounds planned; there is nothing to ask")
    size, largest = experiment.query_sizes[round_number - 1], max(experiment.query_sizes)
    piece_size = min(experiment.config.schedule.reveal_every or largest, largest)
    if answer is None and size > piece_size:
        raise InputError(f"answer: needed to ask {size} samples {piece_size} at a time (schedule.reveal_every)")
    began = time.perf_counter()
    draw_key = round_key(experiment, round_number, DRAW_HEADS)
    batch_size = experiment.config.training.inference_batch_size
    embeddings = embed_images(experiment.model, state.variables, experiment.pool_images, batch_size)
    inputs = jax.block_until_ready(
        _inputs(experiment, draw_key, state.pool, state.variables, embeddings, labels_left=size)
    )
    seconds_embed = time.perf_counter() - began
    check_inputs(experiment.strategy, inputs, len(experiment.class_names))
    key = round_key(experiment, round_number, ACQUIRE)
    pieces, num_asked, seconds_acquire = [], 0, 0.0
    while True:
        began = time.perf_counter()
        query, strategy_state, info = jax.block_until_ready(
            _acquire(experiment.strategy, key, state.strategy, inputs, piece_size)
        )
        seconds_acquire += time.perf_counter() - began
        state = state._replace(strategy=strategy_state)
        rows = asked_rows(query)
        pieces.append((rows, info))
        num_asked += len(rows)
        if answer is None or num_asked == size or len(rows) < piece_size:
            break
        answers = _answers(query, answer(rows), len(experiment.class_names))
        answers = np.where(answers == UNLABELED, np.int32(EXCLUDED), answers)  # left for later: not to be asked again
        inputs = inputs._replace(
            pool=enter_labels(inputs.pool, query, jnp.asarray(answers)),
            labels_left=jnp.asarray(size - num_asked, jnp.int32),
        )
    query, info = _joined(pieces, largest, len(experiment.initial_labels))
    return state, query, AskInfo(info, seconds_embed, seconds_acquire)


def tell(
    experiment: Experiment,
    state: ExperimentState,
    query: Query,
    labels: np.ndarray,
    on_steps: Callable[[int], None] = lambda num_steps: None,
) -> tuple[ExperimentState, RoundRecord]:
    """Reveal the labels of a query, fit, evaluate.

    Args:
        experiment: what runs.
        state: as `ask` returned it.
        query: what was asked.
        labels: int32, one for each valid entry of the query, in its order; EXCLUDED for a skipped image.
        on_steps: called as each epoch of the fit ends, with the optimization steps it took.

    Raises:
        InputError: too few or too many labels, or one outside the classes.
    """
    answers = _answers(query, labels, len(experiment.class_names))
    state = state._replace(pool=reveal(state.pool, query, jnp.asarray(answers)))
    return _fit_and_evaluate(experiment, state, on_steps)


def run_round(experiment: Experiment, state: ExperimentState) -> tuple[ExperimentState, RoundRecord]:
    """Run one round against the experiment's oracle: ask, answer, tell."""
    state, query, _ = ask(experiment, state, experiment.oracle.answer)
    return tell(experiment, state, query, experiment.oracle.answer(asked_rows(query)))


def asked_rows(query: Query) -> np.ndarray:
    """Return the valid picks of a query, in the order chosen, on the host."""
    return np.asarray(query.indices)[np.asarray(query.is_valid)]


def _answers(query: Query, labels: np.ndarray, num_classes: int) -> np.ndarray:
    """Check the labels of a query's valid entries and pad them to its shape with UNLABELED."""
    num_asked = int(np.sum(query.is_valid))
    if len(labels) != num_asked:
        raise InputError(f"labels: {num_asked} samples were asked, but {len(labels)} labels are given")
    if np.any((labels < EXCLUDED) | (labels >= num_classes)):
        raise InputError(f"labels: expected {EXCLUDED} … {num_classes - 1}, got {np.min(labels)} … {np.max(labels)}")
    answers = np.full(query.indices.shape, UNLABELED, np.int32)
    answers[: len(labels)] = labels
    return answers


def _joined(
    pieces: list[tuple[np.ndarray, AcquisitionInfo]], query_size: int, num_rows: int
) -> tuple[Query, AcquisitionInfo]:
    """Join the rows asked piece by piece, and what is told of them, into one query of Q = query_size."""
    rows = np.concatenate([asked for asked, _ in pieces])
    padding = (0, query_size - len(rows))

    def told(values: list[Array], fill: int | float) -> Array:
        parts = [np.asarray(value)[: len(asked)] for value, (asked, _) in zip(values, pieces, strict=True)]
        return jnp.asarray(np.pad(np.concatenate(parts), padding, constant_values=fill))

    infos = [info for _, info in pieces]
    query = Query(
        indices=jnp.asarray(np.pad(rows, padding, constant_values=num_rows)),
        is_valid=jnp.asarray(np.arange(query_size) < len(rows)),
    )
    info = AcquisitionInfo(
        score=told([info.score for info in infos], np.nan),
        reason=told([info.reason for info in infos], 0),
        num_fallback=jnp.asarray(sum(int(info.num_fallback) for info in infos), jnp.int32),
    )
    return query, info


@functools.partial(jax.jit, static_argnums=(0, 4))
def _acquire(strategy: Strategy, key: Array, state: Any, inputs: AcquisitionInputs, query_size: int) -> Any:
    return strategy.acquire(key, state, inputs, query_size)


def _inputs(
    experiment: Experiment,
    draw_key: PRNGKey,
    pool: PoolState,
    variables: Variables,
    embeddings: Float[Array, "N D"],
    *,
    labels_left: int,
) -> AcquisitionInputs:
    """Compute what the strategy may look at, once for the whole pool."""
    model = experiment.model
    needs = frozenset() if experiment.strategy is None else experiment.strategy.needs
    head, logits = model.linear_head(variables), head_logits(model, variables, embeddings)
    draws = None
    if "mc_logits" in needs and head is not None:
        dropout = experiment.config.mc_dropout
        draws = mc_logits(draw_key, embeddings, *head, num_draws=dropout.num_draws, rate=dropout.rate)
    return AcquisitionInputs(
        pool=pool,
        embeddings=embeddings,
        sample_ids=experiment.sample_ids,
        labels_left=jnp.asarray(labels_left, jnp.int32),
        logits=logits,
        head=head,
        mc_logits=draws,
        # There is no source model in an experiment: the model that is trained stands in for it.
        source_logits=logits if "source_logits" in needs else None,
    )


def _fit_and_evaluate(
    experiment: Experiment, state: ExperimentState, on_steps: Callable[[int], None]
) -> tuple[ExperimentState, RoundRecord]:
    model, config = experiment.model, experiment.config.training
    began = time.perf_counter()
    max_labeled = int(np.sum(experiment.initial_labels != UNLABELED)) + sum(experiment.query_sizes)
    training_labels, validation = _fit_sets(experiment, state.pool.labels, max_labeled)
    fitted = fit(
        model,
        config,
        round_key(experiment, int(state.pool.round), FIT),
        experiment.pool_images,
        training_labels,
        validation,
        positive_class=experiment.minority,
        max_labeled=max_labeled,
        on_steps=on_steps,
    )
    jax.block_until_ready(fitted.variables)
    seconds_train = time.perf_counter() - began
    rows = list(pool_rows(np.asarray(state.pool.labels), experiment.class_names, experiment.minority))
    for name, evaluation_set in {"validation": validation, **experiment.test_sets}.items():
        metrics = evaluate_model(model, config, fitted.variables, evaluation_set, experiment.minority)
        metrics = jax.device_get(metrics)
        # A network that no label has trained has no score, only what its random start happens to give.
        rows += split_rows(name, metrics if fitted.best_epoch > 0 else undefined(metrics), experiment.class_names)
    record = RoundRecord(tuple(rows), seconds_train, fitted.best_epoch)
    return state._replace(variables=fitted.variables), record
