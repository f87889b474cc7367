"""The task of TypiClust, and who solves it."""

import time
import warnings
from collections.abc import Callable

import numpy as np

import jaxal

from .checks import check_picks
from .contestants import Call, Contestant, Task, peer
from .pools import Pool, Size

PART = 8  # an eighth of the rows, of the labels and of the picks: 1/64 of the work of its clustering
NUM_NEIGHBORS = 5  # scikit-activeml's default


def typiclust_task(pool: Pool, size: Size) -> Task:
    """The whole pool."""
    return _task("typiclust", pool, size.num_typical_picks)


def typiclust_part_task(pool: Pool, size: Size) -> Task:
    """An eighth of the pool, where everybody should come to an end."""
    return _task("typiclust_part", _part(pool), max(size.num_typical_picks // PART, 1))


def _part(pool: Pool) -> Pool:
    num_rows = max(len(pool.labels) // PART, 1)
    return pool._replace(
        embeddings=pool.embeddings[:num_rows], logits=pool.logits[:num_rows], labels=pool.labels[:num_rows]
    )


def _task(name: str, pool: Pool, num_picks: int) -> Task:
    num_clusters = len(pool.labeled) + num_picks
    same = f"{num_clusters} clusters, {NUM_NEIGHBORS} neighbors"

    def check(contestant: Contestant, picks: np.ndarray) -> str | None:
        return check_picks(picks, len(pool.labels), pool.labeled, num_picks)

    def contestant(name: str, problem: str, choose: Callable[[Pool, int], np.ndarray], is_ours: bool = False):
        def make(whole: Pool) -> Call:  # the task's own pool, which may be a part of it
            return Call(lambda: choose(pool, num_picks), estimate=lambda: _estimate(choose, pool, num_picks))

        return Contestant(name, problem, make, is_ours)

    num_rows, width = pool.embeddings.shape
    return Task(
        name=name,
        title=f"{num_picks} picks by TypiClust from {num_rows} rows, {len(pool.labeled)} of them labeled; checked is"
        " only that picks are distinct and unlabeled, since everybody clusters from other seeds",
        contestants=(
            contestant("jaxal.select", same, _ours(num_clusters, NUM_NEIGHBORS), is_ours=True),
            contestant("jaxal.select, its defaults", "at most 500 clusters, 20 neighbors", _ours(500, 20)),
            contestant("scikit-activeml TypiClust", f"{same}; k-means until it converges", _skactiveml),
        ),
        check=check,
        num_picks=num_picks,
        flops=4.0 * num_rows * width * num_clusters,
        num_bytes=8.0 * num_rows * width,
    )


def _estimate(choose: Callable[[Pool, int], np.ndarray], pool: Pool, num_picks: int) -> float:
    """Guess from an eighth: rows times clusters, so that the work is 64 times as much."""
    part, num_part_picks = _part(pool), max(num_picks // PART, 1)
    choose(part, num_part_picks)  # compiles
    began = time.perf_counter()
    choose(part, num_part_picks)
    return PART**2 * (time.perf_counter() - began)


def _ours(num_clusters: int, num_neighbors: int) -> Callable[[Pool, int], np.ndarray]:
    strategy = {"kind": "typiclust", "max_clusters": num_clusters, "num_neighbors": num_neighbors}

    def choose(pool: Pool, num_picks: int) -> np.ndarray:
        return jaxal.select(
            strategy, embeddings=pool.embeddings, labels=pool.labels, budget=num_picks, num_classes=len(pool.bias)
        )

    return choose


def _skactiveml(pool: Pool, num_picks: int) -> np.ndarray:
    strategy = peer("skactiveml.pool").TypiClust(random_state=0, k=NUM_NEIGHBORS)
    labels = np.where(pool.labels < 0, np.nan, pool.labels)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.asarray(strategy.query(pool.embeddings, labels, batch_size=num_picks))
