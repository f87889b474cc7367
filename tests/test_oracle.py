import numpy as np
import pytest

from jaxal.oracle import simulated_oracle


def test_rows_are_answered_in_the_order_asked():
    oracle = simulated_oracle(np.array([2, 0, 1, 2], np.uint8))
    answers = oracle.answer(np.array([3, 1, 1, 2]))
    np.testing.assert_array_equal(answers, [2, 0, 0, 1])
    assert answers.dtype == np.int32


def test_asking_nothing_answers_nothing():
    answers = simulated_oracle(np.array([2, 0, 1])).answer(np.array([], np.int32))
    assert answers.shape == (0,)
    assert answers.dtype == np.int32


def test_the_truth_is_its_own_copy():
    labels = np.array([0, 1, 2], np.int32)
    oracle = simulated_oracle(labels)
    labels[:] = 9
    answers = oracle.answer(np.array([0, 1, 2]))
    np.testing.assert_array_equal(answers, [0, 1, 2])
    answers[:] = 7
    np.testing.assert_array_equal(oracle.answer(np.array([0, 1, 2])), [0, 1, 2])


def test_padding_of_a_query_has_no_answer():
    oracle = simulated_oracle(np.array([0, 1, 2]))
    with pytest.raises(IndexError):
        oracle.answer(np.array([0, 3]))
