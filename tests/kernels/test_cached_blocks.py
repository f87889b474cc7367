import jax

from jaxal.kernels.blocks import block_budget, rows_per_block
from jaxal.kernels.cached_blocks import CACHE_BYTES, rows_per_cached_block


def test_a_cpus_blocks_fit_its_cache_and_the_budget():
    width = 1000
    for num_bytes in (None, 1, 10_000, 10**9):
        with block_budget(num_bytes):
            num_rows = rows_per_cached_block(width, 10**6)
            assert num_rows <= rows_per_block(width, 10**6)
        if jax.default_backend() == "cpu":
            assert num_rows * width <= CACHE_BYTES
            smallest = min(CACHE_BYTES, CACHE_BYTES if num_bytes is None else num_bytes)
            assert num_rows * width > smallest / 2 or num_rows == 1
    assert rows_per_cached_block(width, 3) == 3
