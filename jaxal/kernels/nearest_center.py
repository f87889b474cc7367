"""How far every row of a pool lies from its nearest center, renewed many centers at a time.

One matrix product measures a block of rows against all new centers. What it says is off by a rounding error that is
known in size; wherever that could matter, the distance is measured again by direct differences, so that the outcome is
that of direct differences throughout, while nearly all of the arithmetic is the product.
"""

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxal.kernels.blocks import map_row_blocks
from jaxal.kernels.marked_rows import marked_rows
from jaxal.kernels.pool_mesh import take
from jaxal.typing import Array, Bool, Float, Int32

__all__ = ["Geometry", "Points", "fold_centers", "lower_bounds", "product_tolerance", "search"]

# The share of a block's rows that are measured by differences at a time, and how many at least: few of them come nearer
# to a center in one pass, and reading rows that need not be read costs as much as the product does.
SHARE_AT_A_TIME = 1 / 8
ROWS_AT_A_TIME = 32

Points = tuple[Array, ...]  # arrays that share their first axis: what is known of each row


class Geometry(NamedTuple):
    """Squared distances between points, in two ways."""

    # (rows [R, …], centers [B, …]) -> (values, error), each [R, B]: by products; the truth is within error of values.
    by_products: Callable[[Points, Points], tuple[Array, Array]]
    # (points [P, …], points [P, …] or [1, …]) -> [P]: pair by pair, by differences, exactly 0 for equal points.
    by_differences: Callable[[Points, Points], Array]


def product_tolerance(width: int) -> float:
    """Bound the rounding of a float32 dot product of `width` terms, as a share of the product of the two norms.

    Rounding errors add up like a random walk: √width units in the last place, and a few for what goes with it.
    """
    return (math.sqrt(width) + 4) * float(jnp.finfo(jnp.float32).eps)


def lower_bounds(geometry: Geometry, rows: Points, centers: Points) -> Float[Array, "R B"]:
    """Bound squared distances from below by their product form, less its error.  Cost: one R×B product."""
    values, error = geometry.by_products(rows, centers)
    return jnp.maximum(values - error, 0)


def search(
    measure: Callable[[Array, Array], Array],
    bounds: Float[Array, "R B"],
    numbers: Int32[Array, " B"],
    squared: Float[Array, " R"],
    number: Int32[Array, " R"],
) -> tuple[Float[Array, " R"], Int32[Array, " R"], Float[Array, "R B"]]:
    """Find the nearest of B centers for a block of rows, where one is nearer than what is known already.

    Every distance that enters is one by differences. Pairs whose bound is not below what is known cannot lower it, and
    are never looked at. Of equally near centers the lowest number is taken.

    Args:
        measure: (rows [P], centers [P]), places in the block and among the B, -> their squared distances [P].
        bounds: no measured distance is below them; +inf for a center that is none, minus the distance (-0.0 too) for
            one measured already, NaN for a row that is to keep what it has.
        numbers: names of the centers, ascending.
        squared: what is known of the rows, +inf for nothing.
        number: of the center that it belongs to. One below all others keeps its row from a center only as near.

    Returns:
        (squared, number, bounds), in which all that was measured is marked.

    Cost: a pass over the bounds, and direct differences for about as many pairs as the bounds leave open.
    """
    num_rows = squared.shape[0]

    def left(bounds: Array) -> Array:
        return jnp.where(jnp.signbit(bounds), jnp.inf, bounds)

    def is_open(state: tuple[Array, ...]) -> Array:
        squared, number, _, least = state
        return (least < squared) | ((least == squared) & (least < jnp.inf) & (number > numbers[0]))

    def measure_rows(rows: Array, state: tuple[Array, ...]) -> tuple[Array, ...]:
        part = take(state, rows)
        squared, number, bounds, _ = part
        column = jnp.argmin(left(bounds), axis=1).astype(jnp.int32)
        measured, opened = measure(rows, column), is_open(part)
        is_tie = (measured == squared) & (numbers[column] < number)
        is_better = opened & ((measured < squared) | is_tie)
        is_measured = opened[:, None] & (jnp.arange(bounds.shape[1])[None] == column[:, None])
        bounds = jnp.where(is_measured, -measured[:, None], bounds)
        better = (jnp.where(is_better, measured, squared), jnp.where(is_better, numbers[column], number))
        renewed = (*better, bounds, jnp.min(left(bounds), axis=1))
        return jax.tree.map(lambda array, values: array.at[rows].set(values, mode="drop"), state, renewed)

    at_a_time = min(max(ROWS_AT_A_TIME, int(SHARE_AT_A_TIME * num_rows)), num_rows)

    def measure_some(state: tuple[Array, ...]) -> tuple[Array, ...]:
        return measure_rows(marked_rows(is_open(state), at_a_time), state)

    state = (squared, number, bounds, jnp.min(left(bounds), axis=1))
    # Where many rows are open, as for the first centers there are, all are measured at once.
    num_open = jnp.sum(is_open(state), dtype=jnp.int32)
    everyone = jnp.arange(num_rows, dtype=jnp.int32)
    state = jax.lax.cond(num_open > num_rows // 4, functools.partial(measure_rows, everyone), lambda same: same, state)
    squared, number, bounds, *_ = jax.lax.while_loop(lambda state: jnp.any(is_open(state)), measure_some, state)
    return squared, number, bounds


def fold_centers(
    geometry: Geometry,
    points: Points,
    nearest: Float[Array, " N"],
    centers: Points,
    is_real: Bool[Array, " B"],
    block_size: int,
) -> Float[Array, " N"]:
    """Lower each row's squared distance to its nearest center by B further centers.

    nearest_i ← min(nearest_i, min_b d²(i, b)), by `search`.

    Args:
        geometry: of the points.
        points: of the pool; rows may hold NaN, they then keep what they have.
        nearest: what is known so far, +inf for nothing.
        centers: the new centers.
        is_real: which of the B are.
        block_size: rows per block; changes memory only.

    Cost: one product with N×B results, by blocks of rows, and what `search` measures again.
    """

    numbers = jnp.arange(is_real.shape[0], dtype=jnp.int32)

    def fold_block(nearest: Array, *rows: Array) -> Array:
        def measure(places: Array, columns: Array) -> Array:
            return geometry.by_differences(take(rows, places), take(centers, columns))

        bounds = jnp.where(is_real[None], lower_bounds(geometry, rows, centers), jnp.inf)
        return search(measure, bounds, numbers, nearest, jnp.full_like(nearest, -1, jnp.int32))[0]

    return map_row_blocks(fold_block, (nearest, *points), block_size)
