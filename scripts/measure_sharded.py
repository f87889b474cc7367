"""Choose from a pool whose rows lie on 1, 2 and 8 devices, compare the picks, and put a table into a document.

.venv/bin/python scripts/measure_sharded.py docs/scaling.md

The document holds a block between `<!-- sharded: begin -->` and `<!-- sharded: end -->`. The devices are eight of the
host's own making (XLA's), so that nothing here is about speed: told is whether the picks are the same, and how often
the compiled program has the devices talk, counted in its text by how deep in loops that stands.
"""

import os

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8"

import argparse
import math
import re
import time
from collections import Counter
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from measure_study import write_block

from jaxal.kernels.pool_mesh import everywhere, pool_mesh
from jaxal.profiling.made_pools import make_pool
from jaxal.profiling.sizes import Sizes, strategies_of
from jaxal.report.tables import markdown
from jaxal.strategies.registry import make_strategy
from jaxal.strategies.spread_pool import make_pool_mesh, spread_inputs
from jaxal.strategies.strategy import AcquisitionInputs, Strategy
from jaxal.typing import Array

DEVICES = (1, 2, 8)
SIZES = Sizes(4003, 24, 4, 60)  # 4003 is divided by neither 2 nor 8
COLLECTIVE = re.compile(r"= (.*) (?:all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute)(?:-start)?\(")
SHAPE = re.compile(r"[a-z]+\d+\[([\d,]*)\]")
COMPUTATION = re.compile(r"^(?:ENTRY )?%?([\w.\-]+) \(.*\{$")
CALLED = re.compile(r"(?:calls|to_apply|true_computation|false_computation)=%?([\w.\-]+)")
BRANCHES = re.compile(r"branch_computations=\{([^}]*)\}")
LOOP = re.compile(r"(?:condition|body)=%?([\w.\-]+)")


def collectives(text: str) -> tuple[Counter[int], int]:
    """Count a compiled program's collectives by how many loops they stand in, and the numbers of the largest result."""
    bodies: dict[str, list[str]] = {}
    entry = name = ""
    for line in text.splitlines():
        if found := COMPUTATION.match(line):
            name = found[1]
            bodies[name] = []
            entry = name if line.startswith("ENTRY") else entry
        elif name:
            bodies[name].append(line)
    counts: Counter[int] = Counter()
    largest = 0
    todo = [(entry, 0)]
    while todo:
        name, depth = todo.pop()
        for line in bodies.get(name, ()):
            if found := COLLECTIVE.search(line):
                counts[depth] += 1
                sizes = [math.prod(map(int, filter(None, shape.split(",")))) for shape in SHAPE.findall(found[1])]
                largest = max([largest, *sizes])
            called = CALLED.findall(line)
            for names in BRANCHES.findall(line):
                called += [each.strip().lstrip("%") for each in names.split(",")]
            todo += [(each, depth) for each in called]
            todo += [(each, depth + 1) for each in LOOP.findall(line)]
    return counts, largest


def picks_of(
    strategy: Strategy, inputs: AcquisitionInputs, num_devices: int | None = None
) -> tuple[np.ndarray, Counter[int], int]:
    """Choose once; returns the picks in their order, and the collectives of the compiled program."""
    mesh = None
    if num_devices is not None:
        mesh = make_pool_mesh(jax.devices()[:num_devices])
        inputs = spread_inputs(inputs, mesh)

    def acquire(key: Array, inputs: AcquisitionInputs) -> Array:
        with pool_mesh(mesh):
            query, _, _ = strategy.acquire(key, strategy.init(inputs), inputs, SIZES.query_size)
            return everywhere(jnp.where(query.is_valid, query.indices, -1))

    compiled = jax.jit(acquire).lower(jax.random.key(1), inputs).compile()
    return np.asarray(compiled(jax.random.key(1), inputs)), *collectives(compiled.as_text() or "")


def measure(strategy: Strategy) -> dict[str, str]:
    """Make a strategy's row of the table."""
    inputs = make_pool(SIZES, 0, strategy.needs)
    expected, *_ = picks_of(strategy, inputs)
    assert len(set(expected[expected >= 0].tolist())) == SIZES.query_size
    row, counts, largest = {"strategy": strategy.name}, Counter[int](), 0
    for number in DEVICES:
        found, counts, largest = picks_of(strategy, inputs, number)
        num_same = int(np.argmin(np.append(found == expected, False)))
        row[f"{number} device{'s' if number > 1 else ''}"] = (
            "same" if num_same == len(expected) else f"first {num_same} of {len(expected)}"
        )
    names = ("outside loops", "in one loop", "in two", "in three or more")
    deep = sum(count for depth, count in counts.items() if depth >= len(names) - 1)
    row |= dict(zip(names, map(str, (*(counts[depth] for depth in range(len(names) - 1)), deep)), strict=True))
    row["largest, numbers a row"] = f"{largest / SIZES.num_rows:.2g}"
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("document", type=Path, nargs="?", help="to put the table into; printed where absent")
    parser.add_argument("--strategies", help="names with commas between them; all where absent")
    options = parser.parse_args()
    rows = []
    for name, config in strategies_of(options.strategies).items():
        began = time.perf_counter()
        rows.append(measure(make_strategy(config, num_classes=SIZES.num_classes)) | {"strategy": name})
        print(f"{name}: {time.perf_counter() - began:.0f} s {rows[-1]}", flush=True)
    note = (
        f"{SIZES.num_rows} × {SIZES.width} embeddings, {SIZES.num_classes} classes, {SIZES.query_size} picks, padded to"
        " a multiple of the devices with rows that may never be asked; compared with the unpadded pool on one device,"
        " pick by pick. Collectives as they stand in the program compiled for 8 devices, and the result of the largest"
        f" of them divided by the rows of the pool ({SIZES.width} would be all embeddings), jax {jax.__version__}. Put"
        " here by `scripts/measure_sharded.py`."
    )
    text = f"{markdown(rows)}\n{note}"
    if options.document is None:
        print(text)
    else:
        write_block(options.document, "sharded", text)


if __name__ == "__main__":
    main()
