"""The tasks of k-means, and who solves them."""

from collections.abc import Callable
from typing import Any

import numpy as np

from .checks import lloyd_step, squared_to_centers
from .contestants import Call, Contestant, Task
from .k_means_jax import jitted_textbook, ours, ours_seeded
from .k_means_peers import faiss_k_means, sklearn_k_means, sklearn_seeded, torch_k_means
from .pools import Pool, Size

NUM_STEPS = 20  # at most
CENTERS_DIFFER = 1e-3  # relative, of all centers together after one step: a few near-ties
INERTIA_DIFFERS = 0.01  # relative, after many steps, where near-ties have led elsewhere
SEEDS_DIFFER = 0.25  # relative, from other seeds


def step_task(pool: Pool, size: Size) -> Task:
    """One step of Lloyd's from given centers."""
    start = _first_centers(pool, size.num_clusters)
    return _task("k_means_step", f"one step of Lloyd's from {len(start)} given centers", pool, size, 1)._replace(
        contestants=_given_start(start, 1), check=_check_step(pool, start)
    )


def steps_task(pool: Pool, size: Size) -> Task:
    """As many steps as it takes until nothing changes, up to a highest number."""
    start = _first_centers(pool, size.num_clusters)
    inertia, num_steps = _walk(pool, start)
    title = f"{num_steps} steps of Lloyd's from {len(start)} given centers"
    return _task("k_means_steps", title, pool, size, num_steps)._replace(
        contestants=_given_start(start, num_steps), check=_check_inertia(pool, inertia, INERTIA_DIFFERS)
    )


def seeded_task(pool: Pool, size: Size) -> Task:
    """Seeds and steps; counted is the work of the seeds and of the one step that there is at least."""
    inertia, _ = _walk(pool, _first_centers(pool, size.num_clusters))
    num_clusters = size.num_clusters
    title = f"k-means++ seeds and at most {NUM_STEPS} steps of Lloyd's, {num_clusters} clusters"
    return _task("k_means_seeded", title, pool, size, 2)._replace(
        contestants=(
            Contestant(
                "jaxal", "one candidate a seed", lambda pool: ours_seeded(pool, num_clusters, NUM_STEPS), is_ours=True
            ),
            Contestant(
                "scikit-learn KMeans",
                "greedy: the best of 2 + log k candidates a seed",
                lambda pool: sklearn_seeded(pool, num_clusters, NUM_STEPS),
            ),
        ),
        check=_check_inertia(pool, inertia, SEEDS_DIFFER),
    )


def _task(name: str, title: str, pool: Pool, size: Size, num_passes: int) -> Task:
    flops = 2.0 * pool.embeddings.size * size.num_clusters
    num_bytes = float(pool.embeddings.nbytes)
    return Task(name, title, (), lambda contestant, answer: None, 1, num_passes * flops, num_passes * num_bytes)


def _first_centers(pool: Pool, num_clusters: int) -> np.ndarray:
    rows = np.random.default_rng(0).choice(len(pool.embeddings), num_clusters, replace=False)
    return pool.embeddings[rows]


def _given_start(start: np.ndarray, num_steps: int) -> tuple[Contestant, ...]:
    def contestant(
        name: str, problem: str, make: Callable[[Pool, np.ndarray, int], Call], is_ours: bool = False
    ) -> Contestant:
        return Contestant(name, problem, lambda pool: make(pool, start, num_steps), is_ours)

    return (
        contestant("jaxal", "stops where nothing changes; repairs empty clusters", ours, is_ours=True),
        contestant("jitted textbook, products", "every step", jitted_textbook),
        contestant("scikit-learn KMeans (lloyd)", "stops where nothing changes; one assignment more", sklearn_k_means),
        contestant("faiss Kmeans", "every step", faiss_k_means),
        contestant("PyTorch, vectorised", "every step", torch_k_means),
    )


def _check_step(pool: Pool, start: np.ndarray) -> Callable[[Contestant, Any], str | None]:
    expected: list[np.ndarray] = []

    def check(contestant: Contestant, centers: np.ndarray) -> str | None:
        if not expected:
            expected.append(lloyd_step(pool.embeddings, start))
        if centers.shape != start.shape or not np.isfinite(centers).all():
            return "centers of another shape, or not finite"
        moved = np.linalg.norm(expected[0] - start)
        difference = np.linalg.norm(centers - expected[0]) / moved
        return f"centers differ by {difference:.2g} of their way" if difference > CENTERS_DIFFER else None

    return check


def _walk(pool: Pool, centers: np.ndarray) -> tuple[float, int]:
    """Take Lloyd's steps in float64 until nothing changes; (sum of squared distances behind them, steps)."""
    num_steps, is_changed = 0, True
    while is_changed and num_steps < NUM_STEPS:
        moved = lloyd_step(pool.embeddings, centers)
        num_steps, is_changed, centers = num_steps + 1, not np.array_equal(moved, centers), moved
    return float(squared_to_centers(pool.embeddings, centers)[1].sum()), num_steps


def _check_inertia(pool: Pool, expected: float, tolerance: float) -> Callable[[Contestant, Any], str | None]:
    def check(contestant: Contestant, centers: np.ndarray) -> str | None:
        inertia = squared_to_centers(pool.embeddings, centers)[1].sum()
        if inertia <= expected * (1 + tolerance):
            return None
        return f"the sum of squared distances is {inertia:.6g}, where {expected:.6g} was to be had"

    return check
