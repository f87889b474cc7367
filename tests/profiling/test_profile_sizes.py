"""The grid of a profile, as it is written on the command line."""

import pytest

from jaxal.config.strategies import BalancedConfig, CoreSetConfig
from jaxal.config.strategy_table import STRATEGIES
from jaxal.errors import ConfigError
from jaxal.profiling.sizes import DEFAULT_SIZES, Sizes, parse_sizes, strategies_of


def test_sizes_are_read_in_their_order():
    first, second = parse_sizes(["33000,2304,2,500", "100, 8, 7, 9"])
    assert first == Sizes(33000, 2304, 2, 500)
    assert (first.num_labeled, first.embedding_bytes) == (1650, 4 * 33000 * 2304)
    assert second.num_labeled == 7  # 5 % would leave classes without a label


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["1000,64,3"], "expected N,D,C,Q as four whole numbers"),
        (["1000,64,3,2.5"], "got '1000,64,3,2.5'"),
        (["-1000,64,3,5"], "four whole numbers"),
        (["١,2,2,1"], "four whole numbers"),
        ([""], "four whole numbers"),
        (["1000,0,3,5"], "D, Q from 1"),
        (["1000,64,1,5"], "C from 2"),
        (["10000000000,64,3,5"], "up to 1000000000"),
        (["100,8,2,96"], "5 of 100 rows are labeled"),
        (["100,8,2,5", "100,8,2,5"], "given twice"),
    ],
)
def test_sizes_that_are_none_are_refused(words, message):
    with pytest.raises(ConfigError, match="--sizes") as caught:
        parse_sizes(words)
    assert message in str(caught.value)


def test_all_strategies_are_all_of_the_table():
    found = strategies_of(None)
    assert len(found) == len(STRATEGIES)
    assert {type(config) for config in found.values()} == {entry.config for entry in STRATEGIES.values()}
    assert isinstance(found["balanced(entropy)"], BalancedConfig)
    assert [type(config) for config in strategies_of("core_set, balanced(margin)").values()] == [
        CoreSetConfig,
        BalancedConfig,
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [("core_sett", "did you mean core_set"), ("entropy,", "unknown kind ''"), ("margin,margin", "names must differ")],
)
def test_names_that_are_none_are_refused(text, message):
    with pytest.raises(ConfigError) as caught:
        strategies_of(text)
    assert message in str(caught.value)


def test_the_default_grid_grows_in_the_number_of_rows_alone():
    assert len({sizes[1:] for sizes in DEFAULT_SIZES}) == 1
    assert len({sizes.num_rows for sizes in DEFAULT_SIZES}) == len(DEFAULT_SIZES) >= 3
