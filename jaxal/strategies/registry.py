"""From a strategy's config to the strategy."""

import functools
from collections.abc import Callable

from jaxal.config import strategies as configs
from jaxal.strategies.alfa_mix import alfa_mix
from jaxal.strategies.auto_fm import auto_fm
from jaxal.strategies.badge import badge
from jaxal.strategies.balanced import balanced
from jaxal.strategies.bald import bald
from jaxal.strategies.batch_bald import batch_bald
from jaxal.strategies.budget_split import budget_split
from jaxal.strategies.cb_dal import cb_dal
from jaxal.strategies.class_deficit import class_deficit
from jaxal.strategies.core_set import core_set
from jaxal.strategies.diversified import diversified
from jaxal.strategies.entropy import entropy
from jaxal.strategies.least_confidence import least_confidence
from jaxal.strategies.margin import margin
from jaxal.strategies.mpps import mpps
from jaxal.strategies.random import random
from jaxal.strategies.strategy import Strategy
from jaxal.strategies.typiclust import typiclust

__all__ = ["make_strategy"]

FACTORIES: dict[type, Callable[..., Strategy]] = {
    configs.RandomConfig: random,
    configs.EntropyConfig: entropy,
    configs.MarginConfig: margin,
    configs.LeastConfidenceConfig: least_confidence,
    configs.BALDConfig: bald,
    configs.BatchBALDConfig: batch_bald,
    configs.CoreSetConfig: core_set,
    configs.BADGEConfig: badge,
    configs.ALFAMixConfig: alfa_mix,
    configs.AutoFMConfig: auto_fm,
    configs.MPPSConfig: mpps,
    configs.CBDALConfig: cb_dal,
    configs.DiversifiedEntropyConfig: diversified,
    configs.DiversifiedMarginConfig: diversified,
    configs.DiversifiedLeastConfidenceConfig: diversified,
    configs.TypiClustConfig: typiclust,
    configs.ClassDeficitConfig: class_deficit,
}


@functools.cache
def make_strategy(config: configs.StrategyConfig, *, num_classes: int) -> Strategy:
    """Make the strategy of a config; the same config gives the same Strategy, or jit would trace again."""
    make = functools.partial(make_strategy, num_classes=num_classes)
    if isinstance(config, configs.BudgetSplitConfig):
        return budget_split(tuple((make(stage.strategy), stage.share) for stage in config.stages))
    if isinstance(config, configs.BalancedConfig):
        return balanced(make(config.base), denominator=config.denominator, num_classes=num_classes)
    return FACTORIES[type(config)](config, num_classes=num_classes)
