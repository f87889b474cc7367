"""The pools that a profile is measured on."""

import jax
import numpy as np
import pytest

from jaxal.profiling.made_pools import make_pool
from jaxal.profiling.sizes import Sizes
from jaxal.strategies.inputs import check_shapes

SIZES = Sizes(200, 6, 4, 11)
ALL = frozenset({"logits", "head", "mc_logits", "source_logits"})


def test_a_pool_has_what_is_needed_and_labels_of_every_class():
    pool = make_pool(SIZES, 0, ALL)
    check_shapes(pool, SIZES.num_classes)
    assert pool.mc_logits.shape == (10, 200, 4)
    assert pool.source_logits.shape == (200, 20)
    labels = np.asarray(pool.pool.labels)
    assert np.sum(labels >= 0) == SIZES.num_labeled == 10
    assert set(labels.tolist()) == {-1, 0, 1, 2, 3}
    assert int(pool.labels_left) == 11
    np.testing.assert_allclose(pool.logits, pool.embeddings @ pool.head.weight, rtol=1e-4, atol=1e-5)


def test_what_is_not_needed_is_not_made():
    pool = make_pool(SIZES, 0, frozenset())
    assert [pool.logits, pool.head, pool.mc_logits, pool.source_logits] == [None] * 4


def test_the_seed_changes_values_and_no_shape():
    one, same, other = (make_pool(SIZES, seed, ALL) for seed in (3, 3, 4))
    assert all(map(np.array_equal, jax.tree.leaves(one), jax.tree.leaves(same)))
    assert not np.any(np.asarray(one.embeddings) == np.asarray(other.embeddings))
    assert jax.tree.map(np.shape, one) == jax.tree.map(np.shape, other)


@pytest.mark.parametrize("num_classes", [2, 4])
def test_later_classes_are_rarer_and_the_head_nearly_knows(num_classes):
    pool = make_pool(Sizes(4000, 32, num_classes, 5), 1, ALL)
    counts = np.bincount(np.argmax(pool.logits, axis=1), minlength=num_classes)
    assert counts[0] > counts[-1] > 0
