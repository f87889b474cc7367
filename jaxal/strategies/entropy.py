"""Uncertainty sampling by predictive entropy (Shannon 1948; Settles 2009)."""

import functools

from jaxal.config.strategies import EntropyConfig
from jaxal.strategies.strategy import Strategy
from jaxal.strategies.uncertainty_sampling import uncertainty_sampling

__all__ = ["entropy"]


@functools.cache
def entropy(config: EntropyConfig, *, num_classes: int) -> Strategy:
    """Choose the samples with the largest entropy of softmax(logits) first, ties to the lowest row; score in nats.

    With `inverted` the most certain come first (Aggarwal et al., WACV 2020).
    """
    return uncertainty_sampling("entropy", inverted=config.inverted, logits_of=config.logits_of)
