"""Made pools: a Gaussian mixture of imbalanced clusters, and a linear head that tells the classes apart."""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

NUM_CLUSTERS = 20


class Size(NamedTuple):
    """How large a pool is, and how much the tasks ask of it."""

    num_rows: int
    width: int
    num_classes: int = 2
    num_picks: int = 500  # core_set
    num_many_picks: int = 3300  # large_core_set
    num_badge_picks: int = 200
    num_typical_picks: int = 100
    num_clusters: int = 100  # k-means
    num_law_draws: int = 3000
    labeled_share: float = 0.05


SIZES = {
    "A": Size(33_000, 2304),
    "B": Size(1_000_000, 512, 10, num_many_picks=10_000),
    "small": Size(600, 32, 2, 20, 60, 12, 10, 8, 400),
}


class Pool(NamedTuple):
    """What every contestant starts from: arrays on the host, and the embeddings on jax's device as well."""

    embeddings: np.ndarray  # float32 [N, D]
    weight: np.ndarray  # float32 [D, C]
    bias: np.ndarray  # float32 [C]
    logits: np.ndarray  # float32 [N, C] = embeddings @ weight + bias
    labels: np.ndarray  # int32 [N], -1 unlabeled
    on_device: jax.Array  # the embeddings once more: one copy for all

    @property
    def labeled(self) -> np.ndarray:
        return np.flatnonzero(self.labels >= 0)

    @property
    def unlabeled(self) -> np.ndarray:
        return np.flatnonzero(self.labels < 0)


def make_pool(size: Size, kind: Literal["mixture", "decaying"] = "mixture", seed: int = 0) -> Pool:
    """Draw a pool.

    Args:
        size: its size.
        kind: "mixture" has clusters as wide in every dimension; in "decaying" the width of dimension d falls as
            (1 + d / 16)^-1/2, as in embeddings of a trained network, where few directions hold most of the spread.
        seed: of everything drawn.
    """
    random = np.random.default_rng(seed)
    shares = 0.7 ** np.arange(NUM_CLUSTERS)
    cluster = random.choice(NUM_CLUSTERS, size.num_rows, p=shares / shares.sum())
    scale = (1 + np.arange(size.width, dtype=np.float32) / 16) ** -0.5 if kind == "decaying" else np.float32(1)
    middles = random.standard_normal((NUM_CLUSTERS, size.width), np.float32)
    spread = random.uniform(0.5, 1.5, NUM_CLUSTERS).astype(np.float32)
    embeddings = random.standard_normal((size.num_rows, size.width), np.float32)
    embeddings *= spread[cluster][:, None]
    embeddings += middles[cluster]
    embeddings *= scale

    # The last clusters are the rare classes, the many first ones are class 0.
    cluster_class = np.maximum(np.arange(NUM_CLUSTERS) - NUM_CLUSTERS + size.num_classes, 0)
    is_labeled = np.zeros(size.num_rows, bool)
    is_labeled[random.choice(size.num_rows, round(size.labeled_share * size.num_rows), replace=False)] = True
    labels = np.where(is_labeled, cluster_class[cluster], -1).astype(np.int32)
    weight = random.standard_normal((size.width, size.num_classes), np.float32) / np.float32(np.sqrt(size.width))
    bias = np.linspace(0.5, -0.5, size.num_classes, dtype=np.float32)
    return Pool(embeddings, weight, bias, embeddings @ weight + bias, labels, jnp.asarray(embeddings))
