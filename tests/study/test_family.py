"""A family run through the command line: its folders, its tables, and what a stop or a refusal leaves."""

import csv
import shutil

import pytest

import jaxal.study.family
from jaxal.cli import main
from jaxal.config.family import load_family
from jaxal.store.lock import hold
from tests.study.conftest import outcome
from tests.study.test_jobs import listed

STUDY = """
name = "draws"
[data]
one_vs_rest = "8"
source.kind = "digits"
split = {validation_fraction = 0.1, test_fraction = 0.2}
imbalance = {kind = "ratio", ratio = 20}
[schedule]
initial_fraction = 0.05
query_size = 9
num_rounds = 1
[model]
width = 4
[training]
num_epochs = 1
batch_size = 16
[[arms]]
name = "random"
strategy = "random"
[[arms]]
name = "margin"
strategy = "margin"
# Seeds alone: the same shapes, so the second member compiles nothing.
[[vary.draw]]
name = "first"
[[vary.draw]]
name = "second"
seeds = [1]
"""
TABLES = """
[[tables]]
title = "Labels"
cell = {split = "pool", metric = "num_labeled"}
rows = {Random = {arm = "random"}, Margin = {arm = "margin"}}
columns = {A = {member = "first"}, B = {member = "second"}}
[[tables]]
title = "Scores <b>"
cell = {metric = "auroc", round = 1}
rows = {Random = {arm = "random"}, Quoted = {}}
columns = {A = {member = "first"}, B = {member = "second"}}
"""
ABSENT = """
[[vary.draw]]
name = "absent"
data.source = {kind = "folder", path = "absent_images", image_size = 8}
[[vary.draw]]
name = "last"
"""


