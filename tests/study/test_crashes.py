"""kill -9 at any time, then the same command: the same result files as an undisturbed run's."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest
import tomli_w

from jaxal.cli import main
from jaxal.store import checkpoints, journal
from jaxal.study import rounds, run_study
from jaxal.study.runner import StudyListener
from tests.study.conftest import outcome, tiny


class Crash(BaseException):
    """What a kill leaves behind, without the cost of a new process."""


# One before and one after a write, of either kind; -m slow has the others.
POINTS = [number if number in (5, 8) else pytest.param(number, marks=pytest.mark.slow) for number in range(16)]


@pytest.mark.parametrize("point", POINTS)
def test_a_crash_at_each_commit_point_changes_nothing(finished, tmp_path, monkeypatch, point):
    """Die right before, and right after, each durable write of the first arm and seed."""
    study, result = finished
    writes = 0

    def dying(write):
        def attempt(*arguments, **keywords):
            nonlocal writes
            if writes == point:
                raise Crash
            writes += 1
            answer = write(*arguments, **keywords)
            if writes == point:
                raise Crash
            writes += 1
            return answer

        return attempt

    with monkeypatch.context() as patched:
        patched.setattr(journal, "append", dying(journal.append))
        patched.setattr(checkpoints, "save", dying(checkpoints.save))
        with pytest.raises(Crash):
            run_study(study, tmp_path / "run")
    run_study(study, tmp_path / "run")
    assert outcome(tmp_path / "run") == outcome(result.workdir)


def test_a_torn_journal_line_and_a_damaged_checkpoint_are_recovered(finished, tmp_path):
    study, result = finished
    workdir = tmp_path / "run"
    stop_after(study, workdir, ("cb", 1, 1))
    folder = workdir / "cb" / "seed-1"
    with open(folder / "journal.jsonl", "ab") as file:
        file.write(b'{"event": "asked", "round": 2, "ids": ["digit-00')
    victim = next(path for path in (folder / "checkpoints" / "1").rglob("*") if path.is_file())
    victim.write_bytes(b"rot")
    notes = []
    run_study(study, workdir, StudyListener(on_note=notes.append))
    assert any("checkpoint 1" in note and "damaged" in note for note in notes)
    results, metrics, _ = outcome(workdir)
    assert (results, metrics) == outcome(result.workdir)[:2]


def stop_after(study, workdir, where):
    def on_round(arm, seed, number, num_rounds):
        if (arm, seed, number) == where:
            raise Crash

    with pytest.raises(Crash):
        run_study(study, workdir, StudyListener(on_round=on_round))


def test_other_picks_than_recorded_are_refused(finished, tmp_path):
    study, _ = finished
    stop_after(study, tmp_path, ("cb", 0, 0))
    path = rounds.journal_path(tmp_path / "cb" / "seed-0")
    asked = {"event": "asked", "round": 1, "ids": [], "indices": [1, 2, 3], "score": [], "reason": []}
    journal.append(path, asked)
    with pytest.raises(rounds.StoreError, match="would now ask other samples"):
        run_study(study, tmp_path)


def command(config, workdir, *flags):
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    arguments = [sys.executable, "-m", "jaxal", "run", str(config), "--workdir", str(workdir), *flags]
    return subprocess.Popen(arguments, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def wait_for_rounds(process, num_rounds):
    for _ in range(num_rounds):
        line = process.stderr.readline()
        while line and " done (" not in line:
            line = process.stderr.readline()


@pytest.mark.slow
def test_a_real_kill_and_polite_stops(finished, tmp_path):
    """One process killed at a random moment, one stopped by SIGTERM, one by Ctrl-C; then the rest in this process."""
    _, result = finished
    config, workdir = tmp_path / "tiny.toml", tmp_path / "run"
    config.write_text(tomli_w.dumps(tiny()))
    moment = random.Random(os.getpid())
    for kill, code in ((signal.SIGKILL, -9), (signal.SIGTERM, 143), (signal.SIGINT, 130)):
        process = command(config, workdir)
        wait_for_rounds(process, 2)
        time.sleep(moment.uniform(0, 0.3))
        if kill is signal.SIGKILL:
            assert main(["run", str(config), "--workdir", str(workdir)]) == 1  # the folder is held
        process.send_signal(kill)
        _, messages = process.communicate(timeout=60)
        assert process.returncode == code, messages
        if kill is not signal.SIGKILL:
            assert "same command goes on" in messages
            assert "not finished" in (workdir / "report.html").read_text()
    assert main(["run", str(config), "--workdir", str(workdir)]) == 0
    assert outcome(workdir) == outcome(result.workdir)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_forty_kills_at_random_times(finished, tmp_path):
    _, result = finished
    config, workdir = tmp_path / "tiny.toml", tmp_path / "run"
    config.write_text(tomli_w.dumps(tiny()))
    moment = random.Random(0)
    for _ in range(40):
        process = command(config, workdir)
        try:
            process.communicate(timeout=moment.uniform(6, 25))  # starting and compiling take about eight seconds
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
        else:
            assert outcome(workdir) == outcome(result.workdir)
            for path in workdir.glob("*/seed-*/journal.jsonl"):
                lines = path.read_text().splitlines(keepends=True)
                path.write_text("".join(lines[: moment.randrange(1, len(lines))]))
    assert main(["run", str(config), "--workdir", str(workdir)]) == 0
    assert outcome(workdir)[:2] == outcome(result.workdir)[:2]
