"""Spread a query over the embeddings: of the best-ranked candidates, those that lie apart."""

from typing import Literal

import jax.numpy as jnp

from jaxal.kernels.k_center import k_center
from jaxal.kernels.k_means import k_means, nearest_to_centers
from jaxal.kernels.masking import lowest
from jaxal.strategies.strategy import AcquisitionInputs
from jaxal.typing import Array, Bool, Int32, PRNGKey

__all__ = ["ranks", "spread_turns"]


def ranks(keys: tuple[Array, ...], is_selectable: Bool[Array, " N"]) -> Int32[Array, " N"]:
    """Number the selectable rows in the order of their keys (as `lowest` has it) from 0; N for the other rows."""
    num_rows = is_selectable.shape[0]
    order, _ = lowest(keys, is_selectable, jnp.asarray(num_rows, jnp.int32), num_rows)
    places = jnp.arange(num_rows, dtype=jnp.int32)
    return jnp.full(num_rows, num_rows, jnp.int32).at[order].set(places, mode="drop")


def spread_turns(
    kind: Literal["k_means", "k_center"],
    key: PRNGKey,
    inputs: AcquisitionInputs,
    rank: Int32[Array, " N"],
    is_spread: Bool[Array, " N"],
    num_wanted: Int32[Array, ""],
    query_size: int,
) -> Int32[Array, " N"]:
    """Give each row its turn among the rows to spread: to be sorted before the rank.

    k_means: the candidate nearest to each of min(num_wanted, candidates) cluster centers; all have turn 0, so that
    their rank orders them. k_center: greedily the candidate farthest from everything labeled or chosen, turns 0, 1, …
    (were nothing labeled, the best-ranked would open). Rows that are not chosen have turn Q.

    Args:
        kind: by which of the two.
        key: for the first centers of k-means.
        inputs: embeddings, ids and labels.
        rank: each row's place in the strategy's own order, 0 the best.
        is_spread: the candidates to choose from.
        num_wanted: how many are wanted; fewer are chosen where there are fewer, or where clusters stay empty because
            samples coincide.
        query_size: Q, static.
    """
    num_rows = rank.shape[0]
    if kind == "k_center":
        chosen, _, _ = k_center(
            inputs.embeddings, inputs.pool.labels >= 0, is_spread, -rank.astype(jnp.float32), num_wanted, query_size
        )
        turns = jnp.arange(query_size, dtype=jnp.int32)
    else:
        found = k_means(key, inputs.embeddings, inputs.sample_ids, is_spread, num_wanted, min(query_size, num_rows))
        chosen = nearest_to_centers(inputs.embeddings, is_spread, *found)
        turns = jnp.zeros_like(chosen)
    return jnp.full(num_rows, query_size, jnp.int32).at[chosen].set(turns, mode="drop")
