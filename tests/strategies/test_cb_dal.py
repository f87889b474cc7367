import math

import jax.numpy as jnp
import numpy as np
import pytest

from jaxal.config.strategies import AutoFMConfig, CBDALConfig, MPPSConfig
from jaxal.pool import UNLABELED
from jaxal.strategies.auto_fm import auto_fm
from jaxal.strategies.cb_dal import cb_dal

from .eq5 import eq5_of
from .greedy import assert_smallest_first
from .pools import C, Q, acquire, make_inputs, picks

SHARED = CBDALConfig(auto_fm=AutoFMConfig(alpha_init="half"), auto_fm_share=0.7)


def check_stages(config, inputs, query_size, seed=0):
    """The first ⌈share·q⌉ picks are Auto-FM's own; the rest are Eq. 5's best among what those left."""
    labels = np.asarray(inputs.pool.labels)
    num_picks = min(query_size, int(inputs.labels_left), int(np.sum(labels == UNLABELED)))
    num_mixed = math.ceil(round(config.auto_fm_share * num_picks, 9))
    strategy = cb_dal(config, num_classes=C)
    query, _, info = acquire(strategy, inputs, seed=seed, query_size=query_size)
    chosen = picks(query)
    mixed, pushed = chosen[:num_mixed], chosen[num_mixed:]

    alone, _, alone_info = acquire(auto_fm(config.auto_fm, num_classes=C), inputs, seed=seed)
    np.testing.assert_array_equal(mixed, alone.indices[:num_mixed])
    # The same pool in two programs: the last bit may differ.
    np.testing.assert_allclose(info.score[:num_mixed], alone_info.score[:num_mixed], rtol=1e-6)

    scores, _ = eq5_of(inputs, config.mpps.normalize)
    is_left = labels == UNLABELED
    is_left[mixed] = False
    scale = np.abs(scores).max()
    assert_smallest_first(scores, pushed, is_left, atol=1e-6 * scale)
    np.testing.assert_allclose(info.score[num_mixed:num_picks], scores[pushed], rtol=1e-5, atol=1e-6 * scale)

    reasons = [strategy.reasons[reason] for reason in info.reason[:num_picks]]
    assert {reason.split(".")[0] for reason in reasons[:num_mixed]} <= {"auto_fm"}
    assert set(reasons[num_mixed:]) <= {"mpps.push_pull"}
    assert len(mixed) + len(pushed) == num_picks
    return num_mixed, len(pushed)


@pytest.mark.parametrize("labels_left", range(Q + 2))
@pytest.mark.parametrize("config", [CBDALConfig(), SHARED], ids=["halves", "more auto_fm"])
def test_auto_fm_takes_the_larger_half_and_mpps_the_rest(config, labels_left):
    for seed in range(3):
        check_stages(config, make_inputs(seed, labels_left=labels_left), Q, seed)


def test_the_odd_pick_is_auto_fms():
    assert check_stages(CBDALConfig(), make_inputs(3, labels_left=Q - 1), Q) == (3, 2)
    assert check_stages(CBDALConfig(), make_inputs(3), Q - 1) == (3, 2)
    assert check_stages(CBDALConfig(), make_inputs(3), Q) == (3, 3)


def test_what_is_left_of_a_small_pool_is_shared_too():
    inputs = make_inputs(1, "less left than asked")
    num_left = int(np.sum(np.asarray(inputs.pool.labels) == UNLABELED))
    assert num_left < Q
    assert sum(check_stages(CBDALConfig(), inputs, Q)) == num_left


def test_the_stages_keep_their_own_settings():
    inputs = make_inputs(2)
    plain = acquire(cb_dal(CBDALConfig(), num_classes=C), inputs)[2]
    # 0.5 of 6 and 0.7 of 6, rounded up; the L2 scores differ from the plain ones.
    shared = acquire(cb_dal(SHARED, num_classes=C), inputs)[2]
    assert np.sum(plain.reason < 2) == 3
    assert np.sum(shared.reason < 2) == 5
    normalized = CBDALConfig(mpps=MPPSConfig(normalize="l2"))
    assert check_stages(normalized, inputs, Q) == (3, 3)


def test_the_fallbacks_of_both_stages_are_counted():
    """No class is labeled: nothing to mix with, and no centroid to pull to."""
    inputs = make_inputs(2, "nothing labeled", labels_left=Q - 1)
    strategy = cb_dal(CBDALConfig(), num_classes=C)
    query, _, info = acquire(strategy, inputs)
    reasons = [strategy.reasons[reason] for reason in info.reason[query.is_valid]]
    assert reasons == ["auto_fm.smallest_margin"] * 3 + ["mpps.k_center"] * 2
    assert info.num_fallback == Q - 1
    assert jnp.isinf(info.score[3]), "k-center opens where nothing is labeled"
