"""Minority push-pull sampling scores: CB-DAL Eq. 5 (Lin et al., MICCAI 2024)."""

import jax
import jax.numpy as jnp

from jaxal.kernels.blocks import map_row_blocks
from jaxal.kernels.cached_blocks import rows_per_cached_block
from jaxal.kernels.distances import squared_distances
from jaxal.kernels.masking import lowest
from jaxal.kernels.pool_mesh import everywhere, take_rows
from jaxal.typing import Array, Bool, Float, Int32

__all__ = [
    "majority_classes",
    "minority_class",
    "minority_turns",
    "push_pull_by_turns",
    "push_pull_scores",
    "push_pull_table",
]


def minority_class(counts: Int32[Array, " C"]) -> Int32[Array, ""]:
    """Find the labeled class with the fewest labels (n_c ≥ 1), ties to the lowest class."""
    return jnp.argmin(jnp.where(counts > 0, counts, jnp.iinfo(jnp.int32).max)).astype(jnp.int32)


def majority_classes(counts: Int32[Array, " C"]) -> Bool[Array, " C"]:
    """Mark the classes with n_c above the mean; when there is none (equal counts), every other labeled class."""
    is_above_mean = counts > jnp.sum(counts) // counts.shape[0]  # whole numbers: n > S/C exactly where n > floor(S/C)
    is_other = (counts > 0) & (jnp.arange(counts.shape[0], dtype=jnp.int32) != minority_class(counts))
    return jnp.where(jnp.any(is_above_mean), is_above_mean, is_other)


