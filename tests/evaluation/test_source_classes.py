"""The shares of the pool by predicted source class."""

import numpy as np
import pytest

from jaxal.errors import InputError
from jaxal.evaluation.source_classes import source_class_shares


def test_shares_are_ranked_over_all_classes():
    logits = np.eye(4, dtype=np.float32)[[3, 1, 3, 3, 1, 0, 3, 3]]
    assert source_class_shares(logits).tolist() == [5 / 8, 2 / 8, 1 / 8, 0]


def test_a_tie_is_of_the_lowest_class():
    np.testing.assert_array_equal(source_class_shares(np.zeros((3, 2), np.float32)), [1, 0])


def test_no_images_have_no_shares():
    with pytest.raises(InputError, match="no images"):
        source_class_shares(np.zeros((0, 2), np.float32))
