"""Least-confidence sampling (Lewis and Gale 1994)."""

import functools

from jaxal.config.strategies import LeastConfidenceConfig
from jaxal.strategies.strategy import Strategy
from jaxal.strategies.uncertainty_sampling import uncertainty_sampling

__all__ = ["least_confidence"]


@functools.cache
def least_confidence(config: LeastConfidenceConfig, *, num_classes: int) -> Strategy:
    """Choose the samples with the smallest max_c p_c first, ties to the lowest row; the score is max_c p_c.

    With `inverted` the most certain come first (Aggarwal et al., WACV 2020).
    """
    return uncertainty_sampling("least_confidence", inverted=config.inverted, logits_of=config.logits_of)
