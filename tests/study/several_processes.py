"""`jaxal run --distributed` as subprocesses of this host, which talk over loopback."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import tomli_w


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


# All devices share the pool of a single process, as on GPUs.
ON_ALL_DEVICES = """
import sys
from jaxal.cli import main
from jaxal.experiment import layout
from jaxal.strategies.spread_pool import make_pool_mesh
layout.local_mesh = lambda *_: make_pool_mesh()
sys.exit(main(sys.argv[1:]))
"""


def begin(configs, workdir, *flags, program=("-m", "jaxal"), hosts=None):
    """Start one process for each config, each in a folder of its own if given; returns them by their numbers."""
    address = f"127.0.0.1:{free_port()}"
    together = ["--distributed", "--coordinator", address, "--num-processes", str(len(configs))]
    return [
        subprocess.Popen(
            [sys.executable, *program, "run", str(config), "--workdir", str(workdir), *flags]
            + ([*together, "--process", str(number)] if len(configs) > 1 else []),
            env=os.environ | {"JAX_PLATFORMS": "cpu"},
            cwd=hosts and hosts[number],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number, config in enumerate(configs)
    ]


def end(running, seconds=550):
    """Wait for processes; returns their exit codes, and what each has said on standard error."""
    try:
        messages = [process.communicate(timeout=seconds)[1] for process in running]
    finally:
        for process in running:
            process.kill()
    return [process.returncode for process in running], messages


def write_config(folder: Path, document, name="study.toml"):
    path = folder / name
    path.write_text(tomli_w.dumps(document))
    return path


def asked(workdir):
    """Return what each arm and seed has asked, round by round."""
    found = {}
    for path in sorted(Path(workdir).glob("*/seed-*/journal.jsonl")):
        events = map(json.loads, path.read_text().splitlines())
        found[path.parts[-3], path.parts[-2]] = [event["ids"] for event in events if event["event"] == "asked"]
    return found
