"""Selection for any model: what to label next, and why."""

import functools
import inspect
import typing
import warnings
from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh

from jaxal.acquisition.completion import complete_inputs
from jaxal.acquisition.memory import default_block_bytes
from jaxal.acquisition.pool_inputs import PoolArrays, mesh_for, read_integer, read_pool
from jaxal.config.strategies import StrategyConfig
from jaxal.config.strategy_words import parse_strategy
from jaxal.errors import ConfigError, InputError, SelectionWarning
from jaxal.kernels.blocks import block_budget
from jaxal.kernels.pool_mesh import everywhere, pool_mesh
from jaxal.kernels.progress import Listener, current_listener, progress_to
from jaxal.strategies.registry import make_strategy
from jaxal.strategies.spread_pool import held_on_host, spread_inputs
from jaxal.strategies.strategy import AcquisitionInfo, AcquisitionInputs, Strategy
from jaxal.typing import Array

__all__ = ["LARGEST_SEED", "Selection", "query_notes", "select", "select_with_reasons"]

# Larger ones would be cut to 32 bits without a word.
LARGEST_SEED = 2**32 - 1

# Pools from this size on are worth telling how far a selection has come; smaller ones take seconds, and their programs
# can be kept in the compilation cache.
LONG_WORK_BYTES = 2**28


class Selection(NamedTuple):
    """What was chosen, in the order chosen, and what is told of each pick."""

    indices: np.ndarray  # int64 [Q], rows of the pool
    scores: np.ndarray  # float32 [Q], by the strategy's own rule; NaN where there is none
    reasons: tuple[str, ...]  # which rule made the pick; in compositions STAGE.RULE
    num_fallback: int  # picks that the strategy's own rule could not make


@typing.no_type_check  # what is wrong is refused by the argument's name, under a type checker too
def select(
    strategy: str | dict | StrategyConfig,
    *,
    embeddings,
    labels,
    budget: int,
    num_classes: int | None = None,
    logits=None,
    head=None,
    mc_logits=None,
    source_logits=None,
    sample_ids=None,
    seed: int = 0,
    memory: int | None = None,
    devices: int | None = None,
) -> np.ndarray:
    """Choose which samples of a pool to label next, for a model trained anywhere.

    Arrays are NumPy's, JAX's, PyTorch's, or of anything that speaks DLPack. Floating-point arrays of any width are
    converted to float32; what lies beyond its range (3.4e38) is refused like infinity, and so are embeddings that are
    longer than 9e18. Rows with label -2 may hold anything. The same arguments give the same picks; ties go to the
    lowest row.

    >>> import numpy as np
    >>> logits = np.array([[4.0, 0.0], [0.1, 0.0], [2.0, 0.0], [0.0, 3.0]])
    >>> select("entropy", embeddings=logits, logits=logits, labels=np.array([0, -1, -1, -1]), budget=2)
    array([1, 2])

    Args:
        strategy: a name, `balanced(NAME)`, a table such as {"kind": "auto_fm", "alpha_init": "half"}, or a config.
        embeddings: floats [N, D], what goes into the model's last layer.
        labels: integers [N]: the class from 0, -1 = unlabeled, -2 = never ask (and never looked at).
        budget: labels to buy, at least 1.
        num_classes: C, classes without a label yet included; else that of head, logits or mc_logits, else the largest
            label + 1 (at least 2) with a warning.
        logits: floats [N, C]; computed from the head where they are missing and needed.
        head: (weight [D, C], bias [C]) or a LinearHead: logits = embeddings @ weight + bias. Given with logits, both
            must agree to 1e-3 of the largest logit (or to the spacing of the coarsest type given, such as bfloat16).
        mc_logits: floats [M, N, C], outputs of M passes with dropout on.
        source_logits: floats [N, S], outputs of a source model over classes of its own; else the model's own logits,
            with a warning.
        sample_ids: integers or text [N], all different: what noise hangs on, so that a pool in another order gets the
            same picks; else the row numbers. Only rows with label -2 may repeat them.
        seed: 0 … 2³²-1.
        memory: bytes that the temporaries of one block of a pass over the pool may take (at least one row is worked on;
            what is given comes on top); it changes no pick. By default a 32nd of what is free, on the host at most 64
            MiB, on a device at least that.
        devices: of this process's devices, how many the pool's rows are spread over; each works on its own rows. Sums
            over rows may differ in their last bits from those on another number of devices. By default all there are;
            on CPUs one.

    Returns:
        int64 [min(budget, unlabeled)], indices of pool rows in the order chosen. Stages concatenate.

    Raises:
        InputError: an argument that is refused, by its name.

    Warns:
        SelectionWarning: fewer are unlabeled than asked for, picks that the strategy's own rule could not make, a
            number of classes or source logits that had to be assumed, or logits that look like probabilities.
    """
    return _choose_and_warn(locals()).indices


