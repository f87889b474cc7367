"""Minority push-pull sampling scores: CB-DAL Eq. 5 (Lin et al., MICCAI 2024)."""

import jax
import jax.numpy as jnp

from jaxal.kernels.distances import squared_distances
from jaxal.kernels.masking import lowest
from jaxal.typing import Array, Bool, Float, Int32

__all__ = ["majority_classes", "minority_class", "minority_turns", "push_pull_by_turns", "push_pull_scores"]


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
    embeddings: Float[Array, "N D"],
    centroids: Float[Array, "C D"],
    counts: Int32[Array, " C"],
    minority: Int32[Array, ""] | None = None,
) -> tuple[Float[Array, " N"], Float[Array, " N"]]:
    """Score closeness to the minority against closeness to the nearest majority: smallest first.

    score_i = ‖z_i - μ_minor‖₂ - min_{c majority} ‖z_i - μ_c‖₂   (Eq. 5, true L2, not squared)

    computed as the largest of the differences to each majority class.

    Args:
        embeddings: z.
        centroids: μ, one row a class.
        counts: n, the labels per class. Each class is expected to have one: a caller whose pool has a class without
            labels searches for it instead (k-center), since no centroid tells where it lies.
        minority: the class to pull towards, none of the majority; `minority_class(counts)` where it is not given.

    Returns:
        (score, distance to the minority centroid); the second breaks ties among far samples on one ray, whose scores
        the triangle inequality makes equal.

    Cost: O(NCD), C passes over the embeddings.
    """
    pole = centroids[minority_class(counts) if minority is None else minority]
    to_minority = jnp.sqrt(squared_distances(embeddings, pole))

    def against(majority: Array) -> Array:
        # a - b = (a² - b²) / (a + b), and a² - b² is a plain dot product: far from both centroids the difference of the
        # distances themselves would be rounding alone.
        dot = jnp.sum((2 * embeddings - (pole + majority)[None]) * (majority - pole)[None], axis=1)
        total = to_minority + jnp.sqrt(squared_distances(embeddings, majority))
        return jnp.where(total > 0, dot / jnp.where(total > 0, total, 1), 0)

    differences = jax.lax.map(against, centroids)
    score = jnp.max(jnp.where(majority_classes(counts)[:, None], differences, -jnp.inf), axis=0)
    return score, to_minority


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

    Cost: O(K·NCD + K·N log N + QN) arithmetic, O(NC) memory.
    """
    num_rows, num_classes = embeddings.shape[0], centroids.shape[0]
    rows = jnp.arange(num_rows, dtype=jnp.int32)
    classes, num_minority = minority_turns(counts)

    def ranked(minority: Array) -> tuple[Array, Array]:
        score, to_minority = push_pull_scores(embeddings, centroids, counts, minority)
        order, _ = lowest((score, to_minority), is_selectable, jnp.asarray(num_rows, jnp.int32), num_rows)
        return score, jnp.full(num_rows, num_rows, jnp.int32).at[order].set(rows, mode="drop")

    def left_out(minority: Array) -> tuple[Array, Array]:
        return jnp.zeros(num_rows, embeddings.dtype), jnp.full(num_rows, num_rows, jnp.int32)

    takes_turn = jnp.arange(num_classes, dtype=jnp.int32) < num_minority
    scores, ranks = jax.lax.map(lambda each: jax.lax.cond(each[0], ranked, left_out, each[1]), (takes_turn, classes))

    def pick(position: Array, carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        free, indices, picked_scores = carry
        turn = position % num_minority
        chosen = jnp.argmin(jnp.where(free, ranks[turn], num_rows)).astype(jnp.int32)
        return (
            free.at[chosen].set(False),
            indices.at[position].set(chosen),
            picked_scores.at[position].set(scores[turn, chosen]),
        )

    num_picks = jnp.minimum(jnp.minimum(num_wanted, query_size), jnp.sum(is_selectable, dtype=jnp.int32))
    start = (
        is_selectable,
        jnp.full(max(query_size, 1), num_rows, jnp.int32),  # room for one even where Q = 0: the loop body is traced
        jnp.full(max(query_size, 1), jnp.nan, embeddings.dtype),
    )
    _, indices, picked_scores = jax.lax.fori_loop(0, num_picks, pick, start)
    indices, picked_scores = indices[:query_size], picked_scores[:query_size]
    return indices, indices < num_rows, picked_scores
