"""D² sampling (k-means++, Arthur and Vassilvitskii 2007) in blocks: many picks for one pass of the pool, by rejection.

Each row is given the time of its first arrival in a Poisson process whose rate is its weight, the squared distance to
the nearest pick when the block begins. In the order of time, rows arrive in proportion to these weights, independently.
An arrival is accepted with probability weight now / weight then, so accepted ones come in proportion to the weights of
their moment: the law is that of drawing one by one. The M rows that arrive first hold the first M arrivals, repeated
ones included; after those, or after as many picks as a pass takes, the block ends. What a Poisson process does from
then on is independent of all that has been looked at, and the next block begins with fresh noise.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxal.kernels.masking import top_values
from jaxal.kernels.nearest_center import Geometry, Points, fold_centers
from jaxal.kernels.pool_mesh import take, take_rows
from jaxal.kernels.progress import tell
from jaxal.typing import Array, Bool, Float, Int32, PRNGKey

__all__ = [
    "ARRIVALS",
    "PICKS_PER_PASS",
    "draw_block",
    "first_arrivals",
    "num_per_pass",
    "row_gumbels",
    "sample_by_distance",
]

# The arrivals of a block, and how many of them may be picked: few are rejected, and the passes do not dominate.
ARRIVALS = 256
PICKS_PER_PASS = 128


class Arrivals(NamedTuple):
    """The rows that arrive first in a block, [M]."""

    rows: Array
    first: Array  # -log of the time of each row's first arrival, the largest first; -inf for never
    log_rate: Array  # of its arrivals


class Block(NamedTuple):
    """The arrivals of one block, [M] and [B]."""

    arrival: Array  # -log of the time of each row's next arrival: large is early; -inf for never
    uniform: Array  # in [0, 1), for the next arrival of each row: accepted if below its weight now / then
    weight: Array  # now
    num_again: Array  # int32, arrivals of each row that were rejected
    picks: Array  # int32 [B], places among the M rows
    distances: Array  # [B], squared, when picked
    num_picks: Array
    num_arrivals: Array


def row_gumbels(key: PRNGKey, sample_ids: Int32[Array, " N"]) -> Float[Array, " N"]:
    """Draw a standard Gumbel number for each row from its stable id; -log of an exponential one.

    Two 32-bit words a number: the 23 bits of the plain mode are exhausted by the best of a million rows.
    """
    return jax.vmap(lambda each: jax.random.gumbel(jax.random.fold_in(key, each), dtype=jnp.float32, mode="high"))(
        sample_ids
    )


def num_per_pass(query_size: int, picks_per_pass: int = PICKS_PER_PASS) -> int:
    """Bound the picks of a block: no more than there can be, as a power of two."""
    return min(picks_per_pass, 1 << max(query_size - 1, 0).bit_length())


def first_arrivals(
    block_key: PRNGKey,
    nearest: Float[Array, " N"],
    sample_ids: Int32[Array, " N"],
    is_free: Bool[Array, " N"],
    num_arrivals: int,
) -> Arrivals:
    """Find the rows that arrive first in a block.

    Args:
        block_key: of the block.
        nearest: squared distance of each row to the nearest center so far, finite on free rows.
        sample_ids: stable ids, on which the noise hangs.
        is_free: rows that may be drawn.
        num_arrivals: M, static; all rows where there are fewer.

    Cost: two hashes a row, and a partial sort.
    """
    first_key, _, _ = jax.random.split(block_key, 3)
    log_weight = jnp.where(is_free, jnp.log(nearest), -jnp.inf)
    times = jnp.where(log_weight > -jnp.inf, log_weight + row_gumbels(first_key, sample_ids), -jnp.inf)
    first, rows = top_values(times, min(num_arrivals, times.shape[0]))
    return Arrivals(rows, first, take_rows(log_weight, rows))


def draw_block(
    block_key: PRNGKey,
    geometry: Geometry,
    candidates: Points,
    ids: Int32[Array, " M"],
    weight_then: Float[Array, " M"],
    arrivals: Arrivals,
    num_left: Int32[Array, ""],
    per_pass: int,
    num_arrivals: int = ARRIVALS,
) -> Block:
    """Let the first rows of a block arrive again and again, and accept or reject each arrival.

    Args:
        block_key: of the block, the one that the arrivals were drawn by.
        geometry: of the points.
        candidates: the points of the rows that arrive.
        ids: their stable ids.
        weight_then: their squared distances when the block begins.
        arrivals: of the block.
        num_left: picks that are wanted at most.
        per_pass: B, static: picks at most.
        num_arrivals: static: arrivals at most, also of fewer rows, so that padding changes nothing.

    Cost: M distances a pick.
    """
    _, accept_key, later_key = jax.random.split(block_key, 3)
    uniforms = jax.vmap(lambda each: jax.random.uniform(jax.random.fold_in(accept_key, each)))(ids)

    def goes_on(state: Block) -> Array:
        is_open = (state.num_arrivals < num_arrivals) & (state.num_picks < jnp.minimum(per_pass, num_left))
        return is_open & (jnp.max(state.arrival) > -jnp.inf)

    def accept(state: Block, place: Array) -> Block:
        reached = geometry.by_differences(candidates, take(candidates, place[None]))
        return state._replace(
            arrival=state.arrival.at[place].set(-jnp.inf),
            weight=jnp.minimum(state.weight, reached),
            picks=state.picks.at[state.num_picks].set(place),
            distances=state.distances.at[state.num_picks].set(state.weight[place]),
            num_picks=state.num_picks + 1,
        )

    def reject(state: Block, place: Array) -> Block:
        # Not by the number of all arrivals: two that come at nearly the same time would change all noise after them.
        again_key = jax.random.fold_in(jax.random.fold_in(later_key, ids[place]), state.num_again[place])
        gap_key, uniform_key = jax.random.split(again_key)
        # Times add up: that of this arrival and an exponential one at the same rate.
        gap = arrivals.log_rate[place] + jax.random.gumbel(gap_key, dtype=weight_then.dtype, mode="high")
        again = -jnp.logaddexp(-state.arrival[place], -gap)
        return state._replace(
            arrival=state.arrival.at[place].set(jnp.where(state.weight[place] > 0, again, -jnp.inf)),
            uniform=state.uniform.at[place].set(jax.random.uniform(uniform_key)),
            num_again=state.num_again.at[place].add(1),
        )

    def arrive(state: Block) -> Block:
        place = jnp.argmax(state.arrival).astype(jnp.int32)
        is_accepted = state.uniform[place] * weight_then[place] < state.weight[place]
        state = jax.lax.cond(is_accepted, accept, reject, state, place)
        return state._replace(num_arrivals=state.num_arrivals + 1)

    start = Block(
        arrival=arrivals.first,
        uniform=uniforms,
        weight=weight_then,
        num_again=jnp.zeros(len(ids), jnp.int32),
        picks=jnp.full(per_pass, num_arrivals, jnp.int32),
        distances=jnp.full(per_pass, jnp.nan, weight_then.dtype),
        num_picks=jnp.asarray(0, jnp.int32),
        num_arrivals=jnp.asarray(0, jnp.int32),
    )
    return jax.lax.while_loop(goes_on, arrive, start)


def sample_by_distance(
    key: PRNGKey,
    geometry: Geometry,
    points: Points,
    nearest: Float[Array, " N"],
    sample_ids: Int32[Array, " N"],
    is_selectable: Bool[Array, " N"],
    num_wanted: Int32[Array, ""],
    query_size: int,
    *,
    block_size: int,
    num_arrivals: int = ARRIVALS,
    picks_per_pass: int = PICKS_PER_PASS,
) -> tuple[Int32[Array, " Q"], Float[Array, " Q"]]:
    """Draw rows one after the other in proportion to their squared distance to the nearest center, each a center then.

    Args:
        key: of all draws.
        geometry: of the points.
        points: of the pool.
        nearest: squared distance of each row to the nearest center so far, finite on selectable rows.
        sample_ids: stable ids, on which the noise hangs.
        is_selectable: rows that may be drawn, each once.
        num_wanted: picks wanted; fewer are made where no selectable row has any weight left.
        query_size: Q, static; may be 0.
        block_size: rows per block of a pass; changes memory only.
        num_arrivals: M, arrivals looked at between two passes over the pool; another number draws other rows, by the
            same law.
        picks_per_pass: B, how many of them may be picked; likewise.

    Returns:
        (indices, squared): squared distance of each pick to the nearest center when it was drawn; padding holds N, NaN.

    Cost: products of the points by Q picks, filled up to B columns a pass, at least one pick a pass; M distances a
    pick; two hashes a row and pass.
    """
    num_rows = nearest.shape[0]
    per_pass = num_per_pass(query_size, picks_per_pass)
    limit = jnp.minimum(num_wanted, query_size)

    def goes_on(carry: tuple[Array, ...]) -> Array:
        nearest, is_free, *_, num_done = carry
        return (num_done < limit) & jnp.any(is_free & (nearest > 0))

    def add_picks(carry: tuple[Array, ...]) -> tuple[Array, ...]:
        nearest, is_free, indices, squared, number, num_done = carry
        block_key = jax.random.fold_in(key, number)
        arrivals = first_arrivals(block_key, nearest, sample_ids, is_free, num_arrivals)
        candidates = take_rows((points, sample_ids, nearest), arrivals.rows)
        block = draw_block(block_key, geometry, *candidates, arrivals, limit - num_done, per_pass, num_arrivals)
        picked = arrivals.rows.at[block.picks].get(mode="fill", fill_value=num_rows)
        is_pick = picked < num_rows
        num_after = num_done + block.num_picks
        tell("draws", num_after, limit)
        places = jnp.where(is_pick, num_done + jnp.arange(per_pass, dtype=jnp.int32), query_size)
        nearest = jax.lax.cond(
            num_after < limit,  # nobody looks at the distances after the last pick
            lambda: fold_centers(geometry, points, nearest, take_rows(points, picked), is_pick, block_size),
            lambda: nearest,
        )
        return (
            nearest,
            is_free.at[picked].set(False, mode="drop"),
            indices.at[places].set(picked, mode="drop"),
            squared.at[places].set(block.distances, mode="drop"),
            number + 1,
            num_after,
        )

    start = (
        nearest,
        is_selectable,
        jnp.full(query_size, num_rows, jnp.int32),
        jnp.full(query_size, jnp.nan, nearest.dtype),
        jnp.asarray(0, jnp.int32),
        jnp.asarray(0, jnp.int32),
    )
    _, _, indices, squared, _, _ = jax.lax.while_loop(goes_on, add_picks, start)
    return indices, squared
