import numpy as np
import pytest
from reference import mutual_information as reference

from jaxal.config.strategies import BALDConfig, BatchBALDConfig
from jaxal.pool import UNLABELED
from jaxal.strategies.bald import bald
from jaxal.strategies.batch_bald import batch_bald

from .pools import C, acquire, make_inputs, picks


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
