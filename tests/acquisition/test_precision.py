"""What `jaxal.select` makes of coarse types and of large numbers."""

import jax.numpy as jnp
import numpy as np
import pytest
from select_pools import pool_arrays, select

from jaxal.errors import InputError


@pytest.mark.parametrize("coarse", ["embeddings", "head"])
def test_a_contradiction_is_what_the_coarsest_type_cannot_explain(coarse):
    arrays = pool_arrays(1)
    exact = select("entropy", **arrays)
    parts = arrays["head"] if coarse == "head" else arrays["embeddings"]
    rounded = tuple(jnp.asarray(part, jnp.bfloat16) for part in parts) if coarse == "head" else jnp.bfloat16(parts)
    given = {**arrays, coarse: rounded}
    np.testing.assert_array_equal(select("entropy", **given), exact)
    widened = tuple(map(jnp.float32, rounded)) if coarse == "head" else jnp.float32(rounded)
    with pytest.raises(InputError, match=r"^logits: .* contradict the head"):  # nothing tells that it was rounded
        select("entropy", **{**given, coarse: widened})
    with pytest.raises(InputError, match=r"^logits: 57 of 60 rows contradict the head.*\(0\.0078125 of it is allowed"):
        select("entropy", **{**given, "logits": arrays["logits"] * np.float32(1.5) + 1})


@pytest.mark.parametrize("strategy", ["core_set", "mpps"])
def test_embeddings_that_are_not_refused_are_ranked_by_their_distances(strategy):
    arrays = pool_arrays(2)
    given = {"labels": arrays["labels"], "num_classes": 3}
    lengths = np.linalg.norm(arrays["embeddings"], axis=1)
    largest = np.float32(2.0 ** np.floor(np.log2(9e18 / lengths.max())))  # a power of two: the same numbers otherwise
    expected = select(strategy, embeddings=arrays["embeddings"], **given)
    np.testing.assert_array_equal(select(strategy, embeddings=arrays["embeddings"] * largest, **given), expected)
    with pytest.raises(InputError, match=r"^embeddings: .* rows are so long"):
        select(strategy, embeddings=arrays["embeddings"] * (4 * largest), **given)
