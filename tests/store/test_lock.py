import json
import os
import subprocess
import sys

import filelock
import pytest

from jaxal.errors import StoreError
from jaxal.store.lock import hold

HOLDER = """
import pathlib, sys
from jaxal.store.lock import hold
with hold(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_the_note_is_there_while_held_and_gone_after(tmp_path):
    folder = tmp_path / "runs" / "a"
    with hold(folder):
        note = json.loads((folder / ".lock.json").read_text())
        assert note["pid"] == os.getpid()
        assert set(note) == {"pid", "host", "since"}
    assert sorted(path.name for path in folder.iterdir()) == [".lock"]


def test_a_second_hold_is_refused_until_the_first_is_released_even_by_an_error(tmp_path, monkeypatch):
    alive = []  # so that a lock is free because it was released, not because it was collected
    real = filelock.FileLock
    monkeypatch.setattr(filelock, "FileLock", lambda path: alive.append(real(path)) or alive[-1])

    def fail():
        with hold(tmp_path):
            with pytest.raises(StoreError, match=rf"in use by process {os.getpid()} on .* since 20.*another folder"):
                hold(tmp_path).__enter__()
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    with hold(tmp_path):
        assert (tmp_path / ".lock.json").exists()


def test_a_second_process_is_refused_and_a_killed_holder_lets_go(tmp_path):
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout.readline() == "held\n"
            with pytest.raises(StoreError, match=rf"in use by process {holder.pid} on "), hold(tmp_path):
                pass
            (tmp_path / ".lock.json").unlink()
            with pytest.raises(StoreError, match="in use by another process"), hold(tmp_path):
                pass
        finally:
            holder.kill()
    assert holder.returncode == -9
    with hold(tmp_path):
        assert json.loads((tmp_path / ".lock.json").read_text())["pid"] == os.getpid()


def test_a_folder_that_cannot_be_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot write"), hold(tmp_path / "file"):
        pass