def minority_turns(counts: Int32[Array, " C"]) -> tuple[Int32[Array, " C"], Int32[Array, ""]]:
    """List the minority classes in the order of their turns: rarest first, ties to the lowest class.

    They are the labeled classes with n_c below the mean; when there is none (equal counts), `minority_class` alone. No
    class is both minority and majority.

    Returns:
        (classes, K): the first K classes take turns, 1 ≤ K < C where every one of C ≥ 2 classes has a label.
    """
    is_below_mean = (counts > 0) & (counts < -(-jnp.sum(counts) // counts.shape[0]))
    classes = jnp.arange(counts.shape[0], dtype=jnp.int32)
    is_minority = jnp.where(jnp.any(is_below_mean), is_below_mean, classes == minority_class(counts))
    _, _, order = jax.lax.sort((~is_minority, counts, classes), num_keys=3)
    return order, jnp.sum(is_minority, dtype=jnp.int32)


def push_pull_scores(
    embeddings: Float[Array, "N D"], centroids: Float[Array, "C D"], counts: Int32[Array, " C"]
) -> tuple[Float[Array, " N"], Float[Array, " N"]]:
    """Score closeness to the minority against closeness to the nearest majority by `push_pull_table`: one minority.

    Returns:
        (score, distance to the minority centroid).
    """
    table = push_pull_table(embeddings, centroids, counts, minority_class(counts)[None], jnp.ones(1, bool))
    return table[0][:, 0], table[1][:, 0]


def push_pull_table(
    embeddings: Float[Array, "N D"],
    centroids: Float[Array, "C D"],
    counts: Int32[Array, " C"],
    minorities: Int32[Array, " K"],
    is_wanted: Bool[Array, " K"],
) -> tuple[Float[Array, "N K"], Float[Array, "N K"]]:
    """Score closeness to each of K minorities against closeness to the nearest majority: smallest first.

    score_i = ‖z_i - μ_minor‖₂ - min_{c majority} ‖z_i - μ_c‖₂   (Eq. 5, true L2, not squared)

    computed as the largest of the differences to each majority class.

    Args:
        embeddings: z.
        centroids: μ, one row a class.
        counts: n, the labels per class. Each class is expected to have one: a caller whose pool has a class without
            labels searches for it instead (k-center), since no centroid tells where it lies.
        minorities: the classes to pull towards, each for itself, none of the majority.
        is_wanted: which of them to score; the others get 0.

    Returns:
        (score, distance to the minority centroid), a column for each of the minorities; the second breaks ties among
        far samples on one ray, whose scores the triangle inequality makes equal.

    Cost: O(NCD) for the distances and O(NJD) for each minority wanted, J majority classes, in one pass over the
    embeddings by blocks that stay in the cache.
    """
    num_rows, width = embeddings.shape
    is_majority = majority_classes(counts)

    def score_block(z: Array) -> tuple[Array, Array]:
        distances = jnp.sqrt(jax.lax.map(lambda center: squared_distances(z, center), centroids))

        def toward(minority: Array) -> tuple[Array, Array]:
            pole, to_minority = centroids[minority], distances[minority]

            def against(majority: Array, to_majority: Array) -> Array:
                # a - b = (a² - b²) / (a + b), and a² - b² is a plain dot product: far from both centroids the
                # difference of the distances themselves would be rounding alone. Seen from the pole, so that a common
                # offset of the embeddings costs no digits.
                way = (majority - pole)[None]
                dot = jnp.sum((2 * (z - pole[None]) - way) * way, axis=1)
                total = to_minority + to_majority
                return jnp.where(total > 0, dot / jnp.where(total > 0, total, 1), 0)

            def raise_score(score: Array, each: tuple[Array, Array, Array]) -> tuple[Array, None]:
                is_rival, *rival = each
                return jax.lax.cond(is_rival, lambda: jnp.maximum(score, against(*rival)), lambda: score), None

            lowest_score = jnp.full_like(to_minority, -jnp.inf)
            score, _ = jax.lax.scan(raise_score, lowest_score, (is_majority, centroids, distances))
            return score, to_minority

        def toward_wanted(each: tuple[Array, Array]) -> tuple[Array, Array]:
            nothing = jnp.zeros_like(distances[0])
            return jax.lax.cond(each[0], toward, lambda _: (nothing, nothing), each[1])

        return jax.tree.map(jnp.transpose, jax.lax.map(toward_wanted, (is_wanted, minorities)))

    return map_row_blocks(score_block, (embeddings,), rows_per_cached_block(2 * 4 * width, num_rows))


def push_pull_by_turns(
    embeddings: Float[Array, "N D"],
    centroids: Float[Array, "C D"],
    counts: Int32[Array, " C"],
    is_selectable: Bool[Array, " N"],
    num_wanted: Int32[Array, ""],
    query_size: int,
) -> tuple[Int32[Array, " Q"], Bool[Array, " Q"], Float[Array, " Q"]]:
    """Let the K minority classes take turns: pick t is the best row left by Eq. 5 for class t mod K of their order.

    Their order is `minority_turns`; all are scored against the same majority classes. Ties go to the row nearest to the
    minority centroid, then to the lowest row; no row is picked twice.

    Args:
        embeddings: z.
        centroids: μ, one row a class.
        counts: n, the labels per class, each expected to be 1 or more.
        is_selectable: rows that may be picked.
        num_wanted: how many picks at most.
        query_size: Q, static; may be 0 and may exceed N.

    Returns:
        (indices, is_valid, score): score is Eq. 5's for the class whose turn it was; NaN on padding, whose indices
        hold N.

    Cost: that of `push_pull_table`, and O(K·N log N + Q²) arithmetic; O(NC) memory.
    """
    num_rows, num_classes = embeddings.shape[0], centroids.shape[0]
    classes, num_minority = minority_turns(counts)
    takes_turn = jnp.arange(num_classes, dtype=jnp.int32) < num_minority
    scores, distances = push_pull_table(embeddings, centroids, counts, classes, takes_turn)
    # A class needs no more than its Q best: fewer than Q picks come before its turn. Room for one even where Q = 0.
    length = max(min(query_size, num_rows), 1)

    def listed(turn: Array) -> tuple[Array, Array]:
        keys = (scores[:, turn], distances[:, turn])
        rows, _ = lowest(keys, is_selectable, jnp.asarray(length, jnp.int32), length)
        return rows, take_rows(keys[0], rows)

    def left_out(turn: Array) -> tuple[Array, Array]:
        return jnp.full(length, num_rows, jnp.int32), jnp.zeros(length, scores.dtype)

    turns = jnp.arange(num_classes, dtype=jnp.int32)
    lists, list_scores = jax.lax.map(lambda each: jax.lax.cond(each[0], listed, left_out, each[1]), (takes_turn, turns))

    def pick(position: Array, carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        free, indices, picked_scores = carry
        turn = position % num_minority
        entry = jnp.argmax(free.at[lists[turn]].get(mode="fill", fill_value=False))
        chosen = lists[turn, entry]
        return (
            free.at[chosen].set(False),
            indices.at[position].set(chosen),
            picked_scores.at[position].set(list_scores[turn, entry]),
        )

    num_picks = jnp.minimum(jnp.minimum(num_wanted, query_size), jnp.sum(is_selectable, dtype=jnp.int32))
    start = (
        everywhere(jnp.ones_like(is_selectable)),  # the lists hold nothing else
        jnp.full(max(query_size, 1), num_rows, jnp.int32),
        jnp.full(max(query_size, 1), jnp.nan, embeddings.dtype),
    )
    _, indices, picked_scores = jax.lax.fori_loop(0, num_picks, pick, start)
    indices, picked_scores = indices[:query_size], picked_scores[:query_size]
    return indices, indices < num_rows, picked_scores