@functools.wraps(select, assigned=())  # takes what `select` takes
@typing.no_type_check
def select_with_reasons(*given, **named) -> Selection:
    """Choose as `select` does, and tell the score and the reason of each pick as well."""
    arguments = inspect.signature(select).bind(*given, **named)
    arguments.apply_defaults()
    return _choose_and_warn(arguments.arguments)


@typing.no_type_check  # a checked function is wrapped, and one call further from the caller
def _choose_and_warn(arguments: Mapping[str, Any]) -> Selection:
    """Choose by the arguments of `select`; must be called by what the user calls, which is what warnings point to."""
    settings = dict(arguments)
    arrays = PoolArrays(**{name: settings.pop(name) for name in PoolArrays._fields})
    selection, notes = _choose(arrays=arrays, **settings)
    for note in notes:
        warnings.warn(note, SelectionWarning, stacklevel=3)
    return selection


def _choose(
    strategy: Any, arrays: PoolArrays, budget: Any, num_classes: Any, seed: Any, memory: Any, devices: Any
) -> tuple[Selection, tuple[str, ...]]:
    try:
        config = parse_strategy(strategy)
    except ConfigError as error:  # here the strategy is an argument like the others
        raise InputError(str(error)) from error
    num_asked = read_integer("budget", budget, 1)
    key = jax.random.key(read_integer("seed", seed, 0, LARGEST_SEED))
    block_bytes = default_block_bytes() if memory is None else read_integer("memory", memory, 1)
    mesh = mesh_for(devices)
    # Whatever the caller has set: in 64 bits the same seed would draw other numbers.
    with jax.enable_x64(False), block_budget(block_bytes):
        with held_on_host(mesh):
            pool = read_pool(arrays, num_classes=num_classes, budget=num_asked)
            plan = make_strategy(config, num_classes=pool.num_classes)
            inputs, derivation_notes = complete_inputs(plan, pool)
        query_size = min(num_asked, pool.num_unlabeled)
        listener = current_listener() if inputs.embeddings.nbytes >= LONG_WORK_BYTES else None
        with progress_to(listener):
            inputs = inputs if mesh is None else spread_inputs(inputs, mesh)
            query, info = jax.device_get(_acquire(plan, key, inputs, query_size, block_bytes, listener, mesh))
    is_valid = query.is_valid
    selection = Selection(
        indices=query.indices[is_valid].astype(np.int64),
        scores=info.score[is_valid],
        reasons=tuple(plan.reasons[reason] for reason in info.reason[is_valid].tolist()),
        num_fallback=int(info.num_fallback),
    )
    return selection, pool.notes + derivation_notes + query_notes(plan, selection, num_asked)


@functools.partial(jax.jit, static_argnums=(0, 3, 4, 5, 6))
def _acquire(
    strategy: Strategy,
    key: Array,
    inputs: AcquisitionInputs,
    query_size: int,
    block_bytes: int,
    listener: Listener | None,
    mesh: Mesh | None,
) -> tuple[Any, AcquisitionInfo]:
    """Acquire from a fresh state; what is static beside the strategy and Q is looked up while tracing."""
    with pool_mesh(mesh):
        query, _, info = strategy.acquire(key, strategy.init(inputs), inputs, query_size)
        return everywhere((query, info))


def query_notes(strategy: Strategy, selection: Selection, num_asked: int) -> tuple[str, ...]:
    """Say what a caller should know of a selection beside the picks: too few of them, or by another rule."""
    notes = []
    num_picks = len(selection.indices)
    if num_picks < num_asked:
        notes.append(f"budget: {num_asked} asked for, but only {num_picks} are unlabeled; all of them are chosen")
    if selection.num_fallback:
        counts = ", ".join(f"{count} by {reason}" for reason, count in Counter(selection.reasons).items())
        notes.append(
            f"strategy: {selection.num_fallback} of {num_picks} picks could not be made by {strategy.name}'s own rule"
            f" and fell back to another ({counts})"
        )
    return tuple(notes)
