"""The whole profile: its order, going on, what fails, and the command."""

import xml.etree.ElementTree as ElementTree

import pytest
from profile_rows import CEILINGS, make_row

from jaxal.cli import main
from jaxal.errors import InputError, StoreError
from jaxal.profiling import grid
from jaxal.profiling.figure import seconds_figure
from jaxal.profiling.grid import run_profile
from jaxal.profiling.sizes import Sizes, strategies_of

SIZES = (Sizes(1000, 64, 3, 20), Sizes(2000, 64, 3, 20))
STRATEGIES = strategies_of("entropy,core_set")


@pytest.fixture
def measured(monkeypatch):
    """Stand in for the measuring: collect what was measured, where it was traced to; raise what is set for a name."""
    calls, raising = [], {}

    def measure(name, config, sizes, ceilings, *, num_repeats, memory, trace_folder):
        calls.append((name, sizes.num_rows, trace_folder))
        if name in raising:
            raise raising[name]
        if trace_folder is not None:
            trace_folder.mkdir()
        return make_row(name, sizes.num_rows, seconds=sizes.num_rows / 1e6)

    monkeypatch.setattr(grid, "measure_strategy", measure)
    return calls, raising


def keys(profile):
    return [(row.strategy, row.num_rows) for row in profile.rows]


ALL = [("entropy", 1000), ("core_set", 1000), ("entropy", 2000), ("core_set", 2000)]


def test_sizes_come_one_after_the_other_and_three_files_are_written(measured, tmp_path):
    said = []
    profile = run_profile(STRATEGIES, SIZES, out=tmp_path / "out", ceilings=CEILINGS, say=said.append)
    assert keys(profile) == ALL == [call[:2] for call in measured[0]]
    assert (profile.failures, profile.is_interrupted) == ([], False)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["profile.csv", "profile.md", "profile.svg"]
    assert (tmp_path / "out" / "profile.md").read_text() == profile.markdown
    assert "4 of 4  core_set at N 2000, D 64, C 3, Q 20: 0.002 s, compiled in 1.25 s" in "".join(said)


def test_a_stopped_profile_goes_on_where_it_was(measured, tmp_path):
    calls, raising = measured
    raising["core_set"] = KeyboardInterrupt()
    stopped = run_profile(STRATEGIES, SIZES, out=tmp_path, ceilings=CEILINGS)
    assert stopped.is_interrupted
    assert keys(stopped) == ALL[:1]
    assert "| entropy |" in (tmp_path / "profile.md").read_text()
    raising.clear()
    calls.clear()
    assert keys(run_profile(STRATEGIES, SIZES, out=tmp_path, ceilings=CEILINGS)) == ALL
    assert [call[:2] for call in calls] == ALL[1:]
    calls.clear()
    smaller = run_profile(strategies_of("core_set"), SIZES[:1], out=tmp_path)  # nothing to do: no ceilings either
    assert keys(smaller) == [ALL[1], ALL[0], *ALL[2:]]
    assert not calls


def test_what_fails_is_told_and_tried_again_next_time(measured, tmp_path):
    _, raising = measured
    raising["entropy"] = InputError("1 of 20 picks are labeled already")
    profile = run_profile(STRATEGIES, SIZES, out=tmp_path, ceilings=CEILINGS)
    assert keys(profile) == [ALL[1], ALL[3]]
    assert profile.failures[0] == "entropy at N 1000, D 64, C 3, Q 20: 1 of 20 picks are labeled already"
    assert len(profile.failures) == 2
    raising["entropy"] = MemoryError()
    assert run_profile(STRATEGIES, SIZES, ceilings=CEILINGS).failures[0].endswith(": MemoryError")
    raising.clear()
    assert keys(run_profile(STRATEGIES, SIZES, out=tmp_path, ceilings=CEILINGS)) == ALL


def test_one_call_of_each_strategy_is_traced_at_the_last_size(measured, tmp_path):
    calls, _ = measured
    strategies = strategies_of("entropy,balanced(margin)")
    run_profile(strategies, SIZES, out=tmp_path / "out", ceilings=CEILINGS)
    calls.clear()
    # What has been measured, but not traced, is measured once more and its row kept.
    for _ in range(2):
        profile = run_profile(strategies, SIZES, out=tmp_path / "out", trace=tmp_path / "trace", ceilings=CEILINGS)
    folders = [tmp_path / "trace" / name for name in ("entropy", "balanced-margin")]
    assert calls == [("entropy", 2000, folders[0]), ("balanced(margin)", 2000, folders[1])]
    assert len(profile.rows) == len((tmp_path / "out" / "profile.csv").read_text().splitlines()) - 1 == 4


