"""k-means by scikit-learn, faiss and a vectorised PyTorch loop."""

import itertools
import warnings
from typing import Any

import numpy as np

from .contestants import Call, NotPossible, peer
from .pools import Pool
from .torch_device import load_torch, to_torch

BLOCK_BYTES = 64 * 2**20


def sklearn_k_means(pool: Pool, start: np.ndarray, num_steps: int) -> Call:
    """scikit-learn's, from the same centers, without a tolerance."""
    make = peer("sklearn.cluster").KMeans
    return Call(
        lambda: _fit(
            make(len(start), init=start, n_init=1, max_iter=num_steps, tol=0, algorithm="lloyd"), pool.embeddings
        )
    )


def sklearn_seeded(pool: Pool, num_clusters: int, num_steps: int) -> Call:
    """scikit-learn's, seeds and all."""
    make = peer("sklearn.cluster").KMeans
    seeds = itertools.count()
    return Call(
        lambda: _fit(make(num_clusters, n_init=1, max_iter=num_steps, tol=0, random_state=next(seeds)), pool.embeddings)
    )


def _fit(model: Any, embeddings: np.ndarray) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it stopped before its centers stood still, which was asked for
        return model.fit(embeddings).cluster_centers_


def faiss_k_means(pool: Pool, start: np.ndarray, num_steps: int) -> Call:
    """faiss's, from the same centers, without subsampling."""
    faiss = peer("faiss")
    num_rows, width = pool.embeddings.shape

    def run() -> np.ndarray:
        model = faiss.Kmeans(
            width,
            len(start),
            niter=num_steps,
            nredo=1,
            min_points_per_centroid=1,
            max_points_per_centroid=num_rows,
        )
        model.train(pool.embeddings, init_centroids=start)
        return model.centroids

    if len(start) > num_rows:
        raise NotPossible("more clusters than rows")
    return Call(run)


def torch_k_means(pool: Pool, start: np.ndarray, num_steps: int) -> Call:
    """Products of blocks of rows with the centers, sums by index_add."""
    torch, device, _ = load_torch()
    embeddings, first = to_torch(torch, device, pool.embeddings), to_torch(torch, device, start)
    blocks = torch.split(embeddings, max(BLOCK_BYTES // (4 * len(start)), 1))

    def run() -> np.ndarray:
        centers = first
        for _ in range(num_steps):
            norms = centers.square().sum(dim=1)
            sums, counts = torch.zeros_like(centers), torch.zeros_like(norms)
            for rows in blocks:
                nearest = torch.addmm(norms, rows, centers.T, alpha=-2).argmin(dim=1)
                sums.index_add_(0, nearest, rows)
                counts.add_(torch.bincount(nearest, minlength=len(centers)))
            centers = torch.where((counts > 0)[:, None], sums / counts.clamp(min=1)[:, None], centers)
        return np.array(centers.cpu())

    return Call(run)
