"""Rows that nobody measured."""

from jaxal.profiling.ceilings import Ceilings
from jaxal.profiling.measurement import Measurement

# A machine that reads 10 GB/s and multiplies at 100 GFLOP/s.
CEILINGS = Ceilings(10e9, 100e9)


def make_row(strategy="core_set", num_rows=1000, width=64, seconds=0.5, growth_bytes=256_000, **changes):
    row = Measurement(
        strategy=strategy,
        num_rows=num_rows,
        width=width,
        num_classes=3,
        query_size=20,
        num_labeled=num_rows // 20,
        seconds_compile=1.25,
        seconds=seconds,
        seconds_min=seconds / 2,
        seconds_max=2 * seconds,
        growth_bytes=growth_bytes,
        planned_bytes=1000,
        growth_ratio=None if growth_bytes is None else growth_bytes / (4 * num_rows * width),
        bytes=8000,
        flops=9000,
        gb_per_second=1e-9,
        gflop_per_second=0.1 + 0.2,
        bound="flops",
        ceiling_share=0.03125,
        ceiling_gb_per_second=31.5,
        ceiling_gflop_per_second=205.0,
    )
    return row._replace(**changes)
