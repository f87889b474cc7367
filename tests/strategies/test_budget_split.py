from fractions import Fraction
from math import ceil

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxal.config.strategies import BudgetSplitConfig, CoreSetConfig, EntropyConfig, MPPSConfig, StageConfig
from jaxal.pool import EXCLUDED, UNLABELED
from jaxal.strategies.budget_split import budget_split, stage_sizes
from jaxal.strategies.registry import make_strategy

from .pools import C, N, Q, acquire, make_inputs, picks

ENTROPY, CORE_SET, MPPS = (
    make_strategy(config, num_classes=C) for config in (EntropyConfig(), CoreSetConfig(), MPPSConfig())
)
STAGES = ((ENTROPY, 0.5), (MPPS, 0.3), (ENTROPY, 0.2))


@pytest.mark.parametrize(
    ("shares", "table"),
    [
        ((0.5, 0.3, 0.2), [[0, 0, 0], [1, 0, 0], [1, 1, 0], [2, 1, 0], [2, 2, 0], [3, 1, 1], [3, 2, 1], [4, 2, 1]]),
        ((0.5, 0.5), [[0, 0], [1, 0], [1, 1], [2, 1], [2, 2], [3, 2]]),
        ((1.0,), [[0], [1], [2]]),
    ],
)
def test_the_sizes_of_every_query_are_as_counted_by_hand(shares, table):
    np.testing.assert_array_equal(stage_sizes(shares, len(table) - 1), table)


def test_a_float_that_falls_short_moves_no_pick():
    """0.1 + 0.2 is more than 0.3 in binary, and 10·0.3 would round up to 4."""
    np.testing.assert_array_equal(stage_sizes((0.1, 0.2, 0.7), 10)[10], [1, 2, 7])
    np.testing.assert_array_equal(stage_sizes((0.7, 1 - 0.7), 10)[10], [7, 3])
    np.testing.assert_array_equal(stage_sizes((0.1,) * 10, 20)[20], [2] * 10)
    np.testing.assert_array_equal(stage_sizes((1 / 3, 1 / 3, 1 / 3), 9)[[3, 9]], [[1, 1, 1], [3, 3, 3]])


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(parts=st.lists(st.integers(1, 100), min_size=1, max_size=5), query_size=st.integers(0, 60))
def test_the_first_stages_together_get_their_share_rounded_up(parts, query_size):
    shares = [Fraction(part, sum(parts)) for part in parts]
    sizes = stage_sizes(tuple(float(share) for share in shares), query_size)
    assert sizes.dtype == np.int32
    assert sizes.shape == (query_size + 1, len(parts))
    assert np.all(sizes >= 0)
    for size in range(query_size + 1):
        assert sizes[size].sum() == size
        for k in range(1, len(parts) + 1):
            assert sizes[size, :k].sum() == ceil(size * sum(shares[:k]))


@pytest.mark.parametrize("labels", ["every class labeled", "a class without labels"])
@pytest.mark.parametrize("labels_left", [1, 3, 5, Q])
def test_each_stage_chooses_from_what_the_stages_before_left(labels, labels_left):
    inputs = make_inputs(3, labels, labels_left)
    strategy = make_strategy(
        BudgetSplitConfig(
            stages=(
                StageConfig(strategy=EntropyConfig(), share=0.5),
                StageConfig(strategy=MPPSConfig(), share=0.3),
                StageConfig(strategy=EntropyConfig(), share=0.2),
            )
        ),
        num_classes=C,
    )
    assert strategy is budget_split(STAGES)
    assert strategy.reasons == (
        "entropy.entropy",
        "mpps.push_pull",
        "mpps.k_center",
        "entropy.entropy",
    )
    query, _, info = acquire(strategy, inputs)
    expected, reasons, scores = [], [], []
    left = inputs
    for number, ((stage, _), size) in enumerate(zip(STAGES, stage_sizes((0.5, 0.3, 0.2), Q)[labels_left], strict=True)):
        stage_query, _, stage_info = acquire(stage, left._replace(labels_left=jnp.asarray(size)))
        chosen = picks(stage_query)
        expected += chosen.tolist()
        reasons += (stage_info.reason[: len(chosen)] + (0, 1, 3)[number]).tolist()
        scores += stage_info.score[: len(chosen)].tolist()
        labels_then = left.pool.labels.at[jnp.asarray(chosen)].set(EXCLUDED)
        left = left._replace(pool=left.pool._replace(labels=labels_then))
    np.testing.assert_array_equal(picks(query), expected)
    np.testing.assert_array_equal(info.reason[: len(reasons)], reasons)
    np.testing.assert_allclose(info.score[: len(scores)], scores, rtol=1e-6)


def test_a_query_beyond_the_pool_still_shares_what_there_is():
    inputs = make_inputs(labels_left=1000)
    num_left = int(np.sum(np.asarray(inputs.pool.labels) == UNLABELED))
    query, _, info = acquire(budget_split(STAGES), inputs, query_size=N + 7)
    assert query.is_valid.sum() == num_left
    by_stage = np.array([0, 1, 1, 2])[info.reason[:num_left]]
    np.testing.assert_array_equal(np.bincount(by_stage), stage_sizes((0.5, 0.3, 0.2), num_left)[num_left])
    assert np.all(np.diff(by_stage) >= 0)


def test_a_split_needs_what_its_stages_need():
    assert budget_split(STAGES).needs == {"logits"}
    assert budget_split(((CORE_SET, 0.5), (MPPS, 0.5))).needs == frozenset()


@pytest.mark.slow
def test_a_split_of_one_is_that_strategy():
    inputs = make_inputs(6)
    alone, _, alone_info = acquire(CORE_SET, inputs, seed=3)
    query, _, info = acquire(budget_split(((CORE_SET, 1.0),)), inputs, seed=3)
    np.testing.assert_array_equal(query.indices, alone.indices)
    np.testing.assert_array_equal(info.score, alone_info.score)
