"""How far every row of a pool lies from its nearest center, renewed many centers at a time.

One matrix product measures a block of rows against all new centers. What it says is off by a rounding error that is
known in size; wherever that could matter, the distance is measured again by direct differences, so that the outcome is
that of direct differences throughout, while nearly all of the arithmetic is the product.
"""

import functools
import math
from collections.abc import Callable
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp

from jaxal.kernels.blocks import map_row_blocks
from jaxal.typing import Array, Bool, Float, Int32

__all__ = ["Geometry", "Points", "fold_centers", "product_tolerance", "settle", "take"]

# Pairs of row and center that are measured by differences at a time.
PAIRS_AT_A_TIME = 128

T = TypeVar("T")
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


def take(points: T, rows: Array) -> T:
    """Read the points of some rows; rows beyond the last read the last."""
    return jax.tree.map(lambda array: array.at[rows].get(mode="clip"), points)


def settle(
    geometry: Geometry,
    rows: Points,
    centers: Points,
    is_real: Bool[Array, " B"],
    nearest: Float[Array, " R"],
    number: Int32[Array, " R"],
) -> tuple[Float[Array, " R"], Int32[Array, " R"]]:
    """Find for a block of rows the nearest of B centers, where one is nearer than what is known already.

    Every distance that enters is one by differences. Pairs whose product form, less its error, is not below what is
    known cannot lower it, and are never looked at.

    Args:
        geometry: of the points.
        rows: the block; a row that holds NaN keeps what it has.
        centers: the centers.
        is_real: which of them are.
        nearest: squared distances known so far, +inf for nothing.
        number: of the center that they belong to.

    Returns:
        (nearest, number): number is a place among the B where a center lowered the distance; equally near ones give
        the lowest.

    Cost: one R×B product, and direct differences for about as many rows as come nearer to a center.
    """
    values, error = geometry.by_products(rows, centers)
    lower = jnp.where(is_real[None], jnp.maximum(values - error, 0), jnp.inf)
    num_rows = nearest.shape[0]
    places = jnp.arange(lower.shape[1], dtype=jnp.int32)
    was_known = nearest

    def is_unsettled(state: tuple[Array, ...]) -> Array:
        nearest, _, _, least = state
        return jnp.any(least < nearest)

    def measure(open_rows: Array, state: tuple[Array, ...]) -> tuple[Array, ...]:
        nearest, number, lower, least = state
        open_lower, open_least = take((lower, least), open_rows)
        center = jnp.argmin(open_lower, axis=1).astype(jnp.int32)
        measured = geometry.by_differences(take(rows, open_rows), take(centers, center))
        open_nearest, open_number = take((nearest, number), open_rows)
        # A tie with what was known before the block leaves it; one inside the block goes to the lowest.
        is_tie = (measured == open_nearest) & (measured < take(was_known, open_rows)) & (center < open_number)
        is_better = (open_least < open_nearest) & ((measured < open_nearest) | is_tie)
        open_lower = jnp.where(places[None] == center[:, None], jnp.inf, open_lower)
        return (
            nearest.at[open_rows].set(jnp.where(is_better, measured, open_nearest), mode="drop"),
            number.at[open_rows].set(jnp.where(is_better, center, open_number), mode="drop"),
            lower.at[open_rows].set(open_lower, mode="drop"),
            least.at[open_rows].set(jnp.min(open_lower, axis=1), mode="drop"),
        )

    def measure_some(state: tuple[Array, ...]) -> tuple[Array, ...]:
        nearest, _, _, least = state
        (open_rows,) = jnp.nonzero(least < nearest, size=min(PAIRS_AT_A_TIME, num_rows), fill_value=num_rows)
        return measure(open_rows, state)

    start = (nearest, number, lower, jnp.min(lower, axis=1))
    # Where many rows are open, as for the first centers there are, all are measured at once.
    num_open = jnp.sum(start[-1] < nearest, dtype=jnp.int32)
    everyone = jnp.arange(num_rows, dtype=jnp.int32)
    start = jax.lax.cond(num_open > num_rows // 4, functools.partial(measure, everyone), lambda state: state, start)
    nearest, number, _, _ = jax.lax.while_loop(is_unsettled, measure_some, start)
    return nearest, number


def fold_centers(
    geometry: Geometry,
    points: Points,
    nearest: Float[Array, " N"],
    centers: Points,
    is_real: Bool[Array, " B"],
    block_size: int,
) -> Float[Array, " N"]:
    """Lower each row's squared distance to its nearest center by B further centers.

    nearest_i ← min(nearest_i, min_b d²(i, b)), by `settle`.

    Args:
        geometry: of the points.
        points: of the pool; rows may hold NaN, they then keep what they have.
        nearest: what is known so far, +inf for nothing.
        centers: the new centers.
        is_real: which of the B are.
        block_size: rows per block; changes memory only.

    Cost: one product with N×B results, by blocks of rows, and what `settle` measures again.
    """

    def fold_block(nearest: Array, *rows: Array) -> Array:
        nobody = jnp.zeros(nearest.shape, jnp.int32)
        return settle(geometry, rows, centers, is_real, nearest, nobody)[0]

    return map_row_blocks(fold_block, (nearest, *points), block_size)
