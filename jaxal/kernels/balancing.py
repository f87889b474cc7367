"""Balancing: when to leave a base strategy's list, and what to take instead (Aggarwal et al., WACV 2020, Eq. 8-9)."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxal.kernels.blocks import map_row_blocks
from jaxal.kernels.cached_blocks import rows_per_cached_block
from jaxal.kernels.centroids import class_centroids
from jaxal.kernels.distances import squared_distances
from jaxal.kernels.pool_mesh import everywhere, take_rows
from jaxal.kernels.push_pull import minority_class
from jaxal.typing import Array, Bool, Float, Int32

__all__ = ["BalancedPicks", "balanced_picks", "is_switch_due", "relative_squares", "renew_squares", "representation"]


class BalancedPicks(NamedTuple):
    """What `balanced_picks` chose, in the order chosen."""

    indices: Array  # int32 [Q], padding holds N
    entry: Array  # int32 [Q], place in the base list; -1 for a balancing pick and on padding
    ratio: Array  # float [Q], Eq. 9 of a balancing pick; NaN elsewhere
    counted_for: Array  # int32 [Q], the class that the pick counted for; -1 for none and on padding
    is_switched: Array  # bool [], the latch afterwards
    position: Array  # int32 [], entries of the base list before it are done with


def representation(counts: Int32[Array, " C"]) -> tuple[Bool[Array, " C"], Bool[Array, " C"]]:
    """Mark the over-represented classes (n_c > mean) and the under-represented ones (n_c < mean).

    The mean is over known classes, n_c ≥ 1; a class without labels is neither, nor is one that equals the mean. With at
    most one known class, or equal counts, none is either.
    """
    is_known = counts > 0
    total, num_known = jnp.sum(counts, dtype=jnp.int32), jnp.maximum(jnp.sum(is_known, dtype=jnp.int32), 1)
    # Whole numbers: n > total/K exactly where n > its floor, n < total/K exactly where n < its ceiling.
    return counts > total // num_known, is_known & (counts < -(-total // num_known))


def is_switch_due(counts: Int32[Array, " C"], labels_left: Int32[Array, ""]) -> Bool[Array, ""]:
    """Test whether all the labels left are needed to even out the classes (Eq. 8).

    labels left ≤ num_under · (mean count of the over-represented - mean count of the under-represented classes).
    Never where no class is over-represented. Exact in whole numbers while L·C < 2³¹.
    """
    is_over, is_under = representation(counts)
    num_over, num_under = jnp.sum(is_over, dtype=jnp.int32), jnp.sum(is_under, dtype=jnp.int32)
    sum_over = jnp.sum(jnp.where(is_over, counts, 0), dtype=jnp.int32)
    sum_under = jnp.sum(jnp.where(is_under, counts, 0), dtype=jnp.int32)
    # A whole number is at most num_under·sum_over/num_over - sum_under exactly when it is at most its floor.
    lack = num_under * sum_over // jnp.maximum(num_over, 1) - sum_under
    return (num_over > 0) & (labels_left <= lack)


def renew_squares(
    squares: Float[Array, "C N"],
    embeddings: Float[Array, "N D"],
    labels: Int32[Array, " N"],
    is_changed: Bool[Array, " C"],
) -> Float[Array, "C N"]:
    """Compute ‖z_i - μ_c‖² anew for the classes whose labeled samples have changed, and keep the others.

    Args:
        squares: as this function returned them for the labels before.
        embeddings: z, the same as then.
        labels: class of each row; negative values (unlabeled, excluded) are in no centroid.
        is_changed: classes c that gained or lost a sample since.

    Returns:
        The squares for these labels; the row of a class without labels means nothing. Each centroid is averaged whole,
        from differences to its first sample, so no error builds up label by label, equal samples have exactly their own
        value as mean, and a large common offset of the embeddings costs no digits.

    Cost: O(ND) arithmetic for each changed class, in one pass over the embeddings by blocks that stay in the cache, and
    one over the samples of each of those classes.
    """
    num_rows, width = embeddings.shape

    def centroid(each: tuple[Array, Array]) -> Array:
        label, is_changed = each
        # By itself, so that what other classes hold cannot change the order of its summation.
        members = jnp.where((labels == label) & is_changed, 0, -1)
        return class_centroids(embeddings, members, num_classes=1)[0][0]

    classes = jnp.arange(is_changed.shape[0], dtype=labels.dtype)
    centroids = jax.lax.map(centroid, (classes, is_changed))

    def measure_block(block: Array) -> Array:
        def measure(each: tuple[Array, Array]) -> Array:
            center, is_changed = each
            zero = jnp.zeros_like(block, shape=block.shape[:1])
            return jax.lax.cond(is_changed, lambda: squared_distances(block, center), lambda: zero)

        return jax.lax.map(measure, (centroids, is_changed)).T

    measured = map_row_blocks(measure_block, (embeddings,), rows_per_cached_block(2 * 4 * width, num_rows))
    return jnp.where(is_changed[:, None], measured.T, squares)


def relative_squares(squares: Float[Array, "C N"], counts: Int32[Array, " C"], denominator: str) -> Float[Array, " N"]:
    """Square Eq. 9, d(μ_rarest, x) / max over over-represented classes j of d(μ_j, x), for every row x.

    The square orders as the ratio does. A row on the centroid of every over-represented class has the denominator 0: if
    it lies on the rarest class's centroid too, 0/0 counts as 1, the value of all rows around centroids that coincide;
    else it is +inf, the last to be taken.

    Args:
        squares: ‖x - μ_c‖².
        counts: n; the rarest is the known class with the smallest, ties to the lowest class. Some class must be
            over-represented.
        denominator: "max", or "none" for 1 in its place (the paper's ablation).

    Cost: O(NC).
    """
    to_rarest = squares[minority_class(counts)]
    if denominator == "none":
        return to_rarest
    is_over, _ = representation(counts)
    farthest = jnp.max(jnp.where(is_over[:, None], squares, 0), axis=0)
    ratio = to_rarest / jnp.where(farthest > 0, farthest, 1)
    return jnp.where(farthest > 0, ratio, jnp.where(to_rarest > 0, jnp.inf, 1))


def balanced_picks(
    squares: Float[Array, "C N"],
    counts: Int32[Array, " C"],
    is_selectable: Bool[Array, " N"],
    base_rows: Int32[Array, " N"],
    position: Int32[Array, ""],
    is_switched: Bool[Array, ""],
    labels_left: Int32[Array, ""],
    num_wanted: Int32[Array, ""],
    query_size: int,
    denominator: str,
) -> BalancedPicks:
    """Take picks off a base strategy's list until Eq. 8 calls for balancing, then by Eq. 9.

    Before each pick Eq. 8 is tested; once true it stays true. Until then the next selectable row of the list is taken;
    after it the selectable row with the smallest Eq. 9, ties to the lowest row; but while no class is over-represented
    the list goes on. No label is known before the last pick, so a pick off the list counts for the class whose centroid
    is nearest to it (ties to the lowest class; for none while no class is known), and a balancing pick for the class it
    was meant for. These counts decide about the next pick; centroids stay as the known labels have them.

    Args:
        squares: ‖z_i - μ_c‖² to the centroids of the known labels.
        counts: n, of the known labels.
        is_selectable: rows that may be picked; a pick is never picked again.
        base_rows: the base strategy's list, padding N. The selectable rows of it from `position` on must number at
            least num_wanted.
        position: where in the list to go on.
        is_switched: the latch of Eq. 8.
        labels_left: labels that may still be bought before the next fit, this query's included.
        num_wanted: picks, at most Q and at most as many as rows are selectable.
        query_size: Q, static.
        denominator: of Eq. 9, "max" or "none".

    Cost: O(N) for a pick off the list, O(NC) for a balancing pick, in one loop on the device.
    """
    num_rows = is_selectable.shape[0]
    entries = jnp.arange(num_rows, dtype=jnp.int32)
    dtype = squares.dtype
    largest = jnp.finfo(dtype).max.astype(dtype)

    def off_list(selectable: Array, is_open: Array, counts: Array, position: Array) -> tuple[Array, ...]:
        entry = jnp.argmax((entries >= position) & is_open).astype(jnp.int32)
        row = base_rows[entry]
        to_centroids = jnp.where(counts > 0, squares.at[:, row].get(mode="fill", fill_value=jnp.inf), jnp.inf)
        label = jnp.where(jnp.any(counts > 0), jnp.argmin(to_centroids).astype(jnp.int32), -1)
        return row, entry, jnp.asarray(jnp.nan, dtype), label, entry + 1

    def balancing(selectable: Array, is_open: Array, counts: Array, position: Array) -> tuple[Array, ...]:
        values = relative_squares(squares, counts, denominator)
        # What is not selectable comes last, behind selectable rows at infinity too.
        order = jnp.where(values < largest, values, largest)
        row = jnp.argmin(jnp.where(selectable, order, jnp.inf)).astype(jnp.int32)
        ratio = jnp.sqrt(take_rows(values, row[None])[0])
        return row, jnp.asarray(-1, jnp.int32), ratio, minority_class(counts), position

    def pick(number: Array, carry: tuple[Any, ...]) -> tuple[Any, ...]:
        selectable, is_open, counts, picks = carry
        is_switched = picks.is_switched | is_switch_due(counts, labels_left - number)
        is_balancing = is_switched & jnp.any(representation(counts)[0])
        row, entry, ratio, label, position = jax.lax.cond(
            is_balancing, balancing, off_list, selectable, is_open, counts, picks.position
        )
        counts = counts.at[jnp.where(label >= 0, label, counts.shape[0])].add(1, mode="drop")
        picks = BalancedPicks(
            indices=picks.indices.at[number].set(row),
            entry=picks.entry.at[number].set(entry),
            ratio=picks.ratio.at[number].set(ratio),
            counted_for=picks.counted_for.at[number].set(label),
            is_switched=is_switched,
            position=position,
        )
        return selectable.at[row].set(False, mode="drop"), is_open & (base_rows != row), counts, picks

    room = max(query_size, 1)  # room for one even where Q = 0: the loop body is traced
    none = BalancedPicks(
        indices=jnp.full(room, num_rows, jnp.int32),
        entry=jnp.full(room, -1, jnp.int32),
        ratio=jnp.full(room, jnp.nan, dtype),
        counted_for=jnp.full(room, -1, jnp.int32),
        is_switched=is_switched,
        position=position,
    )
    # Every device has the list: an entry of it needs no word between them.
    base_rows, is_open = everywhere((base_rows, is_selectable.at[base_rows].get(mode="fill", fill_value=False)))
    start = (is_selectable, is_open, counts, none)
    *_, picks = jax.lax.fori_loop(0, jnp.minimum(num_wanted, query_size), pick, start)
    return picks._replace(
        indices=picks.indices[:query_size],
        entry=picks.entry[:query_size],
        ratio=picks.ratio[:query_size],
        counted_for=picks.counted_for[:query_size],
    )
