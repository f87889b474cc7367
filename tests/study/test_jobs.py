"""A study in jobs: the lines that name them, what is refused, and processes that share them."""

import itertools
import os
import shlex
import subprocess
import sys

import pytest
import tomli_w

from jaxal.cli import main
from jaxal.config.family import load_family
from tests.study.conftest import outcome, tiny
from tests.study.test_crashes import command, wait_for_rounds


def listed(words, capsys):
    """Return the words of each job that --list prints for a command."""
    capsys.readouterr()
    assert main([*words, "--list"]) == 0
    jobs = [shlex.split(line) for line in capsys.readouterr().out.splitlines()]
    return [job[job.index("run") :] for job in jobs]


@pytest.fixture
def config(tmp_path, monkeypatch):
    """A config file in an otherwise empty current folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a study.toml").write_text(tomli_w.dumps(tiny()))
    return "a study.toml"


def test_each_job_is_a_line_that_carries_all_that_was_given(config, capsys):
    settings = ["--seeds", "[2, 0]", "--data.source.kind", "folder", "--data.source.path=--scans"]
    given = ["--workdir", "an out", *settings, "--no-compilation-cache"]
    jobs = listed(["run", config, *given], capsys)
    assert jobs == listed(["run", config, *given], capsys)
    for job, (arm, seed) in zip(jobs, itertools.product(("cb", "random"), (2, 0)), strict=True):
        assert job[:4] == ["run", config, "--job", f"{arm}:{seed}"]
        assert job[4:] == ["--workdir", "an out", "--no-compilation-cache", *settings]


def test_a_list_needs_no_jax_and_is_of_this_program(config):
    program = (
        "import sys\nfrom jaxal.cli import main\nmain(sys.argv[1:])\nassert not {'jax', 'numpy'} & set(sys.modules)"
    )
    for start in (["-c", program], ["-m", "jaxal"]):
        words = [sys.executable, *start, "run", config, "--list"]
        printed = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()
        assert len(printed) == 4
        assert shlex.split(printed[0])[-4:] == ["run", config, "--job", "cb:0"]
    assert shlex.split(printed[0])[:3] == [sys.executable, "-m", "jaxal"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--job", "cb:2"], "--job cb:2: no such job; expected ARM:SEED, of the arms cb, random and the seeds 0, 1"),
        (["--job", "cb"], "--job cb: no such job"),
        (["--job", "cb:0", "--dry-run"], "--dry-run: means nothing with --job"),
        (["--list", "--dry-run"], "--dry-run: means nothing with --list"),
        (["--list", "--job", "cb:0"], "--job: means nothing with --list"),
        (["--list", "--only", "a"], "--only a: tiny is one study"),
        (["--list", "--training.epochs", "1"], "unknown key training.epochs"),
    ],
)
def test_what_names_no_job_is_refused(config, capsys, words, said):
    assert main(["run", config, *words]) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.out == ""


def test_a_job_that_several_members_have_is_refused(config, tmp_path, capsys):
    family = tiny(vary={"draw": [{"name": "a"}, {"name": "b", "seeds": [1]}]})
    (tmp_path / config).write_text(tomli_w.dumps(family))
    assert [name for name, _ in load_family(config).members] == ["a", "b"]
    assert main(["run", config, "--job", "cb:1"]) == 2
    assert "--job cb:1: 2 members have one; add --only MEMBER, one of a, b" in capsys.readouterr().err
    assert len(listed(["run", config], capsys)) == 6
    assert len(listed(["run", config, "--only", "b"], capsys)) == 2


def test_a_job_that_is_refused_leaves_no_folder(config, tmp_path, capsys):
    source = ["--data.source", "{kind = 'folder', path = 'nowhere'}"]
    assert main(["run", config, "--job", "cb:0", *source]) == 1
    assert "nowhere" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == [config]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_two_processes_share_a_list_and_one_is_killed(finished, config, tmp_path, capsys):
    """Two loops over the same lines at once, one killed amid a job; then one of them again, and the tables."""
    _, result = finished
    words = ["run", config, "--workdir", "run"]
    jobs = listed(words, capsys)
    lines = "".join(f"{shlex.join([sys.executable, '-m', 'jaxal', *job])}; echo $?\n" for job in jobs)
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    begin = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True, "env": environment}
    shells = [subprocess.Popen(["sh", "-c", lines], **begin) for _ in range(2)]
    codes = [[line for line in shell.communicate()[0].split() if line.isdigit()] for shell in shells]
    assert [len(each) for each in codes] == [4, 4]
    assert {code for each in codes for code in each} == {"0", "75"}
    assert main(words) == 0
    assert outcome(tmp_path / "run") == outcome(result.workdir)

    killed = command(config, "killed", "--job", "cb:1")
    wait_for_rounds(killed, 2)
    killed.kill()
    killed.communicate()
    elsewhere = [*words[:-1], "killed"]
    for job in [jobs[1], *jobs]:
        assert main([*job[:-1], "killed"]) == 0
    assert main(elsewhere) == 0
    assert outcome(tmp_path / "killed") == outcome(result.workdir)


def test_processes_share_a_family(tmp_path, monkeypatch, capsys):
    """Two processes leave what one does; there is nothing left to share then, and another config is refused."""
    monkeypatch.chdir(tmp_path)
    family = tiny(
        processes=2,
        schedule={"initial_fraction": 0.05, "query_size": 9, "num_rounds": 1},
        arms=[{"name": "random", "strategy": "random"}],
        vary={"draw": [{"name": "a", "seeds": [0]}, {"name": "b", "seeds": [1]}]},
    )
    (tmp_path / "family.toml").write_text(tomli_w.dumps(family))
    assert main(["run", "family.toml"]) == 0
    assert "2 processes share the work" in capsys.readouterr().err
    assert main(["run", "family.toml", "--processes", "1", "--workdir", "alone"]) == 0
    assert "processes share" not in capsys.readouterr().err
    for member in ("a", "b"):
        assert outcome(tmp_path / "runs" / "tiny" / member) == outcome(tmp_path / "alone" / member)
    page = tmp_path / "runs" / "tiny" / "report.html"
    page.unlink()
    assert main(["run", "family.toml"]) == 0
    assert "processes share" not in capsys.readouterr().err
    assert page.exists()
    assert main(["run", "family.toml", "--training.num_epochs", "4"]) == 1
    assert "member a: runs/tiny/a holds a run of another config" in capsys.readouterr().err


@pytest.mark.parametrize("number", [0, 65, 1.5, True, "2"])
def test_a_number_of_processes_that_is_none_is_refused(config, tmp_path, capsys, number):
    (tmp_path / config).write_text(tomli_w.dumps(tiny(processes=number)))
    assert main(["run", config]) == 2
    assert f"processes: expected a whole number from 1 to 64, got {number!r}" in capsys.readouterr().err
