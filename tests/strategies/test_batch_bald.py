import numpy as np
import pytest
from reference import mutual_information as reference

from jaxal.config.strategies import BALDConfig, BatchBALDConfig
from jaxal.pool import UNLABELED
from jaxal.strategies.bald import bald
from jaxal.strategies.batch_bald import batch_bald

from .pools import C, N, acquire, make_inputs, picks


@pytest.mark.parametrize("num_configurations", [16, 4096])
@pytest.mark.parametrize("labels", ["every class labeled", "a class without labels"])
def test_picks_gain_most_while_all_outcomes_are_counted(labels, num_configurations):
    inputs = make_inputs(2, labels, labels_left=4)
    strategy = batch_bald(BatchBALDConfig(num_configurations=num_configurations), num_classes=C)
    query, _, info = acquire(strategy, inputs)
    num_exact = min(1 + round(np.log(num_configurations) / np.log(C)), 4)
    greedy = reference.batch_bald(
        np.asarray(inputs.mc_logits), np.asarray(inputs.pool.labels) == UNLABELED, picks(query)[:num_exact]
    )
    np.testing.assert_allclose(greedy.gain, greedy.best, rtol=1e-5)
    np.testing.assert_allclose(info.score[:num_exact], greedy.gain, rtol=1e-5)
    assert info.num_fallback == 0


def test_the_first_pick_is_that_of_bald():
    for seed in range(6):
        inputs = make_inputs(seed)
        alone, _, _ = acquire(bald(BALDConfig(), num_classes=C), inputs)
        jointly, _, _ = acquire(batch_bald(BatchBALDConfig(), num_classes=C), inputs)
        assert jointly.indices[0] == alone.indices[0]


def test_the_key_matters_only_beyond_the_counted_outcomes():
    inputs = make_inputs(3)
    few = batch_bald(BatchBALDConfig(num_configurations=16), num_classes=C)
    scores = np.array([acquire(few, inputs, seed=seed)[2].score for seed in range(4)])
    np.testing.assert_array_equal(scores[:, :3], np.broadcast_to(scores[0, :3], (4, 3)))
    assert len(np.unique(scores[:, 3])) > 1
    many = batch_bald(BatchBALDConfig(), num_classes=C)
    np.testing.assert_array_equal(acquire(many, inputs, seed=0)[2].score, acquire(many, inputs, seed=1)[2].score)


def test_only_the_rows_of_the_largest_bald_score_are_searched_and_bald_goes_on_behind_them():
    inputs = make_inputs(4, labels_left=1000)
    ranking = picks(acquire(bald(BALDConfig(), num_classes=C), inputs, query_size=N)[0])
    for num_candidates in (1, 5, 9):
        strategy = batch_bald(BatchBALDConfig(num_candidates=num_candidates), num_classes=C)
        query, _, info = acquire(strategy, inputs, query_size=N)
        chosen, num_joint = picks(query), num_candidates
        assert set(chosen[:num_joint]) == set(ranking[:num_joint])
        np.testing.assert_array_equal(chosen[num_joint:], ranking[num_joint:])
        assert info.num_fallback == len(ranking) - num_joint
        is_candidate = np.isin(np.arange(N), ranking[:num_candidates])
        num_exact = min(num_joint, 3)
        greedy = reference.batch_bald(np.asarray(inputs.mc_logits), is_candidate, chosen[:num_exact])
        np.testing.assert_allclose(greedy.gain, greedy.best, rtol=1e-5)
        np.testing.assert_allclose(info.score[:num_exact], greedy.gain, rtol=1e-5)


def test_where_all_rows_are_candidates_there_is_no_selection_before():
    inputs = make_inputs(5)
    whole, _, _ = acquire(batch_bald(BatchBALDConfig(num_candidates=0), num_classes=C), inputs)
    for num_candidates in (N, 2000):
        same, _, _ = acquire(batch_bald(BatchBALDConfig(num_candidates=num_candidates), num_classes=C), inputs)
        np.testing.assert_array_equal(same.indices, whole.indices)
