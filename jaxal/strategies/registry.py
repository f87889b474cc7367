"""From a strategy's config to the strategy."""

import functools
from collections.abc import Callable

from jaxal.config.strategies import (
    AutoFMConfig,
    BudgetSplitConfig,
    CBDALConfig,
    CoreSetConfig,
    EntropyConfig,
    MPPSConfig,
    RandomConfig,
    StrategyConfig,
)
from jaxal.strategies.auto_fm import auto_fm
from jaxal.strategies.budget_split import budget_split
from jaxal.strategies.cb_dal import cb_dal
from jaxal.strategies.core_set import core_set
from jaxal.strategies.entropy import entropy
from jaxal.strategies.mpps import mpps
from jaxal.strategies.random import random
from jaxal.strategies.strategy import Strategy

__all__ = ["make_strategy"]

FACTORIES: dict[type, Callable[..., Strategy]] = {
    RandomConfig: random,
    EntropyConfig: entropy,
    CoreSetConfig: core_set,
    AutoFMConfig: auto_fm,
    MPPSConfig: mpps,
    CBDALConfig: cb_dal,
}


@functools.cache
def make_strategy(config: StrategyConfig, *, num_classes: int) -> Strategy:
    """Make the strategy of a config; the same config gives the same Strategy, or jit would trace again."""
    if isinstance(config, BudgetSplitConfig):
        stages = tuple((make_strategy(stage.strategy, num_classes=num_classes), stage.share) for stage in config.stages)
        return budget_split(stages)
    return FACTORIES[type(config)](config, num_classes=num_classes)
