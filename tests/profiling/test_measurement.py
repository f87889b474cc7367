"""One measurement: what is checked before anything is timed, and what the numbers are made of."""

import jax.numpy as jnp
import numpy as np
import pytest
from profile_rows import CEILINGS

from jaxal.config.strategies import EntropyConfig
from jaxal.errors import InputError
from jaxal.kernels import blocks
from jaxal.profiling import measurement
from jaxal.profiling.made_pools import make_pool
from jaxal.profiling.measurement import check_picks, measure_strategy
from jaxal.profiling.sizes import Sizes
from jaxal.strategies.registry import make_strategy

SIZES = Sizes(300, 8, 3, 7)


def test_a_measurement_adds_up(tmp_path):
    row = measure_strategy("entropy", EntropyConfig(), SIZES, CEILINGS, num_repeats=3, trace_folder=tmp_path / "trace")
    assert row[:6] == ("entropy", 300, 8, 3, 7, 15)
    assert 0 < row.seconds_min <= row.seconds <= row.seconds_max
    assert row.seconds_compile > 0
    assert (row.bytes, row.flops) == (3600, 4500)
    assert row.gb_per_second == pytest.approx(3600 / row.seconds / 1e9)
    # 3600 bytes at 10 GB/s take 360 ns, 4500 operations at 100 GFLOP/s 45.
    assert row.bound == "bytes"
    assert row.ceiling_share == pytest.approx(360e-9 / row.seconds)
    assert row.growth_ratio == pytest.approx(row.growth_bytes / (4 * 300 * 8))
    assert list((tmp_path / "trace").rglob("*.xplane.pb"))


def test_every_timed_call_has_a_pool_of_its_own_and_the_budget_is_kept(monkeypatch):
    seeds, budgets = [], []

    def spy(sizes, seed, needs):
        seeds.append(seed)
        return make_pool(sizes, seed, needs)

    def spying(config, *, num_classes):
        strategy = make_strategy(config, num_classes=num_classes)

        def acquire(*arguments):
            budgets.append(blocks.rows_per_block(1, 10**9))
            return strategy.acquire(*arguments)

        return strategy._replace(acquire=acquire)

    monkeypatch.setattr(measurement, "make_pool", spy)
    monkeypatch.setattr(measurement, "make_strategy", spying)
    measure_strategy("entropy", EntropyConfig(), SIZES, CEILINGS, num_repeats=4, memory=4096)
    assert seeds == [0, 1, 2, 3, 4]
    assert budgets == [4096]  # traced once, with the budget


@pytest.mark.parametrize(
    ("indices", "is_valid", "message"),
    [
        ([0, 1, 2], [True, True, False], "2 picks instead of 3"),
        ([0, 1, 1], [True, True, True], "twice"),
        ([0, 1, 6], [True, True, True], "outside the pool"),
        ([0, -1, 1], [True, True, True], "outside the pool"),
        ([0, 1, 5], [True, True, True], "1 of 3 picks are labeled already"),
    ],
)
def test_wrong_picks_are_not_timed(indices, is_valid, message):
    sizes = Sizes(6, 2, 2, 3)
    pool = make_pool(sizes, 0, frozenset())
    pool = pool._replace(pool=pool.pool._replace(labels=jnp.asarray([-1, -1, -1, -1, 0, 1], jnp.int32)))
    check_picks("it", sizes, pool, jnp.asarray([3, 0, 2]), jnp.asarray([True] * 3))
    with pytest.raises(InputError, match="it at N 6, D 2, C 2, Q 3: ") as caught:
        check_picks("it", sizes, pool, jnp.asarray(indices), jnp.asarray(is_valid))
    assert message in str(caught.value)
    assert "not timed" in str(caught.value)


def test_a_strategy_that_asks_for_labeled_rows_is_caught(monkeypatch):
    def wrong(config, *, num_classes):
        strategy = make_strategy(config, num_classes=num_classes)

        def acquire(key, state, inputs, query_size):
            query, state, info = strategy.acquire(key, state, inputs, query_size)
            labeled = jnp.argmax(inputs.pool.labels >= 0).astype(jnp.int32)
            return query._replace(indices=query.indices.at[0].set(labeled)), state, info

        return strategy._replace(acquire=acquire)

    monkeypatch.setattr(measurement, "make_strategy", wrong)
    with pytest.raises(InputError, match="labeled already"):
        measure_strategy("entropy", EntropyConfig(), SIZES, CEILINGS, num_repeats=1)
    assert np.isfinite(CEILINGS.read_bytes_per_second)
