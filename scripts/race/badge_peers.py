"""BADGE by scikit-activeml, and by the loop that one would write in PyTorch."""

import itertools
from typing import Any

import numpy as np

from .contestants import Call, peer
from .pools import Pool
from .torch_device import load_torch, to_torch


def skactiveml_badge(pool: Pool, num_picks: int) -> Call:
    """scikit-activeml's query strategy, given the probabilities of the head."""
    strategies, base = peer("skactiveml.pool"), peer("skactiveml.base")
    labels = np.where(pool.labels < 0, np.nan, pool.labels)
    logits = pool.logits[pool.unlabeled].astype(np.float64)
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    classifier, seeds = _fixed_classifier(base, shares), itertools.count()

    def run(num_wanted: int) -> np.ndarray:
        strategy = strategies.Badge(random_state=next(seeds))
        picks = strategy.query(pool.embeddings, labels, classifier, fit_clf=False, batch_size=num_wanted)
        return np.asarray(picks)

    return Call(lambda: run(num_picks), run, num_picks)


def _fixed_classifier(base: Any, shares: np.ndarray) -> Any:
    class Fixed(base.SkactivemlClassifier):
        """Whoever asks about the unlabeled rows, gets these probabilities."""

        def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
            return self

        def predict_proba(self, X: Any) -> np.ndarray:
            assert len(X) == len(shares)
            return shares

    return Fixed(classes=list(range(shares.shape[1])))


def torch_loop(pool: Pool, num_picks: int) -> Call:
    """Factors, one product of the pool with a vector for each pick, D² sampling by the exponential race."""
    torch, device, _ = load_torch()
    embeddings, logits = to_torch(torch, device, pool.embeddings), to_torch(torch, device, pool.logits)
    labeled, seeds = to_torch(torch, device, pool.labeled), itertools.count()
    random = torch.Generator(device=device)

    def run(num_wanted: int) -> np.ndarray:
        random.manual_seed(next(seeds))
        residual = torch.softmax(logits, dim=1)
        residual.scatter_add_(1, logits.argmax(dim=1, keepdim=True), -torch.ones_like(residual[:, :1]))
        squares = residual.square().sum(dim=1) * torch.linalg.vector_norm(embeddings, dim=1).square()
        picks = torch.zeros(num_wanted, dtype=torch.int64, device=device)
        row = squares.index_fill(0, labeled, -1.0).argmax().view(1)
        nearest = torch.full_like(squares, torch.inf).index_fill_(0, labeled, 0.0)
        for position in range(num_wanted):
            if position:
                # argmax of weight / Exp(1) is a draw in proportion to the weight, without a sum over N.
                row = (nearest / torch.empty_like(nearest).exponential_(generator=random)).argmax().view(1)
            picks[position : position + 1] = row
            products = embeddings @ embeddings.index_select(0, row)[0]
            products *= residual @ residual.index_select(0, row)[0]
            distance = squares + squares.index_select(0, row) - 2 * products
            torch.minimum(nearest, distance.clamp_(min=0), out=nearest)
            nearest.index_fill_(0, row, 0.0)
        return np.array(picks.cpu())

    return Call(lambda: run(num_picks), run, num_picks)
