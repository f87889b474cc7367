import numpy as np
import pytest
from reference.uncertainty import entropy as reference_entropy

from jaxal.config.strategies import EntropyConfig
from jaxal.pool import UNLABELED
from jaxal.strategies.entropy import entropy

from .greedy import assert_smallest_first
from .pools import C, acquire, make_inputs, picks


@pytest.mark.parametrize("weight_scale", [0.1, 1.0, 5.0])
@pytest.mark.parametrize("seed", range(5))
def test_the_largest_entropy_comes_first(seed, weight_scale):
    inputs = make_inputs(seed, weight_scale=weight_scale)
    query, _, info = acquire(entropy(EntropyConfig(), num_classes=C), inputs)
    values = reference_entropy(np.asarray(inputs.logits))
    assert_smallest_first(-values, picks(query), np.asarray(inputs.pool.labels) == UNLABELED)
    np.testing.assert_allclose(info.score, values[query.indices], rtol=1e-5)
    assert info.num_fallback == 0