@pytest.mark.parametrize("name", ["out", "trace"])
def test_folders_that_cannot_be_written_are_refused_before_anything_is_measured(measured, tmp_path, name):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot write"):
        run_profile(STRATEGIES, SIZES, **{name: tmp_path / "file" / "folder"})
    assert not measured[0]


def test_the_figure_has_a_panel_for_each_width_and_is_the_same_each_time():
    rows = [make_row(name, size, width) for name in ("a", "b") for size in (100, 10) for width in (8, 16)]
    drawn = seconds_figure(rows)
    assert drawn == seconds_figure(rows)
    groups = {each.get("id") for each in ElementTree.fromstring(drawn).iter() if each.get("id")}
    assert {"axes_1", "axes_2"} <= groups
    assert "axes_3" not in groups
    many = seconds_figure([make_row(width=width) for width in range(1, 5)])
    four = {each.get("id") for each in ElementTree.fromstring(many).iter()}
    assert "axes_4" in four
    assert "axes_5" not in four


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(grid, "measure_ceilings", lambda: CEILINGS)


def test_the_command_prints_a_table_and_writes_it(quick, tmp_path, capsys):
    words = ["profile", "--strategies", "random,margin", "--sizes", "200,8,2,5", "--repeats", "2"]
    assert main([*words, "--out", str(tmp_path / "out")]) == 0
    captured = capsys.readouterr()
    assert captured.out == (tmp_path / "out" / "profile.md").read_text()
    assert [line.split(" | ")[0] for line in captured.out.splitlines()[-2:]] == ["| random", "| margin"]
    assert "measuring what this machine can do: 10.0 GB/s read, 100 GFLOP/s" in captured.err
    assert main([*words, "--out", str(tmp_path / "out")]) == 0
    again = capsys.readouterr()
    assert again.out == captured.out
    assert again.err == f"2 rows are kept from {tmp_path / 'out'}; remove its profile.csv to measure them again\n"
    assert main([*words[:-1], "3", "--out", str(tmp_path / "out")]) == 1
    assert "was measured with repeats 2, now 3" in capsys.readouterr().err


def test_how_a_command_ends_that_is_stopped_or_could_not_measure_all(quick, measured, tmp_path, capsys):
    _, raising = measured
    raising["margin"] = KeyboardInterrupt()
    words = ["profile", "--strategies", "random,margin", "--sizes", "200,8,2,5"]
    assert main(words) == 130
    captured = capsys.readouterr()
    assert "| random |" in captured.out
    assert "stopped. --out would have kept this." in captured.err
    assert main([*words, "--out", str(tmp_path)]) == 130
    assert "stopped. The same command goes on where it was." in capsys.readouterr().err
    raising["margin"] = InputError("no")
    assert main(words) == 1
    captured = capsys.readouterr()
    assert "| random |" in captured.out
    assert captured.err.endswith("jaxal: margin at N 200, D 8, C 2, Q 5: no\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--strategies", "core_sett"], "did you mean core_set"),
        (["--sizes", "1000,64"], "expected N,D,C,Q"),
        (["--sizes", "100,8,2,96"], "leaves fewer than 96"),
        (["--repeats", "0"], "--repeats: expected a whole number, 1 or more, got 0"),
        (["--memory", "-5"], "--memory: expected a whole number, 1 or more, got -5"),
        (["--strategy", "core_set"], "unknown flag --strategy (did you mean --strategies?)"),
        (["--round", "absent.toml"], "cannot read the config"),
        (["--round", "absent.toml", "--sizes", "1000,64,3,20"], "--sizes: means nothing with --round"),
    ],
)
def test_what_is_not_understood_ends_with_2_and_measures_nothing(measured, capsys, words, message):
    assert main(["profile", *words]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("jaxal: ")
    assert captured.err.count("\n") == 1
    assert message in captured.err
    assert not measured[0]


def test_an_out_that_cannot_be_written_ends_with_1(measured, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["profile", "--out", str(tmp_path / "file")]) == 1
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert f"cannot write {tmp_path / 'file'}" in captured.err
    assert not measured[0]
