import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from jaxal.errors import StoreError
from jaxal.store.checkpoints import restore, save, steps

TREE = {"weight": np.arange(600, dtype=np.float32).reshape(20, 30), "labels": np.full(50, -1, np.int32)}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoints")
    save(folder, 0, TREE)
    return folder, save(folder, 1, TREE)


def files_of(folder):
    return [folder / "1.sha256.json", *sorted(path for path in (folder / "1").rglob("*") if path.is_file())]


def is_intact(tree):
    return all(tree[name].tobytes() == TREE[name].tobytes() for name in TREE)


def damaged_versions(data):
    """Yields what a disk may make of a file: cut, emptied, longer, a zeroed end, and single bits flipped."""
    yield from (data[:-1], data[: len(data) // 2], b"", data + b"\0", data[:-8] + b"\0" * min(8, len(data)))
    rng = random.Random(0)
    for _ in range(8):
        flipped = bytearray(data)
        flipped[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        yield bytes(flipped)


def test_every_damage_to_every_file_is_caught(saved):
    folder, digest = saved
    count = 0
    for path in files_of(folder):
        data = path.read_bytes()
        try:
            for content in damaged_versions(data):
                if content == data:
                    continue
                path.write_bytes(content)
                with pytest.raises(StoreError, match=r"checkpoint 1 in .* is damaged: .*Use checkpoint 0 instead"):
                    restore(folder, 1, TREE, sha256=digest)
                with pytest.raises(StoreError, match="is damaged"):
                    restore(folder, 1, TREE, sha256=None)
                count += 1
            path.unlink()
            with pytest.raises(StoreError, match=r"is damaged: .* is missing|no complete checkpoint 1"):
                restore(folder, 1, TREE, sha256=digest)
        finally:
            path.write_bytes(data)
    assert count > 100
    assert is_intact(restore(folder, 1, TREE, sha256=digest))


@pytest.mark.parametrize("name", ["extra", "d/extra"])
def test_a_file_too_many_is_caught(saved, name):
    folder, digest = saved
    path = folder / "1" / name
    for make in (path.touch, lambda: path.symlink_to(folder)):
        make()
        try:
            with pytest.raises(StoreError, match=f"{name} does not belong there"):
                restore(folder, 1, TREE, sha256=digest)
        finally:
            path.unlink()


def test_the_digest_is_that_of_the_content(saved, tmp_path):
    _, digest = saved
    assert save(tmp_path, 5, TREE) == digest
    assert save(tmp_path, 5, TREE | {"labels": TREE["labels"] + np.int32(1)}) != digest
    with pytest.raises(StoreError, match="not of the tree that was recorded"):
        restore(tmp_path, 5, TREE, sha256=digest)


def test_a_step_that_is_not_there_names_those_that_are(saved, tmp_path):
    with pytest.raises(StoreError, match=r"no complete checkpoint 7 in .*only \[0, 1\]"):
        restore(saved[0], 7, TREE, sha256=None)
    with pytest.raises(StoreError, match="only none"):
        restore(tmp_path, 7, TREE, sha256=None)


@pytest.mark.parametrize("text", ["[]", "{}", '{"files": {"a": 1}, "leaves": {}}', '{"files": 3, "leaves": {}}'])
def test_a_manifest_of_another_form_is_refused(tmp_path, text):
    save(tmp_path, 0, TREE)
    (tmp_path / "0.sha256.json").write_text(text)
    with pytest.raises(StoreError, match=r"0\.sha256\.json cannot be read.*No other checkpoint"):
        restore(tmp_path, 0, TREE, sha256=None)


SAVER = """
import pathlib, sys
import numpy as np
from jaxal.store.checkpoints import save, steps
folder = pathlib.Path(sys.argv[1])
step = max(steps(folder), default=-1) + 1
while True:
    save(folder, step, {"weight": np.full((200, 200), step, np.float32), "labels": np.full(9, step, np.int32)})
    print(step, flush=True)
    step += 1
"""


@pytest.mark.slow
def test_kills_at_random_times_leave_only_steps_that_restore(tmp_path):
    template = {"weight": np.zeros((200, 200), np.float32), "labels": np.zeros(9, np.int32)}
    rng = random.Random(0)
    reported = -1
    for _ in range(4):
        with subprocess.Popen([sys.executable, "-c", SAVER, str(tmp_path)], stdout=subprocess.PIPE, text=True) as saver:
            first = saver.stdout.readline()
            time.sleep(rng.uniform(0.02, 0.4))
            saver.kill()
            lines = (first + saver.stdout.read()).splitlines(keepends=True)
        assert saver.returncode == -signal.SIGKILL
        reported = max(reported, *(int(line) for line in lines if line.endswith("\n")))
        complete = steps(tmp_path)
        assert reported in complete
        assert len(complete) <= 3
        for step in complete:
            found = restore(tmp_path, step, template, sha256=None)
            assert {float(value) for leaf in found.values() for value in np.unique(leaf)} == {float(step)}
    save(tmp_path, reported + 1, template)
    assert len(list(tmp_path.iterdir())) == 4
