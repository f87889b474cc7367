"""The pool's rows laid out over several devices that do not divide them: the same picks as on one."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "measure_sharded.py"


@pytest.mark.slow
def test_many_devices_pick_what_one_picks():
    names = ("core_set", "badge", "cb_dal", "alfa_mix", "typiclust")
    words = [sys.executable, str(SCRIPT), "--strategies", ",".join(names)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=550)
    assert done.returncode == 0, done.stderr
    rows = [[cell.strip() for cell in line.split("|")[1:5]] for line in done.stdout.splitlines() if line[:2] == "| "]
    assert rows[0] == ["strategy", "1 device", "2 devices", "8 devices"]
    assert rows[2:] == [[name, "same", "same", "same"] for name in names]
