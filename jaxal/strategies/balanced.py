"""The balancing step as a combinator over any strategy (Aggarwal et al., WACV 2020, Eq. 8-9)."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxal.kernels.balancing import balanced_picks, renew_squares
from jaxal.pool import UNLABELED, Query, class_counts, is_selectable
from jaxal.strategies.strategy import AcquisitionInfo, AcquisitionInputs, Strategy, num_to_pick
from jaxal.typing import Array, Bool, Int32, PRNGKey

__all__ = ["BALANCING", "balanced"]

BALANCING = "balancing"  # the reason of a pick by Eq. 9

# How many picks a base is asked for at a time where more labels are to be bought than one call returns; what a base
# allocates by query size (clusters, say) stays modest.
MOST_LISTED = 4096


class BaseList(NamedTuple):
    """The base's picks in its order: [N] each, padding behind."""

    rows: Array  # int32, padding holds N
    score: Array  # float32
    reason: Array  # int32
    num_fallback: Array  # int32 []


class BalancedState(NamedTuple):
    """What one query, revealed label by label, carries from call to call; only `base` outlives the query."""

    base: Any
    round: Array  # int32 [], pool.round when the query began; -1 before the first
    labels_left: Array  # int32 [], what the next call of the same query is given
    listed: BaseList
    position: Array  # int32 [], entries of the list before it are done with
    is_switched: Array  # bool [], the latch of Eq. 8
    labels: Array  # int32 [N], the labels that `squares` stand for
    squares: Array  # float [C, N], ‖z_i - μ_c‖²


@functools.cache
def balanced(base: Strategy, *, denominator: str, num_classes: int) -> Strategy:
    """Take the base's picks until the budget left is needed to even out the classes, then the rarest class's likes.

    The budget is labels_left. Before each pick, and over known classes (n_c ≥ 1) alone, Eq. 8 is tested:
    budget left ≤ num_under·(mean count of the over-represented - mean count of the under-represented classes), where
    over- and under-represented mean above and below the mean count. Once true it stays true until the next query. Until
    then the picks are the base's, off a list asked once for the whole query; after it each is the argmin of Eq. 9,
    d(μ_rarest, x) / max over over-represented classes j of d(μ_j, x), d the L2 distance; ties go to the rarest class
    that is lowest, and to the lowest row. With no over-represented class (none or one known, equal counts) the list
    goes on, without the rows taken meanwhile.

    Within one call no label becomes known: a pick off the list then counts for the class of the nearest centroid, a
    balancing pick for the class it was meant for, and centroids stay as they are (our reading; the paper has feedback
    after each label). Feedback comes by calling again: with the same pool.round, the embeddings unchanged, the labels
    entered, and labels_left less the picks of the call before. Then the list, the latch and the distances go on, and a
    label renews its class's distances alone. Any other round or labels_left begins a new query. That errs on the side
    that does no harm: a new list for the pool as it is, never an old one for a pool that has changed.
    A list that has fewer selectable rows left than are wanted (the answer to a pick was "skip", and did not count) is
    asked again, as is one that ends because more than MOST_LISTED labels are left. As a stage of a budget split, the
    budget is the stage's share of each call, and each call is a query of its own.

    Args:
        base: whose list is consumed; its own state is carried along, and changes when the list is asked.
        denominator: of Eq. 9, "max", or "none" for 1 in its place (the paper's ablation).
        num_classes: C.

    Returns:
        A strategy with the needs of its base. Reasons are BASE.REASON and "balancing"; the score is the base's, or
        Eq. 9's value: 1 where it reads 0/0, +inf for a row that lies on every over-represented centroid but not on the
        rarest. num_fallback counts those picks off the list that are among its last base.num_fallback entries: where
        the base's fallbacks stand, and all of them when the whole list is used.

    Cost: the base's once per query; O(NCD) once per query, O(ND) per label revealed; O(N) per pick off the list, O(NC)
    per balancing pick. The state holds N·C floats.

    References: Aggarwal, Popescu, Hudelot, WACV 2020, Eq. 8-9.
    """
    reasons = (*(f"{base.name}.{reason}" for reason in base.reasons), BALANCING)

    def init(inputs: AcquisitionInputs) -> BalancedState:
        num_rows = inputs.sample_ids.shape[0]
        return BalancedState(
            base=base.init(inputs),
            round=jnp.asarray(-1, jnp.int32),
            labels_left=jnp.asarray(0, jnp.int32),
            listed=BaseList(
                rows=jnp.full(num_rows, num_rows, jnp.int32),
                score=jnp.full(num_rows, jnp.nan, jnp.float32),
                reason=jnp.zeros(num_rows, jnp.int32),
                num_fallback=jnp.asarray(0, jnp.int32),
            ),
            position=jnp.asarray(0, jnp.int32),
            is_switched=jnp.asarray(False),
            labels=jnp.full(num_rows, UNLABELED, jnp.int32),
            squares=jnp.zeros((num_classes, num_rows), inputs.embeddings.dtype),
        )

    def acquire(
        key: PRNGKey, state: BalancedState, inputs: AcquisitionInputs, query_size: int
    ) -> tuple[Query, BalancedState, AcquisitionInfo]:
        selectable, num_wanted = is_selectable(inputs.pool), num_to_pick(inputs, query_size)
        is_new = (inputs.pool.round != state.round) | (inputs.labels_left != state.labels_left)
        position = jnp.where(is_new, 0, state.position)
        is_too_short = _num_open(state.listed.rows, position, selectable) < num_wanted
        listed, base_state = _list_of(base, key, state, inputs, query_size, is_new | is_too_short)
        position = jnp.where(is_too_short, 0, position)
        is_changed = is_new | _changed_classes(state.labels, inputs.pool.labels, num_classes)
        squares = renew_squares(state.squares, inputs.embeddings, inputs.pool.labels, is_changed)
        picks = balanced_picks(
            squares,
            class_counts(inputs.pool, num_classes=num_classes),
            selectable,
            listed.rows,
            position,
            state.is_switched & ~is_new,
            inputs.labels_left,
            num_wanted,
            query_size,
            denominator,
        )
        state = BalancedState(
            base=base_state,
            round=inputs.pool.round,
            labels_left=inputs.labels_left - num_wanted,
            listed=listed,
            position=picks.position,
            is_switched=picks.is_switched,
            labels=inputs.pool.labels,
            squares=squares,
        )
        query = Query(picks.indices, jnp.arange(query_size, dtype=jnp.int32) < num_wanted)
        return query, state, _describe(query, picks.entry, picks.ratio, listed, len(base.reasons))

    return Strategy(f"balanced({base.name})", base.needs, reasons, init, acquire)


