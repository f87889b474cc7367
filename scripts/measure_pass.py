"""Measure the pass that Eq. 5 needs over the embeddings against reading them alone, and put a table into a document.

.venv/bin/python scripts/measure_pass.py docs/benchmarks.md

The document holds a block between `<!-- pass: begin -->` and `<!-- pass: end -->`. All take turns on one array, which
no cache holds. Beside them stands what the pass is without blocks: a matrix product, then the rows' sums of squares.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from measure_study import processor, write_block

from jaxal.kernels.push_pull_search import push_pull_bounds
from jaxal.report.tables import markdown

SHAPES = ((33_126, 2304, 2), (150_000, 512, 2), (150_000, 512, 10))  # N, D, C
PASS, IN_TURN = "Eq. 5's bounds", "product, then sums of squares"


def measure(num_rows: int, width: int, num_classes: int, num_rounds: int) -> dict[str, list[float]]:
    """Time every way over a pool in turn; returns the seconds of each, round by round."""
    rng = np.random.default_rng(0)
    embeddings = jnp.asarray(rng.standard_normal((num_rows, width), np.float32))
    centroids = jnp.asarray(0.3 * rng.standard_normal((num_classes, width), np.float32))
    counts = jnp.full(num_classes, 100, jnp.int32).at[-1].set(3)
    weight = (centroids[:-1] - centroids[-1]).T
    bounds, total = jax.jit(push_pull_bounds), jax.jit(jnp.sum)
    in_turn = jax.jit(lambda rows: (jnp.matmul(rows, weight, precision="highest"), jnp.sum(rows * rows, axis=1)))
    parts = np.array_split(np.asarray(embeddings).reshape(-1), os.cpu_count() or 1)
    with ThreadPoolExecutor(len(parts)) as threads:
        ways: dict[str, Callable[[], object]] = {
            PASS: lambda: bounds(embeddings, centroids, counts),
            IN_TURN: lambda: in_turn(embeddings),
            "sum by XLA": lambda: total(embeddings),
            "sum by NumPy in threads": lambda: list(threads.map(np.sum, parts)),
        }
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for number in range(num_rounds + 1):
            for name, way in ways.items():
                began = time.perf_counter()
                jax.block_until_ready(way())
                if number:  # the first compiles
                    seconds[name].append(time.perf_counter() - began)
    return seconds


def row(shape: tuple[int, int, int], seconds: dict[str, list[float]]) -> dict[str, str]:
    """Describe one pool: medians, and shares of the faster read, both by medians."""
    times = {name: statistics.median(each) for name, each in seconds.items()}
    read = min(seconds for name, seconds in times.items() if name not in (PASS, IN_TURN))
    cells = {"N × D": f"{shape[0]:,} × {shape[1]}", "C": str(shape[2]), "one read, ms": f"{1e3 * read:.1f}"}
    cells["GB/s"] = f"{4 * shape[0] * shape[1] / read / 1e9:.1f}"
    for name in (IN_TURN, PASS):
        cells[f"{name}, ms"] = f"{1e3 * times[name]:.1f}"
        cells[f"{name}, share"] = f"{read / times[name]:.0%}"
    return cells


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("document", type=Path, nargs="?", help="a Markdown file to put the table into")
    parser.add_argument("--rounds", type=int, default=40, help="timed calls of each way")
    options = parser.parse_args()
    table = markdown([row(shape, measure(*shape, options.rounds)) for shape in SHAPES])
    foot = (
        f"Medians of {options.rounds} calls in turn; one read is the faster of XLA's sum and NumPy's by threads."
        f" {processor()}, jax {jax.__version__}. Put here by `scripts/measure_pass.py`."
    )
    block = f"{table}\n\n{foot}"
    print(block)
    if options.document is not None:
        write_block(options.document, "pass", block)


if __name__ == "__main__":
    main()
