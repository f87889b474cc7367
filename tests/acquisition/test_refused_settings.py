"""What `jaxal.select` refuses of strategies and numbers, by the argument's name."""

import numpy as np
import pytest
from refusals import check_refused
from select_pools import C, pool_arrays, select

from jaxal.config import strategies as configs
from jaxal.errors import InputError
from jaxal.strategies.registry import make_strategy

REFUSALS = {
    # strategy
    "an unknown name": (
        "entropie",
        {},
        "strategy: unknown kind 'entropie' (did you mean entropy?); known are alfa_mix, ",
    ),
    "an unknown base": ("balanced(entropie)", {}, "strategy: base: unknown kind 'entropie' (did you mean entropy?)"),
    "two levels in a name": (
        "balanced(balanced(entropy))",
        {},
        "strategy: unknown kind 'balanced(balanced(entropy))' (a n",
    ),
    "an unknown field": ({"kind": "auto_fm", "alpa": 1}, {}, "strategy: unknown key alpa (did you mean alpha?)"),
    "a field out of range": (
        {"kind": "auto_fm", "num_steps": -1},
        {},
        "strategy: Expected `int` >= 0 - at `$.num_steps`",
    ),
    "no kind": ({"alpha": "fixed"}, {}, "strategy: kind is missing; known are "),
    "a config out of range": (configs.AutoFMConfig(num_steps=-1), {}, "strategy: Expected `int` >= 0"),
    "a balanced without base": ("balanced", {}, "strategy: Object missing required field `base`"),
    "shares that do not add up": (
        {"kind": "balanced", "base": {"kind": "budget_split", "stages": [{"strategy": "random", "share": 0.5}]}},
        {},
        "strategy.base: the stages' shares sum to 0.5, not 1",
    ),
    "what no setting can be": (
        {"kind": "auto_fm", "num_steps": np.arange(3)},
        {},
        "strategy: a value of type ndarray is no setting",
    ),
    "no strategy": (None, {}, "strategy: expected a name, a table (dict) or a strategy's config, got NoneType"),
    "a made strategy": (make_strategy(configs.RandomConfig(), num_classes=C), {}, "strategy: expected a name, a table"),
    # budget, num_classes, seed, memory
    "an array of budgets": (
        "random",
        {"budget": np.zeros((50, 50), int)},
        "budget: expected a whole number, 1 or more, got array([[0, ",
    ),
    **{
        f"{name} {value!r}": ("random", {name: value}, f"{name}: expected a whole number, {wanted}, got {value!r}")
        for name, wanted, values in (
            ("budget", "1 or more", (0, -1, 2.0, "3", True, None)),
            ("num_classes", "2 … 100000", (1, 0, -3, 3.0, True, 10**9)),
            ("seed", "0 … 4294967295", (-1, 2**32, 0.5, "0", False, None)),
            ("memory", "1 or more", (0, -1, 1e6, True)),
        )
        for value in values
    },
}


@pytest.mark.parametrize("case", REFUSALS)
def test_a_setting_that_is_none_is_refused(case):
    check_refused(*REFUSALS[case])


def test_a_strategy_in_itself_or_too_deep_is_refused():
    deep: dict = {"kind": "entropy"}
    for _ in range(15):
        deep = {"kind": "balanced", "base": deep}
    arrays = pool_arrays()
    with pytest.raises(InputError, match=r"^strategy(\.base)+: nested deeper than 16 levels$"):
        select({"kind": "balanced", "base": deep}, **arrays)
    deep["base"] = deep
    with pytest.raises(InputError, match=r"^strategy: nested deeper than 16 levels, or in itself$"):
        select(deep, **arrays)
