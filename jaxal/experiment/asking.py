"""The query of a round: embed the pool, let the strategy choose, at once or piece by piece."""

import functools
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxal.data.listeners import OnImages
from jaxal.errors import InputError
from jaxal.experiment.inputs import pool_inputs
from jaxal.experiment.keys import ACQUIRE, DRAW_HEADS
from jaxal.experiment.layout import lay_out_pool, new_kept, off_mesh, spread_own, spread_pool
from jaxal.experiment.setup import Experiment, is_fitted
from jaxal.experiment.state import ExperimentState, round_key
from jaxal.kernels.pool_mesh import pool_mesh
from jaxal.pool import EXCLUDED, UNLABELED, Query, enter_labels
from jaxal.strategies.inputs import check_inputs
from jaxal.strategies.strategy import AcquisitionInfo, AcquisitionInputs, Strategy
from jaxal.training.inference import embed_images
from jaxal.typing import Array

__all__ = ["AskInfo", "ask", "asked_rows", "padded_answers"]


class AskInfo(NamedTuple):
    """What a query came to."""

    acquisition: AcquisitionInfo
    seconds_embed: float
    seconds_acquire: float
    seconds_compile: float  # of the strategy, apart from the seconds of choosing; in later rounds next to nothing


def ask(
    experiment: Experiment,
    state: ExperimentState,
    answer: Callable[[np.ndarray], np.ndarray] | None = None,
    on_embedded: OnImages | None = None,
) -> tuple[ExperimentState, Query, AskInfo]:
    """Embed the pool and acquire the next query: at once, or schedule.reveal_every samples at a time.

    Where the schedule has nothing fitted before the last round the pool is not embedded: what asks there is random.

    In pieces, each is chosen from the pool with the answers to those before it; the model is not fitted and the pool
    not embedded again in between, and all pieces draw with the round's one key, so that a choice which does not depend
    on labels is the same in pieces as at once. labels_left counts down by what was asked. A sample whose answer is left
    for later is not asked again in the same round.

    Args:
        experiment: what runs.
        state: between rounds.
        answer: returns the labels, int32, of the pool rows of a piece, as `tell` takes them; called for every piece
            but the last. It may be left out where the query is asked at once.
        on_embedded: told how many images of the pool are embedded, of how many.

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
    layout = lay_out_pool(len(experiment.initial_labels))
    embeddings = spread_own(layout, _embedded(experiment, state, on_embedded, layout.own))
    pool, variables = state.pool, state.variables
    inputs = jax.block_until_ready(
        pool_inputs(
            experiment, draw_key, spread_pool(layout, pool), variables, embeddings, labels_left=size, layout=layout
        )
    )
    seconds_embed = time.perf_counter() - began
    check_inputs(experiment.strategy, inputs, len(experiment.class_names))
    key = round_key(experiment, round_number, ACQUIRE)
    pieces, num_asked, seconds_acquire = [], 0, 0.0
    began = time.perf_counter()
    # What a strategy keeps does not outlive a query, and has the shapes of the pool as it lies.
    kept = state.strategy if layout.mesh is None else new_kept(layout.mesh, experiment.strategy, inputs)
    choose = _compiled_for(experiment.strategy, piece_size, (key, kept, inputs), layout.mesh)
    seconds_compile = time.perf_counter() - began
    while True:
        began = time.perf_counter()
        query, kept, info = jax.block_until_ready(choose(key, kept, inputs))
        seconds_acquire += time.perf_counter() - began
        rows = asked_rows(query)
        pieces.append((rows, info))
        num_asked += len(rows)
        if answer is None or num_asked == size or len(rows) < piece_size:
            break
        answers = padded_answers(query, answer(rows), len(experiment.class_names))
        answers = np.where(answers == UNLABELED, np.int32(EXCLUDED), answers)  # left for later: not to be asked again
        pool = enter_labels(pool, off_mesh(layout, query), jnp.asarray(answers))
        inputs = inputs._replace(pool=spread_pool(layout, pool), labels_left=jnp.asarray(size - num_asked, jnp.int32))
    query, info = _joined(pieces, largest, len(experiment.initial_labels))
    state = state._replace(strategy=kept if layout.mesh is None else state.strategy)
    return state, query, AskInfo(info, seconds_embed, seconds_acquire, seconds_compile)


def _embedded(experiment: Experiment, state: ExperimentState, on_embedded: OnImages | None, rows: range) -> Array:
    """Embed pool rows by what the round before has fitted; zeros where it has fitted nothing, and nothing looks."""
    if not is_fitted(experiment, int(state.pool.round)):
        return jnp.zeros((len(rows), experiment.model.spec.embedding_width))
    batch_size = experiment.config.training.inference_batch_size
    return embed_images(experiment.model, state.variables, experiment.pool_images, batch_size, on_embedded, rows)


def asked_rows(query: Query) -> np.ndarray:
    """Return the valid picks of a query, in the order chosen, on the host."""
    return np.asarray(query.indices)[np.asarray(query.is_valid)]


def padded_answers(query: Query, labels: np.ndarray, num_classes: int) -> np.ndarray:
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


def _compiled_for(strategy: Strategy, query_size: int, arguments: Any, mesh: Mesh | None) -> Callable[..., Any]:
    """Compile a strategy's choice for arguments of these shapes, once."""
    leaves, structure = jax.tree.flatten(arguments)
    layouts = tuple(leaf.sharding if len(leaf.sharding.device_set) > 1 else None for leaf in leaves)
    return _compile(strategy, query_size, tuple(map(jax.typeof, leaves)), layouts, structure, mesh)


@functools.lru_cache(maxsize=8)
def _compile(
    strategy: Strategy, query_size: int, types: tuple, layouts: tuple, structure: Any, mesh: Mesh | None
) -> Callable[..., Any]:
    shapes = structure.unflatten(
        jax.ShapeDtypeStruct(each.shape, each.dtype, weak_type=each.weak_type, sharding=layout)
        for each, layout in zip(types, layouts, strict=True)
    )
    choose = _acquire
    if mesh is not None:
        everywhere = NamedSharding(mesh, PartitionSpec())
        kept = jax.tree.map(lambda each: each.sharding or everywhere, shapes[1])
        choose = jax.jit(_acquire, static_argnums=(0, 4, 5), out_shardings=(everywhere, kept, everywhere))
    return choose.lower(strategy, *shapes, query_size, mesh).compile()


@functools.partial(jax.jit, static_argnums=(0, 4, 5))
def _acquire(
    strategy: Strategy, key: Array, state: Any, inputs: AcquisitionInputs, query_size: int, mesh: Mesh | None
) -> Any:
    """Acquire; the mesh is static because it is looked up while tracing."""
    with pool_mesh(mesh):
        return strategy.acquire(key, state, inputs, query_size)
