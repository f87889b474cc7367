"""What a strategy is, what it may look at, and what it tells of its choice."""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import jax.numpy as jnp

from jaxal.errors import InputError
from jaxal.kernels.masking import picked_values
from jaxal.pool import PoolState, Query, is_selectable
from jaxal.typing import Array, Float, Int32, LinearHead

__all__ = ["AcquisitionInfo", "AcquisitionInputs", "Strategy", "needed", "num_to_pick", "single_reason", "stateless"]


T = TypeVar("T")


class AcquisitionInputs(NamedTuple):
    """All that a strategy may look at: no image, no hidden label. What a strategy does not need may be None."""

    pool: PoolState
    embeddings: Float[Array, "N D"]
    sample_ids: Int32[Array, " N"]  # stable over permutations and padding of the pool; noise hangs on them
    labels_left: Int32[Array, ""]  # labels that may still be bought before the next fit; bounds the query
    logits: Float[Array, "N C"] | None = None
    head: LinearHead | None = None
    mc_logits: Float[Array, "M N C"] | None = None
    source_logits: Float[Array, "N S"] | None = None


class AcquisitionInfo(NamedTuple):
    """What a reader wants to know of each pick, in the order of the query."""

    score: Float[Array, " Q"]  # NaN where there is none
    reason: Int32[Array, " Q"]  # indexes Strategy.reasons; 0 on padding
    num_fallback: Int32[Array, ""]  # picks that the strategy's own rule could not make


class Strategy(NamedTuple):
    """An acquisition rule as pure functions; made by a cached factory, so that the same config is the same Strategy."""

    name: str
    needs: frozenset[str]  # optional fields of AcquisitionInputs that must be given
    reasons: tuple[str, ...]
    init: Callable[[AcquisitionInputs], Any]  # () if stateless; of the inputs only the pool and shapes mean something
    # (key, state, inputs, query_size) -> (Query, state, AcquisitionInfo); traceable, query_size static, may be 0.
    # Valid picks number min(query_size, labels_left, unlabeled).
    acquire: Callable[..., tuple[Query, Any, AcquisitionInfo]]


def needed(value: T | None, name: str) -> T:
    """Return an optional input that a strategy needs.

    Raises:
        InputError: it is not given.
    """
    if value is None:
        raise InputError(f"{name}: needed by this strategy, but not given")
    return value


def stateless(inputs: AcquisitionInputs) -> tuple[()]:
    """Start the state of a strategy that keeps none."""
    return ()


def num_to_pick(inputs: AcquisitionInputs, query_size: int) -> Int32[Array, ""]:
    """Count the picks of this query: min(query_size, labels_left, unlabeled)."""
    num_unlabeled = jnp.sum(is_selectable(inputs.pool), dtype=jnp.int32)
    return jnp.maximum(jnp.minimum(jnp.minimum(inputs.labels_left, query_size), num_unlabeled), 0)


def single_reason(query: Query, values: Float[Array, " N"]) -> AcquisitionInfo:
    """Describe a query whose picks all have the first reason and the score given per pool row."""
    return AcquisitionInfo(
        score=picked_values(values, query.indices, query.is_valid),
        reason=jnp.zeros_like(query.indices),
        num_fallback=jnp.asarray(0, jnp.int32),
    )