def _describe(query: Query, entry: Array, ratio: Array, listed: BaseList, balancing_reason: int) -> AcquisitionInfo:
    """Tell of each pick off the list what the base told, and of a balancing pick its Eq. 9."""
    is_listed = query.is_valid & (entry >= 0)
    num_listed = jnp.sum(listed.rows < listed.rows.shape[0], dtype=jnp.int32)
    reason = jnp.where(is_listed, listed.reason[entry], balancing_reason)
    return AcquisitionInfo(
        score=jnp.where(is_listed, listed.score[entry], ratio.astype(listed.score.dtype)),
        reason=jnp.where(query.is_valid, reason, 0),
        num_fallback=jnp.sum(is_listed & (entry >= num_listed - listed.num_fallback), dtype=jnp.int32),
    )


def _num_open(rows: Int32[Array, " N"], position: Int32[Array, ""], selectable: Bool[Array, " N"]) -> Int32[Array, ""]:
    """Count the selectable rows of a list from a position on."""
    is_ahead = jnp.arange(rows.shape[0], dtype=jnp.int32) >= position
    return jnp.sum(is_ahead & selectable.at[rows].get(mode="fill", fill_value=False), dtype=jnp.int32)


def _changed_classes(before: Int32[Array, " N"], labels: Int32[Array, " N"], num_classes: int) -> Bool[Array, " C"]:
    """Mark the classes that gained or lost a sample."""
    is_changed = jnp.zeros(num_classes, bool)
    for side in (before, labels):
        # Negative labels are of no class; as indices they would count from the end.
        classes = jnp.where((before != labels) & (side >= 0), side, num_classes)
        is_changed = is_changed.at[classes].set(True, mode="drop")
    return is_changed


def _list_of(
    base: Strategy, key: Array, state: BalancedState, inputs: AcquisitionInputs, query_size: int, is_asked: Array
) -> tuple[BaseList, Any]:
    """Ask the base for the whole query, where that is called for; else return the list there is."""
    num_rows = inputs.sample_ids.shape[0]

    def fitted(values: Array, like: Array, padding: int | float) -> Array:
        behind = jnp.full(max(num_rows - values.shape[0], 0), padding, like.dtype)
        return jnp.concatenate([values.astype(like.dtype), behind])[:num_rows]

    def asking(size: int) -> Callable[[], tuple[BaseList, Any]]:
        def ask() -> tuple[BaseList, Any]:
            query, base_state, info = base.acquire(key, state.base, inputs, size)
            listed = BaseList(
                rows=fitted(query.indices, state.listed.rows, num_rows),
                score=fitted(info.score, state.listed.score, jnp.nan),
                reason=fitted(info.reason, state.listed.reason, 0),
                num_fallback=info.num_fallback,
            )
            return listed, base_state

        return ask

    # A call that returns the whole query asks for no more than that: what a base does may grow with the static size.
    sizes = sorted({query_size, max(query_size, min(num_rows, MOST_LISTED))})
    number = jnp.where(inputs.labels_left <= query_size, 1, len(sizes))
    branches = [lambda: (state.listed, state.base), *(asking(size) for size in sizes)]
    return jax.lax.switch(jnp.where(is_asked, number, 0), branches)
