"""The work counted by hand, against the formulas worked out once more with numbers."""

import pytest

from jaxal.config import strategies as configs
from jaxal.config.strategy_table import STRATEGIES
from jaxal.config.strategy_words import parse_strategy
from jaxal.profiling.counts import COUNTS, Work, count_work
from jaxal.profiling.sizes import Sizes, strategies_of

SIZES = Sizes(1000, 10, 3, 200)  # L = 50; S = 20; M = 10


@pytest.mark.parametrize(
    ("strategy", "num_bytes", "flops"),
    [
        ("random", 8000, 0),
        ("margin", 4 * 3000, 5 * 3000),
        ("diversified_margin", 4 * 20000, 5 * 20000),
        ("bald", 4 * 30000, 8 * 30000),
        # Once for the labeled, and two passes for 200 picks.
        ("core_set", 3 * 40000, 2 * 10000 * 250),
        ("badge", 3 * 4 * 13000, 2 * 13000 * 200),
        ("mpps", 40000, 2 * 30000 + 2 * 10000),
        ("class_deficit", 201 * 12000, 5 * 3000 + 3 * 200 * 3000),
        # Five steps: six shifts of 2·3 + 1 and five slopes of 2·3 + 5, for each of 3 anchors.
        ("auto_fm", 4 * 13000, 3 * 10000 * (6 * 7 + 5 * 11)),
        ({"kind": "auto_fm", "alpha": "fixed"}, 12000, 2 * 9000),
        ({"kind": "auto_fm", "alpha": "closed_form"}, 4 * 13000, 5 * 90000),
        ({"kind": "auto_fm", "alpha": "fixed", "diversify": "k_means"}, 12000 + 40000, 18000 + 2 * 200 * 1000 * 10),
        ({"kind": "alfa_mix", "alpha": "fixed"}, 12000 + 2 * 8000, 18000 + 4 * 200 * 200 * 10),
        ("alfa_mix", 4 * 13000 + 2 * 8000, 4 * 30000 + 4 * 200 * 200 * 10),
        # 250 clusters of 4 rows, of which 200 are compared; two passes and two for the seeds.
        ("typiclust", 4 * 40000, 4 * 10000 * 250 + 2 * 200 * 16 * 10),
        # 1, 3, 9, 10, 10, … configurations.
        (
            {"kind": "batch_bald", "num_configurations": 10},
            200 * 4 * 30000,
            (1 + 3 + 9 + 197 * 10) * 3000 * (2 * 10 + 4),
        ),
        # BALD over all, and 300 of the 1000 rows.
        (
            {"kind": "batch_bald", "num_configurations": 10, "num_candidates": 300},
            4 * 30000 + 200 * 4 * 9000,
            8 * 30000 + (1 + 3 + 9 + 197 * 10) * 900 * (2 * 10 + 4),
        ),
    ],
)
def test_counts(strategy, num_bytes, flops):
    assert count_work(parse_strategy(strategy), SIZES) == Work(num_bytes, flops)


def test_compositions_are_sums_of_their_parts():
    both = count_work(configs.CBDALConfig(), SIZES)
    assert both == count_work(configs.AutoFMConfig(), SIZES) + count_work(configs.MPPSConfig(), SIZES)
    half = SIZES._replace(query_size=100)
    split = {
        "kind": "budget_split",
        "stages": [{"strategy": "badge", "share": 0.5}, {"strategy": "margin", "share": 0.5}],
    }
    expected = count_work(configs.BADGEConfig(), half) + count_work(configs.MarginConfig(), half)
    assert count_work(parse_strategy(split), SIZES) == expected
    balanced = count_work(parse_strategy("balanced(margin)"), SIZES)
    assert balanced == count_work(configs.MarginConfig(), SIZES) + Work(40000, 2 * 30000)


def test_every_strategy_is_counted_and_grows_with_the_pool():
    assert set(COUNTS) == {entry.config for entry in STRATEGIES.values()}
    large = SIZES._replace(num_rows=4000)
    for config in strategies_of(None).values():
        assert count_work(config, large).bytes > count_work(config, SIZES).bytes
