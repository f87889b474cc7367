import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernels.content import examples, kinds, rows, seeds
from reference import mutual_information as reference

from jaxal.config.strategies import BALDConfig
from jaxal.pool import UNLABELED
from jaxal.strategies.bald import bald

from .content_pools import LABELINGS, content_pool
from .greedy import assert_smallest_first
from .pools import acquire, picks

# (M, N, C, Q)
SHAPES = [(1, 1, 2, 1), (4, 6, 11, 9), (5, 40, 3, 7), (8, 600, 4, 12)]


@pytest.mark.parametrize(("num_draws", "num_rows", "num_classes", "query_size"), SHAPES)
@examples(6)
@given(seed=seeds, kind=kinds, noise=st.sampled_from([1e-3, 1.0, 1e4]), labeling=st.sampled_from(LABELINGS))
def test_the_largest_information_comes_first(num_draws, num_rows, num_classes, query_size, seed, kind, noise, labeling):
    rng = np.random.default_rng(seed)
    common = rows(rng, kind, num_rows, num_classes)
    mc_logits = common[None] + np.float32(noise) * rows(rng, kind, num_draws * num_rows, num_classes).reshape(
        num_draws, num_rows, num_classes
    )
    inputs = content_pool(seed, kind, labeling, num_rows, 1, num_classes, query_size)
    inputs = inputs._replace(mc_logits=jnp.asarray(mc_logits))
    query, _, info = acquire(bald(BALDConfig(), num_classes=num_classes), inputs, query_size=query_size)
    information = reference.bald(mc_logits)
    is_free = np.asarray(inputs.pool.labels) == UNLABELED
    assert_smallest_first(-information, picks(query), is_free, atol=1e-14)
    np.testing.assert_allclose(info.score[query.is_valid], information[picks(query)], rtol=1e-5, atol=1e-14)
    assert info.num_fallback == 0
