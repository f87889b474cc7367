"""BADGE's law, tested on a pool small enough that every sequence of picks can be enumerated."""

import itertools
from collections import Counter
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from scipy.stats import chisquare

from .contestants import Call
from .pools import Pool

NUM_ROWS, WIDTH, NUM_CLASSES, NUM_PICKS = 6, 3, 2, 3
LEAST_PROBABILITY = 1e-5  # below it the draws contradict the law
LEAST_EXPECTED = 5.0  # draws of a sequence, below which the chi-square test means nothing


def tiny_pool() -> Pool:
    """Draw the pool: nothing labeled, no two gradients alike."""
    random = np.random.default_rng(3)
    embeddings = random.standard_normal((NUM_ROWS, WIDTH)).astype(np.float32)
    logits = random.standard_normal((NUM_ROWS, NUM_CLASSES)).astype(np.float32)
    weight, bias = np.zeros((WIDTH, NUM_CLASSES), np.float32), np.zeros(NUM_CLASSES, np.float32)
    return Pool(embeddings, weight, bias, logits, np.full(NUM_ROWS, -1, np.int32), jnp.asarray(embeddings))


def law(pool: Pool, num_picks: int, *, has_origin: bool = False) -> dict[tuple[int, ...], float]:
    """Compute the probability of every sequence of picks: the largest gradient first, then by D².

    has_origin: the origin is a center as well, which draws small gradients less often than BADGE does.
    """
    shares = np.exp(pool.logits.astype(np.float64))
    shares /= shares.sum(axis=1, keepdims=True)
    shares[np.arange(len(shares)), shares.argmax(axis=1)] -= 1
    gradients = (shares[:, :, None] * pool.embeddings[:, None, :].astype(np.float64)).reshape(len(shares), -1)
    squares = np.sum((gradients[:, None] - gradients[None]) ** 2, axis=2)
    norms = np.sum(gradients**2, axis=1)
    first = int(np.argmax(norms))
    probabilities = {}
    for rest in itertools.permutations([row for row in range(len(shares)) if row != first], num_picks - 1):
        chosen, probability = [first], 1.0
        for row in rest:
            weights = squares[:, chosen].min(axis=1)
            if has_origin:
                weights = np.where(weights > 0, np.minimum(weights, norms), 0)
            probability *= weights[row] / weights.sum()
            chosen.append(row)
        probabilities[(first, *rest)] = probability
    return probabilities


def check_law(make: Callable[[Pool, int], Call], num_draws: int, *, has_origin: bool = False) -> str | None:
    """Draw often from the tiny pool, and tell whether a chi-square test finds the law contradicted."""
    pool = tiny_pool()
    call = make(pool, NUM_PICKS)
    drawn = Counter(tuple(int(row) for row in call.run()) for _ in range(num_draws))
    expected = law(pool, NUM_PICKS, has_origin=has_origin)
    outside = {sequence: count for sequence, count in drawn.items() if sequence not in expected}
    if outside:
        sequence, count = next(iter(outside.items()))
        return f"the law of {NUM_PICKS} picks: {sequence} was drawn {count} times, which cannot be"
    frequent = [sequence for sequence, share in expected.items() if share * num_draws >= LEAST_EXPECTED]
    observed = [drawn[sequence] for sequence in frequent]
    wanted = [expected[sequence] * num_draws for sequence in frequent]
    if len(frequent) < len(expected):  # the rare ones together
        observed.append(num_draws - sum(observed))
        wanted.append(num_draws - sum(wanted))
    probability = float(chisquare(observed, wanted).pvalue)
    if probability >= LEAST_PROBABILITY:
        return None
    return f"the law of {NUM_PICKS} picks: {num_draws} draws are as far from it as chance has it in {probability:.1e}"
