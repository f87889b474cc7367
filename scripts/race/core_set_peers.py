"""Greedy k-center by other libraries, and by the loop that one would write in NumPy."""

import numpy as np

from .checks import Cover
from .contestants import Call, peer
from .pools import Pool

BLOCK = 256  # centers a product


def numpy_loop(pool: Pool, num_picks: int) -> Call:
    """One product of the pool with a vector for each pick, norms cached; labeled centers by products of matrices."""
    embeddings, labeled = pool.embeddings, pool.labeled

    def run(num_wanted: int) -> Cover:
        norms = np.einsum("nd,nd->n", embeddings, embeddings)
        nearest = np.full(len(embeddings), np.inf, np.float32)
        for start in range(0, len(labeled), BLOCK):
            block = labeled[start : start + BLOCK]
            distances = norms[block] - 2 * (embeddings @ embeddings[block].T)
            np.minimum(nearest, distances.min(axis=1), out=nearest)
        nearest += norms
        nearest[labeled] = -np.inf
        picks = []
        for _ in range(num_wanted):
            row = int(np.argmax(nearest))
            picks.append(row)
            np.minimum(nearest, norms + norms[row] - 2 * (embeddings @ embeddings[row]), out=nearest)
            nearest[row] = -np.inf
        return Cover(labeled, np.array(picks, np.int64))

    return Call(lambda: run(num_picks), run, num_picks)


def skactiveml_core_set(pool: Pool, num_picks: int) -> Call:
    """scikit-activeml's query strategy."""
    strategies = peer("skactiveml.pool")
    labels = np.where(pool.labels < 0, np.nan, pool.labels)

    def run(num_wanted: int) -> Cover:
        picks = strategies.CoreSet(random_state=0).query(pool.embeddings, labels, batch_size=num_wanted)
        return Cover(pool.labeled, np.asarray(picks))

    return Call(lambda: run(num_picks), run, num_picks)


def skmatter_fps(pool: Pool, num_picks: int) -> Call:
    """scikit-matter's farthest point sampling, the labeled rows as its initial selection."""
    selection = peer("skmatter.sample_selection")

    def run(centers: np.ndarray, num_wanted: int) -> Cover:
        selector = selection.FPS(initialize=centers, n_to_select=len(centers) + num_wanted).fit(pool.embeddings)
        return Cover(centers, np.asarray(selector.selected_idx_)[len(centers) :])

    labeled = pool.labeled
    return Call(lambda: run(labeled, num_picks), lambda passes: run(labeled[:1], passes - 1), len(labeled) + num_picks)


def fpsample_fps(pool: Pool, num_picks: int) -> Call:
    """fpsample's farthest point sampling, the labeled rows as its start; one thread."""
    fpsample = peer("fpsample")

    def run(centers: np.ndarray, num_wanted: int) -> Cover:
        rows = fpsample.fps_sampling(pool.embeddings, len(centers) + num_wanted, start_idx=centers.tolist())
        return Cover(centers, np.asarray(rows, np.int64)[len(centers) :])

    labeled = pool.labeled
    return Call(lambda: run(labeled, num_picks), lambda passes: run(labeled[:1], passes - 1), len(labeled) + num_picks)


def faiss_loop(pool: Pool, num_picks: int) -> Call:
    """Search the whole pool in an exact index of the labeled rows, then of each pick."""
    faiss = peer("faiss")
    embeddings, labeled = pool.embeddings, pool.labeled

    def run(num_wanted: int) -> Cover:
        index = faiss.IndexFlatL2(embeddings.shape[1])
        index.add(embeddings[labeled])
        nearest = index.search(embeddings, 1)[0][:, 0]
        nearest[labeled] = -np.inf
        picks = []
        for _ in range(num_wanted):
            row = int(np.argmax(nearest))
            picks.append(row)
            index.reset()
            index.add(embeddings[row : row + 1])
            np.minimum(nearest, index.search(embeddings, 1)[0][:, 0], out=nearest)
            nearest[row] = -np.inf
        return Cover(labeled, np.array(picks, np.int64))

    return Call(lambda: run(num_picks), run, num_picks)
