"""Pools over several devices, which a process has only if it starts with them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "measure_sharded.py"
EIGHT = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=8"
# Numbers that a collective grows by with each row of the pool: a few of each row are sorted or listed
# whole, once a query. Never the embeddings, of 24 numbers a row.
MOST_A_ROW = 4.1


def run_with_eight(words):
    environment = os.environ | {"XLA_FLAGS": EIGHT}
    return subprocess.run(words, capture_output=True, text=True, timeout=590, cwd=ROOT, env=environment)


@pytest.mark.slow
@pytest.mark.parametrize(
    "names",
    [
        "random or entropy or margin or confidence or bald",
        "core_set or class_deficit or badge",
        "alfa_mix or typiclust",
        "auto_fm",
        "mpps or cb_dal",
        "balanced or budget_split",
    ],
)
def test_many_devices_pick_what_one_picks(names):
    found = "tests/strategies/test_spread_pool.py"
    done = run_with_eight([sys.executable, "-m", "pytest", "-n", "0", "-m", "slow", "--no-header", "-k", names, found])
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout
    assert "skipped" not in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("names", ["core_set,mpps,class_deficit", "badge,balanced,batch_bald", "alfa_mix", "typiclust"])
def test_what_devices_exchange_does_not_grow_with_the_embeddings(names):
    done = run_with_eight([sys.executable, str(SCRIPT), "--strategies", names])
    assert done.returncode == 0, done.stderr
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in done.stdout.splitlines() if line[:2] == "| "]
    columns, table = rows[0], [dict(zip(rows[0], row, strict=True)) for row in rows[2:]]
    assert len(table) == len(names.split(","))
    growing = [name for name in columns if name.startswith("more a row")]
    assert len(growing) == 3
    for row in table:
        assert row["2 devices"] == row["8 devices"] == "same", row
        assert all(float(row[name]) <= MOST_A_ROW for name in growing), row
