"""How many rows of a pool to work on at a time where each is read more than once: as many as stay in the cache."""

import jax

from jaxal.kernels.blocks import rows_per_block

__all__ = ["rows_per_cached_block"]

# What the cores of a CPU share of a cache, roughly. Between 2 and 16 MiB times differ little; beyond they double.
CACHE_BYTES = 8 * 2**20


def rows_per_cached_block(bytes_per_row: int, num_rows: int) -> int:
    """Derive the rows of a block by `rows_per_block`, on a CPU never more than its cache holds.

    Read while tracing, like the budget; it changes time only. A GPU wants blocks as large as the budget allows.

    Args:
        bytes_per_row: what one row needs while its block is worked on, all temporaries counted.
        num_rows: N.
    """
    by_budget = rows_per_block(bytes_per_row, num_rows)
    if jax.default_backend() != "cpu":
        return by_budget
    return min(by_budget, rows_per_block(bytes_per_row, num_rows, CACHE_BYTES))