def state(folder):
    """Return what stands in a folder, and since when."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    return {str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def cells(folder):
    """Return ours of tables.csv by (table, row, column); None where the cell is empty."""
    with open(folder / "tables.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    found = {(row["table"], row["row"], row["column"]): row["ours"] for row in rows}
    assert len(found) == len(rows)
    return {place: float(ours) if ours else None for place, ours in found.items()}


@pytest.fixture(scope="module")
def family(tmp_path_factory):
    """A family of two members: (its file, its folder, that folder as --only second had left it)."""
    here = tmp_path_factory.mktemp("family")
    path, folder, half = here / "draws.toml", here / "run", here / "half"
    path.write_text(STUDY + TABLES)
    assert main(["run", str(path), "--workdir", str(folder), "--only", "second"]) == 0
    shutil.copytree(folder, half)
    assert main(["run", str(path), "--workdir", str(folder)]) == 0
    return path, folder, half


def test_only_runs_the_member_named_and_leaves_the_others_cells_empty(family):
    _, folder, half = family
    assert {path.name for path in half.iterdir()} == {"second", "tables.csv", "report.html"}
    assert {path.name for path in folder.iterdir()} == {"second", "first", "tables.csv", "report.html"}
    labels = {place[1:]: ours for place, ours in cells(half).items() if place[0] == "Labels"}
    begun = labels["Random", "B"]
    assert labels == {("Random", "A"): None, ("Margin", "A"): None, ("Random", "B"): begun, ("Margin", "B"): begun}
    page = (half / "report.html").read_text()
    assert "1 of 2 studies are finished" in page
    assert '<a href="second/report.html">' in page
    assert '<a href="first/report.html">' not in page


def test_a_finished_family_has_tables_of_all_its_members(family):
    _, folder, _ = family
    ours = cells(folder)
    assert ours["Scores <b>", "Random", "A"] != ours["Scores <b>", "Random", "B"]
    for member, column in (("first", "A"), ("second", "B")):
        with open(folder / member / "results.csv", newline="") as file:
            scores = [
                float(row["auroc"]) for row in csv.DictReader(file) if (row["arm"], row["round"]) == ("random", "1")
            ]
        assert [ours["Scores <b>", "Random", column]] == scores
        assert 'name = "draws-' + member in (folder / member / "config.toml").read_text()
        assert not (folder / member / "tables.csv").exists()
    assert ours["Scores <b>", "Quoted", "A"] is None
    page = (folder / "report.html").read_text()
    assert "2 of 2 studies are finished" in page
    assert "Scores &lt;b&gt;" in page
    assert f"{scores[0]:.3f}" in page


def test_a_finished_family_is_left_as_it_is(family, capsys):
    path, folder, _ = family
    before = state(folder)
    assert main(["run", str(path), "--workdir", str(folder)]) == 0
    assert state(folder) == before
    captured = capsys.readouterr()
    assert "first: member 1 of 2" in captured.err
    assert "4 of 4" in captured.out
    assert "**Labels**" in captured.out
    assert f"{cells(folder)['Scores <b>', 'Random', 'A']:.3f}" in captured.out


@pytest.mark.slow
def test_jobs_in_any_order_leave_what_one_run_does(family, tmp_path, capsys):
    path, folder, _ = family
    run = tmp_path / "run"
    words = ["run", str(path), "--workdir", str(run)]
    jobs = listed(words, capsys)
    assert [job[2:6] for job in jobs] == [
        ["--only", member, "--job", f"{arm}:{seed}"]
        for member, seed in (("first", 0), ("second", 1))
        for arm in ("random", "margin")
    ]
    for job in jobs[:0:-1]:
        assert main(job) == 0
    assert {each.name for each in (run / "second").iterdir()} == {
        "config.toml", "environment.json", "random", "margin", ".lock"
    }  # fmt: skip
    held = run / "first" / "random" / "seed-0"
    with hold(held):
        for command, code in ((jobs[0], 75), (words, 1)):
            capsys.readouterr()
            assert main(command) == code
            assert f"{held} is in use by process" in capsys.readouterr().err
    assert not (held / "journal.jsonl").exists()
    assert main(jobs[0]) == 0
    journals = {each: each.read_bytes() for each in run.rglob("journal.jsonl")}
    assert len(journals) == len(jobs)
    capsys.readouterr()
    assert main(jobs[0]) == 0
    assert capsys.readouterr().out == f"{held}: finished already, nothing to do\n"
    assert main(words) == 0
    assert {each: each.read_bytes() for each in journals} == journals
    assert [outcome(run / member) for member in ("first", "second")] == [
        outcome(folder / member) for member in ("first", "second")
    ]
    assert cells(run) == cells(folder)


def test_a_member_that_is_refused_keeps_the_others(family, tmp_path, capsys):
    path, folder, _ = family
    shutil.copytree(folder, tmp_path / "run")
    (tmp_path / "run" / "tables.csv").unlink()
    more = tmp_path / "draws.toml"
    more.write_text(path.read_text() + ABSENT)
    words = ["run", str(more), "--workdir", str(tmp_path / "run")]
    assert main(words) == 1
    told = capsys.readouterr().err.splitlines()[-1]
    assert told.startswith("jaxal: member absent: ")
    assert "absent_images" in told
    assert "--only MEMBER runs others: first, second, last" in told
    assert cells(tmp_path / "run") == cells(folder)
    assert "2 of 4 studies are finished" in (tmp_path / "run" / "report.html").read_text()
    assert not (tmp_path / "run" / "absent").exists()
    assert not (tmp_path / "run" / "last").exists()


def test_a_stop_within_a_member_renews_the_familys_files(family, tmp_path, monkeypatch, capsys):
    path, folder, half = family
    shutil.copytree(half, tmp_path / "run")

    def stopping(study, workdir, *_, **__):  # the first member's last round is finished when Ctrl-C comes
        shutil.copytree(folder / "first", workdir)
        raise KeyboardInterrupt

    monkeypatch.setattr(jaxal.study.family, "run_study", stopping)
    assert main(["run", str(path), "--workdir", str(tmp_path / "run")]) == 130
    assert "The same command goes on where it was." in capsys.readouterr().err
    assert cells(tmp_path / "run") == cells(folder)


def test_members_that_are_not_there_and_folders_of_others_are_refused(family, tmp_path, capsys):
    path, folder, _ = family
    assert main(["run", str(path), "--workdir", str(folder), "--only", "first", "--only=ten"]) == 2
    assert "--only ten: no such member; there are first, second" in capsys.readouterr().err
    assert main(["run", str(path), "--workdir", str(folder / "second")]) == 1
    assert "holds the run of a single study" in capsys.readouterr().err
    (tmp_path / "report.html").write_text("mine")
    assert main(["run", str(path), "--workdir", str(tmp_path)]) == 1
    assert "holds report.html, but no member of draws" in capsys.readouterr().err
    assert (tmp_path / "report.html").read_text() == "mine"
    assert main(["run", str(path), "--workdir", str(folder), "--tables.0.paper", "no", "--tables.0.table", "1"]) == 2


def test_a_member_run_by_another_config_has_empty_cells(family, tmp_path, monkeypatch):
    path, folder, _ = family
    shutil.copytree(folder, tmp_path / "run")
    monkeypatch.setattr(jaxal.study.family, "run_study", lambda *_, **__: None)  # it has nothing left to do
    values = ["--vary.draw.1.seeds", "[2]"]
    assert main(["run", str(path), "--workdir", str(tmp_path / "run"), "--only", "first", *values]) == 0
    ours = cells(tmp_path / "run")
    assert ours["Labels", "Random", "A"] is not None
    assert ours["Labels", "Random", "B"] is None
    assert "its folder holds another config" in (tmp_path / "run" / "report.html").read_text()


def test_a_dry_run_plans_every_member_and_names_those_that_cannot_run(family, tmp_path, capsys):
    path, _, _ = family
    more = tmp_path / "draws.toml"
    more.write_text(path.read_text() + ABSENT)
    assert main(["run", str(more), "--workdir", str(tmp_path / "run"), "--dry-run"]) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("jaxal: member absent: ")
    assert [name in captured.out for name in ("draws-first", "draws-second", "draws-last")] == [True] * 3
    assert not (tmp_path / "run").exists()


def test_one_study_with_tables_has_them_in_its_own_report(family, tmp_path, capsys):
    _, folder, _ = family
    shutil.copytree(folder / "first", tmp_path / "run")
    table = (
        '[[tables]]\ntitle = "Alone"\ncell = {metric = "auroc"}\nrows.Random.arm = "random"\ncolumns = {last = {}}\n'
    )
    path = tmp_path / "alone.toml"
    path.write_text((folder / "first" / "config.toml").read_text() + table)
    assert load_family(path).is_one_study
    assert main(["run", str(path), "--workdir", str(tmp_path / "run")]) == 0
    assert "**Alone**" in capsys.readouterr().out
    assert list(cells(tmp_path / "run")) == [("Alone", "Random", "last")]
    assert cells(tmp_path / "run")["Alone", "Random", "last"] == cells(folder)["Scores <b>", "Random", "A"]
    page = (tmp_path / "run" / "report.html").read_text()
    assert page.index('id="paper"') < page.index('id="curves"')
    assert 'id="paper"' not in (folder / "first" / "report.html").read_text()
    # A class that the data has not is known once a round is finished; the report is there all the same.
    path.write_text(path.read_text().replace('"auroc"', '"auroc", class_name = "9"'))
    assert main(["run", str(path), "--workdir", str(tmp_path / "run")]) == 2
    assert "no class '9'" in capsys.readouterr().err
    assert 'id="paper"' not in (tmp_path / "run" / "report.html").read_text()
