"""A place among other processes that cannot be is refused with what is wrong or missing, before anything waits."""

import jax
import pytest

from jaxal.cli import main


@pytest.fixture
def config(tmp_path, monkeypatch):
    for name in ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID"):
        monkeypatch.delenv(name, raising=False)
    path = tmp_path / "study.toml"
    path.write_text(
        'name = "x"\n[data]\nsource = {kind = "digits"}\n[schedule]\ninitial_size = 9\nquery_size = 1\nnum_rounds = 1\n'
        '[[arms]]\nname = "random"\nstrategy = "random"\n'
    )
    return str(path)


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (
            ["--distributed", "--process", "2", "--num-processes", "2"],
            "--process: expected 0 … 1 of 2 processes, got 2",
        ),
        (["--distributed", "--num-processes", "0"], "--num-processes: expected a whole number, 1 or more, got 0"),
        (["--distributed", "--coordinator", "node7"], "--coordinator: expected HOST:PORT, got 'node7'"),
        (["--process", "1"], "--process: belongs to --distributed"),
        (["--distributed", "--dry-run", "--coordinator", "a:1"], "--coordinator: belongs to --distributed, without"),
    ],
)
def test_what_cannot_be_is_refused(config, capsys, flags, told):
    assert main(["run", config, *flags]) == 2
    assert told in capsys.readouterr().err


def test_what_is_missing_where_nothing_is_detected_is_named(config, capsys, monkeypatch):
    def detect_nothing(coordinator, num_processes, process, **settings):
        assert (coordinator, num_processes, process) == (None, 4, None)
        raise ValueError("coordinator_address should be defined.")

    monkeypatch.setattr(jax.distributed, "initialize", detect_nothing)
    monkeypatch.setenv("JAX_NUM_PROCESSES", "4")
    assert main(["run", config, "--distributed"]) == 2
    told = capsys.readouterr().err
    assert "--coordinator (JAX_COORDINATOR_ADDRESS) and --process (JAX_PROCESS_ID) are not given" in told


def test_a_number_that_is_none_in_the_environment_is_refused(config, capsys, monkeypatch):
    monkeypatch.setenv("JAX_PROCESS_ID", "first")
    assert main(["run", config, "--distributed"]) == 2
    assert "JAX_PROCESS_ID: expected a whole number, got 'first'" in capsys.readouterr().err
