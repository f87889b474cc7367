"""Choose from a pool whose rows lie on one, 2 and 8 devices, compare the picks, and put a table into a document.

.venv/bin/python scripts/measure_sharded.py docs/scaling.md

The document holds a block between `<!-- sharded: begin -->` and `<!-- sharded: end -->`. The devices are eight of the
host's own making (XLA's), so that nothing here is about speed: told is whether the picks are the same, and how often
the compiled program has the devices talk, counted in its text by how deep in loops that stands, and how much of that
grows with the rows, told by a second program for twice as many.
"""

import os

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8"

import argparse
import math
import re
import time
from collections import defaultdict
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jax.stages import Compiled
from measure_study import write_block

from jaxal.config.strategies import StrategyConfig
from jaxal.kernels.pool_mesh import everywhere, pool_mesh
from jaxal.profiling.made_pools import make_pool
from jaxal.profiling.sizes import Sizes, parse_sizes, strategies_of
from jaxal.report.tables import markdown
from jaxal.strategies.registry import make_strategy
from jaxal.strategies.spread_pool import make_pool_mesh, spread_inputs
from jaxal.strategies.strategy import AcquisitionInputs, Strategy
from jaxal.typing import Array

DEVICES = (2, 8)
SIZES = Sizes(20_003, 24, 4, 60)  # divided by neither 2 nor 8, and each device has more rows than candidates
COLLECTIVE = re.compile(r"= (.*) (?:all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute)(?:-start)?\(")
SHAPE = re.compile(r"[a-z]+\d*\[([\d,]*)\]")
COMPUTATION = re.compile(r"^(?:ENTRY )?%?([\w.\-]+) \(.*\{$")
CALLED = re.compile(r"(?:calls|to_apply|true_computation|false_computation)=%?([\w.\-]+)")
BRANCHES = re.compile(r"branch_computations=\{([^}]*)\}")
LOOP = re.compile(r"(?:condition|body)=%?([\w.\-]+)")


def collectives(text: str) -> dict[int, list[int]]:
    """List the numbers in the result of each collective of a compiled program, by how many loops it stands in."""
    bodies: dict[str, list[str]] = {}
    entry = name = ""
    for line in text.splitlines():
        if found := COMPUTATION.match(line):
            name = found[1]
            bodies[name] = []
            entry = name if line.startswith("ENTRY") else entry
        elif name:
            bodies[name].append(line)
    sizes: dict[int, list[int]] = defaultdict(list)
    todo = [(entry, 0)]
    while todo:
        name, depth = todo.pop()
        for line in bodies.get(name, ()):
            if found := COLLECTIVE.search(line):
                shapes = SHAPE.findall(found[1])
                sizes[depth].append(sum(math.prod(map(int, filter(None, shape.split(",")))) for shape in shapes))
            called = CALLED.findall(line)
            for names in BRANCHES.findall(line):
                called += [each.strip().lstrip("%") for each in names.split(",")]
            todo += [(each, depth) for each in called]
            todo += [(each, depth + 1) for each in LOOP.findall(line)]
    return sizes


def compiled_for(
    strategy: Strategy, inputs: AcquisitionInputs, mesh: Mesh | None, query_size: int = SIZES.query_size
) -> Compiled:
    """Compile one query over a mesh."""

    def acquire(key: Array, inputs: AcquisitionInputs) -> Array:
        with pool_mesh(mesh):
            query, _, _ = strategy.acquire(key, strategy.init(inputs), inputs, query_size)
            return everywhere(jnp.where(query.is_valid, query.indices, -1))

    return jax.jit(acquire).lower(jax.random.key(1), inputs).compile()


