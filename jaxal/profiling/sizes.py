"""The grid of a profile: sizes of pools, and which strategies."""

from collections.abc import Sequence
from typing import NamedTuple

from jaxal.config.strategies import StrategyConfig
from jaxal.config.strategy_table import STRATEGIES
from jaxal.config.strategy_words import parse_strategy
from jaxal.errors import ConfigError

__all__ = ["DEFAULT_SIZES", "LABELED_SHARE", "NUM_DRAWS", "NUM_SOURCE_CLASSES", "Sizes", "parse_sizes", "strategies_of"]

LABELED_SHARE = 0.05
NUM_DRAWS = 10  # M, of mc_logits
NUM_SOURCE_CLASSES = 20  # S, of source_logits
LARGEST = 10**9

# What the two names that are no strategy by themselves stand for where all are profiled.
COMPOSED = {
    "balanced": "balanced(entropy)",
    "budget_split": {
        "kind": "budget_split",
        "stages": [{"strategy": "entropy", "share": 0.5}, {"strategy": "core_set", "share": 0.5}],
    },
}


class Sizes(NamedTuple):
    """A pool's sizes and its query's."""

    num_rows: int  # N
    width: int  # D
    num_classes: int  # C
    query_size: int  # Q
    num_draws: int = NUM_DRAWS  # M
    num_source_classes: int = NUM_SOURCE_CLASSES  # S

    @property
    def num_labeled(self) -> int:
        """L, 5 % of the rows and at least one of each class."""
        return max(round(LABELED_SHARE * self.num_rows), self.num_classes)

    @property
    def embedding_bytes(self) -> int:
        """4·N·D."""
        return 4 * self.num_rows * self.width


DEFAULT_SIZES = (Sizes(1000, 256, 4, 50), Sizes(3000, 256, 4, 50), Sizes(10000, 256, 4, 50))


def parse_sizes(words: Sequence[str]) -> tuple[Sizes, ...]:
    """Read sizes written N,D,C,Q.

    >>> parse_sizes(["33000,2304,2,500"])[0].num_labeled
    1650

    Raises:
        ConfigError: not four whole numbers, out of range, a query that the unlabeled rows cannot fill, or a repetition.
    """
    found = []
    for word in words:
        parts = word.split(",")
        if len(parts) != 4 or not all(part.strip().isascii() and part.strip().isdecimal() for part in parts):
            raise ConfigError(f"--sizes: expected N,D,C,Q as four whole numbers such as 4000,256,4,50, got {word!r}")
        sizes = Sizes(*map(int, parts))
        if min(sizes[:4]) < 1 or max(sizes[:4]) > LARGEST or sizes.num_classes < 2:
            raise ConfigError(f"--sizes {word}: expected N, D, Q from 1 and C from 2, each up to {LARGEST}")
        if sizes.num_labeled + sizes.query_size > sizes.num_rows:
            raise ConfigError(
                f"--sizes {word}: {sizes.num_labeled} of {sizes.num_rows} rows are labeled (5 %, and one of each class"
                f" at least), which leaves fewer than {sizes.query_size} to ask for"
            )
        if sizes in found:
            raise ConfigError(f"--sizes: {word} is given twice")
        found.append(sizes)
    return tuple(found)


def strategies_of(text: str | None) -> dict[str, StrategyConfig]:
    """Read names with commas between them, None for every strategy there is, into their configs.

    >>> list(strategies_of("core_set,balanced(margin)"))
    ['core_set', 'balanced(margin)']

    Raises:
        ConfigError: a name that is none, with the nearest known one, or one given twice.
    """
    if text is None:
        return {_shown(name): parse_strategy(COMPOSED.get(name, name)) for name in STRATEGIES}
    names = [name.strip() for name in text.split(",")]
    if len(set(names)) < len(names):
        raise ConfigError(f"--strategies: names must differ, got {text}")
    return {_shown(name): parse_strategy(COMPOSED.get(name, name)) for name in names}


def _shown(name: str) -> str:
    composed = COMPOSED.get(name)
    return composed if isinstance(composed, str) else name
