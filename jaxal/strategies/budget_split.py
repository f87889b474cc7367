"""Stages that share a query: each chooses from what the stages before it left."""

import functools
import itertools
import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxal.kernels.masking import concatenate_picks, pick_mask
from jaxal.pool import EXCLUDED, Query
from jaxal.strategies.strategy import AcquisitionInfo, AcquisitionInputs, Strategy, num_to_pick
from jaxal.typing import PRNGKey

__all__ = ["budget_split", "stage_sizes"]


def stage_sizes(shares: tuple[float, ...], query_size: int) -> np.ndarray:
    """Tabulate how many picks each stage gets for every query of 0 to Q: an int32 array [Q + 1, stages].

    The first k stages together get ceil(q·(share_1 + … + share_k)), so the first of two halves gets the odd one; shares
    are read as the nearest fractions with a denominator up to a million, and no float rounding moves a pick.

    >>> stage_sizes((0.5, 0.5), 3).tolist()
    [[0, 0], [1, 0], [1, 1], [2, 1]]
    """
    ends = list(itertools.accumulate(Fraction(str(share)).limit_denominator(10**6) for share in shares))
    ends[-1] = Fraction(1)
    reached = [[0, *(min(math.ceil(size * end), size) for end in ends)] for size in range(query_size + 1)]
    return np.diff(np.array(reached), axis=1).astype(np.int32)


def budget_split(stages: Sequence[tuple[Strategy, float]], *, name: str = "budget_split") -> Strategy:
    """Compose stages (strategy, share) into one strategy: stage 1's picks, then stage 2's from what is left, …

    Picks of earlier stages count as excluded for later ones: not asked again, and not labeled either. Reasons read
    STAGE.REASON. The state is the tuple of the stages' states.
    """
    return _composed(tuple(stages), name)


@functools.cache
def _composed(stages: tuple[tuple[Strategy, float], ...], name: str) -> Strategy:
    strategies = tuple(strategy for strategy, _ in stages)
    shares = tuple(share for _, share in stages)
    offsets = np.cumsum([0, *(len(strategy.reasons) for strategy in strategies)]).tolist()

    def init(inputs: AcquisitionInputs) -> tuple[Any, ...]:
        return tuple(strategy.init(inputs) for strategy in strategies)

    def acquire(
        key: PRNGKey, state: tuple[Any, ...], inputs: AcquisitionInputs, query_size: int
    ) -> tuple[Query, tuple[Any, ...], AcquisitionInfo]:
        num_rows = inputs.sample_ids.shape[0]
        table = stage_sizes(shares, query_size)
        sizes = jnp.asarray(table)[num_to_pick(inputs, query_size)]
        queries, states, infos = [], [], []
        for number, strategy in enumerate(strategies):  # stages are few and differ; the loop is over them, not samples
            # The first stage draws with the query's own key: alone or as a stage, it makes the same picks.
            # Later stages fold with numbers that no sample id (an int32) can have.
            stage_key = key if number == 0 else jax.random.fold_in(key, 2**32 - number)
            stage_inputs = inputs._replace(labels_left=sizes[number])
            query, stage_state, info = strategy.acquire(
                stage_key, state[number], stage_inputs, int(table[:, number].max())
            )
            taken = pick_mask(query.indices, num_rows)
            labels = jnp.where(taken, EXCLUDED, inputs.pool.labels)
            inputs = inputs._replace(pool=inputs.pool._replace(labels=labels))
            queries.append(query)
            states.append(stage_state)
            infos.append(info._replace(reason=info.reason + offsets[number]))
        order, is_valid = concatenate_picks(tuple(query.is_valid for query in queries), query_size)
        indices = jnp.concatenate([query.indices for query in queries])
        score = jnp.concatenate([info.score for info in infos])
        reason = jnp.concatenate([info.reason for info in infos])
        info = AcquisitionInfo(
            score=score.at[order].get(mode="fill", fill_value=jnp.nan),
            reason=jnp.where(is_valid, reason.at[order].get(mode="fill", fill_value=0), 0),
            num_fallback=sum((info.num_fallback for info in infos), start=jnp.asarray(0, jnp.int32)),
        )
        query = Query(indices.at[order].get(mode="fill", fill_value=num_rows), is_valid)
        return query, tuple(states), info

    return Strategy(
        name=name,
        needs=frozenset().union(*(strategy.needs for strategy in strategies)),
        reasons=tuple(f"{strategy.name}.{reason}" for strategy in strategies for reason in strategy.reasons),
        init=init,
        acquire=acquire,
    )