def measure(config: StrategyConfig) -> dict[str, str]:
    """Make a strategy's row of the table."""
    strategy = make_strategy(config, num_classes=SIZES.num_classes)
    inputs = make_pool(SIZES, 0, strategy.needs)
    expected = np.asarray(compiled_for(strategy, inputs, None)(jax.random.key(1), inputs))
    assert len(set(expected[expected >= 0].tolist())) == SIZES.query_size
    row, text = {"strategy": strategy.name}, ""
    for number in DEVICES:
        mesh = make_pool_mesh(jax.devices()[:number])
        there = spread_inputs(inputs, mesh)
        compiled = compiled_for(strategy, there, mesh)
        found = np.asarray(compiled(jax.random.key(1), there))
        num_same = int(np.argmin(np.append(found == expected, False)))
        row[f"{number} devices"] = "same" if num_same == len(expected) else f"first {num_same} of {len(expected)}"
        text = compiled.as_text() or ""
    sizes = collectives(text)
    mesh = make_pool_mesh()
    more = spread_inputs(make_pool(SIZES._replace(num_rows=2 * SIZES.num_rows), 0, strategy.needs), mesh)
    sizes_of_more = collectives(compiled_for(strategy, more, mesh).as_text() or "")
    for where, depths in {"outside loops": (0,), "in a loop": (1,), "in loops of loops": range(2, 9)}.items():
        fewer, twice = ([size for depth in depths for size in each[depth]] for each in (sizes, sizes_of_more))
        row[where], row[f"largest {where}"] = str(len(fewer)), str(max(fewer, default=0))
        # The same program for twice the rows has the same collectives in the same order.
        growth = max((after - before for before, after in zip(fewer, twice, strict=True)), default=0)
        row[f"more a row {where}"] = f"{round(growth / SIZES.num_rows, 2):g}"
    return row


def told_seconds(name: str, config: StrategyConfig, sizes: Sizes) -> str:
    """Time a strategy's second call on one device and on several of the host's own making, which share its cores."""
    strategy = make_strategy(config, num_classes=sizes.num_classes)
    inputs = make_pool(sizes, 0, strategy.needs)
    words = []
    for number in (None, *DEVICES):
        mesh = None if number is None else make_pool_mesh(jax.devices()[:number])
        given = (jax.random.key(1), inputs if mesh is None else spread_inputs(inputs, mesh))
        choose = compiled_for(strategy, given[1], mesh, sizes.query_size)
        jax.block_until_ready(choose(*given))
        began = time.perf_counter()
        jax.block_until_ready(choose(*given))
        words.append(f"{number or 'one'}: {time.perf_counter() - began:.2f} s")
    return f"{name}, {sizes.num_rows} × {sizes.width}, {sizes.query_size} picks; devices {', '.join(words)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("document", type=Path, nargs="?", help="to put the table into; printed where absent")
    parser.add_argument("--strategies", help="names with commas between them; all where absent")
    parser.add_argument("--seconds", help="N,D,C,Q of a pool to time instead, 100000,256,4,1000")
    options = parser.parse_args()
    if options.seconds is not None:
        for name, config in strategies_of(options.strategies).items():
            print(told_seconds(name, config, parse_sizes([options.seconds])[0]), flush=True)
        return
    rows = []
    for name, config in strategies_of(options.strategies).items():
        began = time.perf_counter()
        rows.append(measure(config) | {"strategy": name})
        print(f"{name}: {time.perf_counter() - began:.0f} s {rows[-1]}", flush=True)
    note = (
        f"{SIZES.num_rows} × {SIZES.width} embeddings, {SIZES.num_classes} classes, {SIZES.query_size} picks, padded to"
        " a multiple of the devices with rows that may never be asked; compared with the unpadded pool on one device,"
        " pick by pick. Then, of the program compiled for 8 devices: how many collectives stand there, how many numbers"
        " the result of the largest has, and how many more it has for each row more of the pool (all embeddings would"
        f" be {SIZES.width}). jax {jax.__version__}. Put here by `scripts/measure_sharded.py`."
    )
    text = f"{markdown(rows)}\n{note}"
    if options.document is None:
        print(text)
    else:
        write_block(options.document, "sharded", text)


if __name__ == "__main__":
    main()
