"""A strategy as people write it (a name, a table, a config), checked on the same path as in a study."""

from collections.abc import Iterable, Iterator
from typing import Any, Literal

import msgspec

from jaxal.config.document import expand_strategy, set_value
from jaxal.config.keys import key_problems
from jaxal.config.strategies import (
    BalancedConfig,
    BudgetSplitConfig,
    DiversifiedEntropyConfig,
    DiversifiedLeastConfidenceConfig,
    DiversifiedMarginConfig,
    EntropyConfig,
    LeastConfidenceConfig,
    MarginConfig,
    StrategyConfig,
)
from jaxal.errors import ConfigError

__all__ = ["parse_strategy", "source_rules", "strategy_contradictions", "strategy_from_words"]

# Compositions of compositions are traced by recursion; nobody means more than a few levels.
MAX_DEPTH = 16


def parse_strategy(strategy: Any) -> StrategyConfig:
    """Read a strategy given as `NAME`, `balanced(NAME)`, a table (dict) or a config; the whole is checked, once.

    >>> parse_strategy("balanced(entropy)") == parse_strategy({"kind": "balanced", "base": "entropy"})
    True

    Raises:
        ConfigError: unknown names and fields (with the nearest known), wrong types or ranges, contradictions.
    """
    if not isinstance(strategy, str | dict | StrategyConfig):
        kind = type(strategy).__name__
        raise ConfigError(f"strategy: expected a name, a table (dict) or a strategy's config, got {kind}")
    try:
        document = {"strategy": msgspec.to_builtins(strategy, enc_hook=_plain)}
        expand_strategy(document)
        problems = key_problems(document["strategy"], StrategyConfig)
        if problems:
            raise ConfigError("strategy: " + "; ".join(problems))
        config = msgspec.convert(document["strategy"], StrategyConfig)
        problems = list(strategy_contradictions(config, "strategy"))
    except RecursionError as error:
        raise ConfigError(f"strategy: nested deeper than {MAX_DEPTH} levels, or in itself") from error
    except (TypeError, msgspec.MsgspecError) as error:
        raise ConfigError(f"strategy: {error}") from error
    if problems:
        raise ConfigError("; ".join(problems))
    return config


def _plain(value: Any) -> Any:
    """Read texts of NumPy's and others' own types, and single numbers out of their arrays, as plain ones."""
    if isinstance(value, str):
        return str(value)
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        return value.item()
    raise TypeError(f"a value of type {type(value).__name__} is no setting")


def strategy_from_words(text: str, overrides: Iterable[tuple[str, str]] = ()) -> StrategyConfig:
    """Read a strategy from the command line: its name or table, then values set over it by path, in their order.

    >>> strategy_from_words("cb_dal", [("strategy.auto_fm.alpha_init", "half")]).auto_fm.alpha_init
    'half'

    Raises:
        ConfigError: as `parse_strategy`, or a path that leads nowhere.
    """
    document: dict[str, Any] = {}
    for path, value in [("strategy", text), *overrides]:
        set_value(document, path, value)
        expand_strategy(document)
    return parse_strategy(document["strategy"])


def strategy_contradictions(strategy: StrategyConfig | None, where: str, depth: int = 1) -> Iterator[str]:
    """List what no single field of a strategy can know, each with its place."""
    if depth > MAX_DEPTH:
        yield f"{where}: nested deeper than {MAX_DEPTH} levels"
    elif isinstance(strategy, BalancedConfig):
        yield from strategy_contradictions(strategy.base, f"{where}.base", depth + 1)
    elif isinstance(strategy, BudgetSplitConfig):
        total = sum(stage.share for stage in strategy.stages)
        if abs(total - 1) > 1e-9:
            yield f"{where}: the stages' shares sum to {total:g}, not 1"
        for number, stage in enumerate(strategy.stages):
            yield from strategy_contradictions(stage.strategy, f"{where}.stages.{number}", depth + 1)


def source_rules(strategy: StrategyConfig | None) -> Iterator[Literal["may", "must"]]:
    """Yield for each rule of a strategy that asks by a source model's logits whether it must be a source model's.

    A `diversified_*` "may": where there is none, the trained model's own logits stand in.
    """
    match strategy:
        case BalancedConfig():
            yield from source_rules(strategy.base)
        case BudgetSplitConfig():
            for stage in strategy.stages:
                yield from source_rules(stage.strategy)
        case DiversifiedEntropyConfig() | DiversifiedMarginConfig() | DiversifiedLeastConfidenceConfig():
            yield "may"
        case EntropyConfig() | MarginConfig() | LeastConfidenceConfig() if strategy.logits_of == "source":
            yield "must"
