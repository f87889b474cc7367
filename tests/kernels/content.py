"""The content that kernels are tried on: shapes are few (each compiles), what stands in them varies."""

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

# The kinds of rows that have broken public code: ties, duplicates, one value everywhere, a cloud far from the origin.
KINDS = ("normal", "integer", "duplicates", "all_equal", "offset", "clustered")

kinds = st.sampled_from(KINDS)
seeds = st.integers(0, 2**31 - 1)


def examples(count):
    """Hypothesis settings: the same examples every time, so that red stays red; no clock, for shared machines."""
    return settings(max_examples=count, deadline=None, derandomize=True, database=None)


def rows(rng, kind, num_rows, dim):
    """Float32 rows [num_rows, dim] of one kind."""
    if kind == "integer":
        # Small integers make products, sums and squares exact in float32: equal means equal.
        return rng.integers(-3, 4, (num_rows, dim)).astype(np.float32)
    values = rng.normal(size=(num_rows, dim))
    if kind == "duplicates":
        values = values[rng.integers(0, max(1, num_rows // 3), num_rows)]
    elif kind == "all_equal":
        values = np.broadcast_to(values[:1], values.shape)
    elif kind == "offset":
        values = values + 30.0
    elif kind == "clustered":
        values = 0.01 * values + 5.0 * rng.normal(size=(4, dim))[rng.integers(0, 4, num_rows)]
    return values.astype(np.float32)


def largest_square(*arrays):
    """max ||row||^2: squared distances by the expanded square cannot be more exact than a part of this."""
    return max(float(np.max(np.sum(np.asarray(array, np.float64) ** 2, axis=-1), initial=0.0)) for array in arrays)
