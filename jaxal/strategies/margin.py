"""Margin sampling (Scheffer et al. 2001)."""

import functools

from jaxal.config.strategies import MarginConfig
from jaxal.strategies.strategy import Strategy
from jaxal.strategies.uncertainty_sampling import uncertainty_sampling

__all__ = ["margin"]


@functools.cache
def margin(config: MarginConfig, *, num_classes: int) -> Strategy:
    """Choose the samples with the smallest margin p₁ - p₂ first, ties to the lowest row; the score is the margin.

    With `inverted` the most certain come first (Aggarwal et al., WACV 2020).
    """
    return uncertainty_sampling("margin", inverted=config.inverted, logits_of=config.logits_of)
