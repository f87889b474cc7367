"""MPPS: pull towards the minority, push off the majorities (Lin et al., MICCAI 2024, Eq. 5)."""

import functools

import jax
import jax.numpy as jnp

from jaxal.config.strategies import MPPSConfig
from jaxal.kernels.centroids import class_centroids
from jaxal.kernels.push_pull import push_pull_by_turns
from jaxal.kernels.push_pull_search import lowest_push_pull
from jaxal.kernels.unit_rows import unit_rows
from jaxal.pool import Query, is_selectable
from jaxal.strategies.core_set import cover
from jaxal.strategies.strategy import AcquisitionInfo, AcquisitionInputs, Strategy, num_to_pick, stateless
from jaxal.typing import Array, PRNGKey

__all__ = ["mpps"]

REASONS = ("push_pull", "k_center")


@functools.cache
def mpps(config: MPPSConfig, *, num_classes: int) -> Strategy:
    """Choose the samples nearest to the minority centroid relative to the nearest majority centroid.

    Minority is the class with the fewest labels, or with minority = "round_robin" each class below the mean count in
    turn, rarest first, beginning anew with the rarest in every query; majority are the classes above the mean (equal
    counts: the lowest class is the minority, all others the majority). The score is Eq. 5's for the class whose turn
    it was, in units of the embedding, smaller is better. Ties go to the sample nearest to the minority centroid, then
    to the lowest row.

    While some class has no label at all there is no centroid to pull towards: then the whole query goes to k-center,
    which finds classes, and is counted in num_fallback; the score is then the distance to the nearest center.
    """

    def acquire(
        key: PRNGKey, state: tuple[()], inputs: AcquisitionInputs, query_size: int
    ) -> tuple[Query, tuple[()], AcquisitionInfo]:
        embeddings = unit_rows(inputs.embeddings) if config.normalize == "l2" else inputs.embeddings
        centroids, counts = class_centroids(embeddings, inputs.pool.labels, num_classes=num_classes)
        selectable = is_selectable(inputs.pool)
        num_wanted = num_to_pick(inputs, query_size)

        def push_pull() -> tuple[Query, Array]:
            choose = push_pull_by_turns if config.minority == "round_robin" else lowest_push_pull
            indices, is_valid, score = choose(embeddings, centroids, counts, selectable, num_wanted, query_size)
            return Query(indices, is_valid), score

        def find_classes() -> tuple[Query, Array]:
            return cover(key, inputs._replace(embeddings=embeddings), query_size)

        is_complete = jnp.all(counts > 0)
        query, score = jax.lax.cond(is_complete, push_pull, find_classes)
        info = AcquisitionInfo(
            score=score,
            reason=jnp.where(query.is_valid & ~is_complete, 1, 0).astype(jnp.int32),
            num_fallback=jnp.where(is_complete, 0, num_wanted),
        )
        return query, state, info

    return Strategy("mpps", frozenset(), REASONS, stateless, acquire)
