"""The race: right answers timed, wrong and absent ones told, ratios and shares as they should be."""

import csv

import numpy as np
import pytest
from race import contestants
from race.badge import badge_task
from race.badge_law import check_law, law, tiny_pool
from race.checks import Cover, check_cover, check_flips
from race.command import main
from race.contestants import Call, Contestant, NotInstalled, NotPossible, Task
from race.core_set import core_set_task
from race.core_set_peers import numpy_loop
from race.entering import Rules
from race.k_means import step_task
from race.mixing import mixing_task
from race.output import heading, ratio, seconds, write_markdown
from race.pools import SIZES, make_pool
from race.racing import race
from race.rows import Result, compared
from race.tasks import TASKS, named

from jaxal.profiling.ceilings import Ceilings

SIZE = SIZES["small"]
CEILINGS = Ceilings(read_bytes_per_second=1e9, gemm_flops_per_second=1e10)
RULES = Rules(num_repeats=2, limit_seconds=60)
PEERS = ("torch", "skactiveml", "skmatter", "fpsample", "faiss")


@pytest.fixture(scope="module")
def pool():
    return make_pool(SIZE)


@pytest.fixture(autouse=True)
def no_peers(monkeypatch):
    """Without them everywhere, so that the tests ask for none and see the same on every machine."""
    real = contestants.importlib.import_module

    def import_module(name):
        if name.split(".")[0] in PEERS:
            raise ImportError(f"No module named {name!r}")
        return real(name)

    monkeypatch.setattr(contestants.importlib, "import_module", import_module)


def only(task, *names):
    return task._replace(contestants=tuple(each for each in task.contestants if each.name in names))


def by_name(rows):
    return {row.contestant: row for row in rows}


def toy(*contestants, check=lambda contestant, answer: None, flops=2e9, num_bytes=1e8):
    return Task("toy", "a toy", contestants, check, num_picks=4, flops=flops, num_bytes=num_bytes)


# What is compared


def test_ratios_shares_and_picks_are_computed_from_medians_against_ours_and_the_floor():
    ours = Contestant("ours", "", lambda pool: Call(lambda: None), is_ours=True)
    other = Contestant("other", "another problem", lambda pool: Call(lambda: None))
    results = [
        (other, Result("ok", "scaled", (9.0, 8.0, 70.0), 2.0, 123, 0.5)),
        (ours, Result("ok", "", (4.0, 1.0, 2.0), 0.25)),
    ]
    rows = by_name(compared(toy(ours, other), results, CEILINGS))
    assert rows["other"].seconds == 9
    assert rows["other"].seconds_min == 8
    assert rows["other"].seconds_max == 70
    assert rows["other"].ratio == 4.5
    assert rows["ours"].ratio == 1
    assert rows["other"].ratio_further == 8
    assert rows["other"].seconds_per_pick == 2.25
    assert rows["other"].gflop_per_second == pytest.approx(2 / 9)
    assert (rows["other"].growth_bytes, rows["other"].compile_seconds) == (123, 0.5)
    # The floor: 2e9 operations at 1e10 a second are more than 1e8 bytes at 1e9 a second.
    assert rows["floor"].seconds == pytest.approx(0.2)
    assert rows["floor"].ratio == pytest.approx(0.1)
    assert rows["ours"].ceiling_share == pytest.approx(0.1)
    assert "FLOPs" in rows["floor"].note


def test_without_a_time_of_ours_there_is_no_ratio():
    ours = Contestant("ours", "", lambda pool: Call(lambda: None), is_ours=True)
    other = Contestant("other", "", lambda pool: Call(lambda: None))
    rows = compared(
        toy(num_bytes=1e9), [(ours, Result("failed", "wrong: no")), (other, Result("ok", "", (3.0,)))], CEILINGS
    )
    assert [row.ratio for row in rows] == [None, None, None]
    assert rows[0].seconds is None
    assert "bytes" in rows[2].note


# Who may enter


def test_wrong_absent_impossible_and_broken_contestants_are_told_and_never_timed(pool):
    num_calls = {"wrong": 0}

    def make_wrong(pool):
        def run():
            num_calls["wrong"] += 1
            return "wrong"

        return Call(run)

    def raise_(error):
        raise error

    task = toy(
        Contestant("right", "", lambda pool: Call(lambda: "right"), is_ours=True),
        Contestant("wrong", "", make_wrong),
        Contestant("absent", "", lambda pool: contestants.peer("faiss")),
        Contestant("impossible", "", lambda pool: raise_(NotPossible("no CUDA"))),
        Contestant("broken", "", lambda pool: Call(lambda: raise_(ZeroDivisionError("division by zero\nmore")))),
        Contestant("long", "", lambda pool: Call(lambda: "right", estimate=lambda: 1e4)),
        check=lambda contestant, answer: None if answer == "right" else f"{answer} is not right",
    )
    rows = by_name(race(task, pool, CEILINGS, RULES))
    told = {name: (row.status, row.note) for name, row in rows.items()}
    assert told["wrong"] == ("failed", "wrong: wrong is not right")
    assert told["absent"][0] == "not installed"
    assert "faiss" in told["absent"][1]
    assert told["impossible"] == ("skipped", "no CUDA")
    assert told["broken"] == ("failed", "ZeroDivisionError: division by zero")
    assert told["long"] == ("skipped", "a call would take about 10000 s; the limit is 60 s")
    assert num_calls["wrong"] == 1
    assert [name for name, row in rows.items() if row.num_calls] == ["right"]
    assert rows["right"].num_calls == 2


def test_one_that_breaks_while_timed_does_not_stop_the_others(pool):
    answers = iter([None, None])  # the check's call and the first round's

    task = toy(
        Contestant("ours", "", lambda pool: Call(lambda: None), is_ours=True),
        Contestant("tired", "", lambda pool: Call(lambda: next(answers))),
    )
    rows = by_name(race(task, pool, CEILINGS, RULES))
    assert rows["tired"].status == "failed"
    assert "round 2" in rows["tired"].note
    assert rows["ours"].num_calls == 2


def test_a_loop_beyond_the_limit_is_timed_over_a_few_passes_and_scaled(pool):
    asked = []

    def sample(num_passes):
        asked.append(num_passes)
        begin = clock[0]
        clock[0] = begin + 3 + 2 * num_passes
        return num_passes

    clock = [0.0]
    task = toy(Contestant("ours", "", lambda pool: Call(lambda: asked.append("whole"), sample, 100), is_ours=True))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("race.measuring.time.perf_counter", lambda: clock[0])
        row = by_name(race(task, pool, CEILINGS, RULES))["ours"]
    assert "whole" not in asked
    assert set(asked) == {2, 8}
    assert row.seconds == pytest.approx(3 + 2 * 100)
    assert row.seconds_per_further_pick == pytest.approx(2)
    assert row.note == "scaled: 2 and 8 of 100 passes timed"


def test_a_loop_whose_passes_drown_in_its_beginning_is_sampled_until_they_show(pool):
    asked, clock = [], [0.0]

    def sample(num_passes):
        asked.append(num_passes)
        clock[0] += 50 + num_passes

    call = Call(lambda: asked.append("whole"), sample, 1000)
    task = toy(Contestant("ours", "", lambda pool: call, is_ours=True))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("race.measuring.time.perf_counter", lambda: clock[0])
        row = by_name(race(task, pool, CEILINGS, Rules(2, 500)))["ours"]
    assert row.note == "scaled: 2 and 128 of 1000 passes timed"
    assert row.seconds == pytest.approx(1050)


def test_scaling_by_noise_is_refused(pool):
    clock = [0.0]
    # Warm-up, few, more, the check's call; warm-up, and then more is faster than few.
    durations = iter([1, 1, 200, 200, 1, 200, 100])

    def sample(num_passes):
        clock[0] += next(durations)

    task = toy(Contestant("ours", "", lambda pool: Call(lambda: None, sample, 1000), is_ours=True))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("race.measuring.time.perf_counter", lambda: clock[0])
        row = by_name(race(task, pool, CEILINGS, Rules(1, 500)))["ours"]
    assert row.status == "failed"
    assert "tells nothing" in row.note


# The checks


def test_the_walk_accepts_the_greedy_and_refuses_every_departure(pool):
    right = numpy_loop(pool, 12).run()
    assert check_cover(pool.embeddings, right) is None
    swapped = right.picks.copy()
    swapped[[3, 9]] = swapped[[9, 3]]
    assert "pick 4 of 12" in check_cover(pool.embeddings, Cover(right.centers, swapped))
    assert "repeated" in check_cover(pool.embeddings, Cover(right.centers, np.append(right.picks, right.picks[0])))
    assert "centers already" in check_cover(pool.embeddings, Cover(right.centers, right.centers[:1]))
    assert "no rows" in check_cover(pool.embeddings, Cover(right.centers, np.array([len(pool.labels)])))


def test_flips_are_checked_against_every_smaller_alpha():
    logits, anchors = np.array([[1.0, 0.0], [3.0, 0.0]]), np.array([[0.0, 2.0]])
    alphas = np.array([0.2, 0.4, 0.9])  # the first row flips from 1/3 on, the second from 3/5 on
    assert check_flips(logits, anchors, alphas, np.array([0.4, 0.9])) is None
    assert "1 of 2" in check_flips(logits, anchors, alphas, np.array([0.2, 0.9]))
    assert "1 of 2" in check_flips(logits, anchors, alphas, np.array([0.4, np.inf]))
    assert "1 of 2" in check_flips(logits, anchors, alphas, np.array([0.4, 0.7]))


def test_the_law_knows_badge_from_what_is_near_it():
    pool = tiny_pool()
    laws = {has_origin: law(pool, 3, has_origin=has_origin) for has_origin in (False, True)}
    random = np.random.default_rng(0)

    def contestant(probabilities):
        sequences, shares = list(probabilities), np.array(list(probabilities.values()))
        return lambda pool, num_picks: Call(lambda: sequences[random.choice(len(sequences), p=shares)])

    for has_origin, probabilities in laws.items():
        assert sum(probabilities.values()) == pytest.approx(1)
        assert check_law(contestant(probabilities), 1000, has_origin=has_origin) is None
        assert "far from it" in check_law(contestant(probabilities), 1000, has_origin=not has_origin)
    uniform = dict.fromkeys(laws[False], 1 / len(laws[False]))
    assert "far from it" in check_law(contestant(uniform), 1000)
    assert "cannot be" in check_law(contestant({(0, 0, 1): 1.0}), 10)


# The tasks


@pytest.mark.slow
def test_core_set_reports_absent_peers_and_a_wrong_contestant_beside_right_ones(pool):
    task = core_set_task(pool, SIZE)
    wrong = Contestant("lowest rows", "", lambda pool: Call(lambda: Cover(pool.labeled, pool.unlabeled[:20])))
    rows = by_name(race(task._replace(contestants=(*task.contestants, wrong)), pool, CEILINGS, RULES))
    status = {name: row.status for name, row in rows.items()}
    right = ("jaxal", "jitted loop, a product a pick", "jitted loop, differences (textbook)")
    assert {status[name] for name in (*right, "NumPy loop, a product a pick, cached norms")} == {"ok"}
    absent = [name for name in status if status[name] == "not installed"]
    assert len(absent) == 5
    assert status["lowest rows"] == "failed"
    assert "wrong: pick 1 of 20" in rows["lowest rows"].note
    assert rows["jaxal"].ratio == 1
    assert rows["jaxal"].compile_seconds > 0
    assert all(rows[name].note == "" for name in right)  # in particular: nothing was compiled again


@pytest.mark.slow
def test_badge_races_who_keeps_its_law(pool):
    rows = by_name(race(only(badge_task(pool, SIZE), "jaxal", "PyTorch loop, vectorised"), pool, CEILINGS, RULES))
    assert [row.status for row in rows.values()] == ["ok", "not installed", "computed"]


@pytest.mark.slow
def test_mixing_and_a_step_of_k_means_race(pool):
    mixing = by_name(race(mixing_task(pool, SIZE), pool, CEILINGS, RULES))
    assert {row.status for row in mixing.values()} == {"ok", "computed"}
    k_means = by_name(race(only(step_task(pool, SIZE), "jaxal", "scikit-learn KMeans (lloyd)"), pool, CEILINGS, RULES))
    assert {row.status for row in k_means.values()} == {"ok", "computed"}


# The command


def test_tasks_are_chosen_by_name_or_by_how_they_begin():
    assert named(None) == tuple(TASKS)
    assert named("k_means,core_set") == ("core_set", "k_means_step", "k_means_steps", "k_means_seeded")
    with pytest.raises(ValueError, match=r"--only bagde: no such task; there are core_set, large_core_set"):
        named("badge,bagde")


@pytest.mark.slow
def test_the_command_writes_both_files(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("race.ceilings.best_ceilings", lambda: CEILINGS)
    words = ["--size", "small", "--only", "scalar_mixing", "--repeats", "1", "--out", str(tmp_path / "new")]
    assert main(words) == 0
    with (tmp_path / "new" / "race.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["contestant"] for row in rows][0::4] == ["jaxal", "floor"]
    assert float(rows[0]["ratio"]) == 1
    assert rows[0]["seconds_per_pick"] == ""
    text = (tmp_path / "new" / "race.md").read_text()
    for part in (
        "--only scalar_mixing",
        "N 600, D 32, C 2, 30 labeled",
        "jax ",
        "read 1.0 GB/s",
        "| NumPy N×D mixes |",
    ):
        assert part in text
    assert main([*words, "--only", "nothing"]) == 2
    assert "no such task" in capsys.readouterr().err


def test_a_gpu_that_is_not_there_is_refused(tmp_path, capsys):
    assert main(["--device", "gpu", "--out", str(tmp_path)]) == 2
    assert "--device gpu" in capsys.readouterr().err


def test_numbers_are_shown_with_units_and_tables_keep_their_columns(tmp_path):
    assert [seconds(value) for value in (61.04, 0.0042, 8.5e-6)] == ["61 s", "4.2 ms", "8.5 µs"]
    assert [ratio(value) for value in (0.434, 3.14, 61.7)] == ["0.43×", "3.1×", "62×"]
    ours = Contestant("a|b", "", lambda pool: Call(lambda: None), is_ours=True)
    rows = compared(toy(), [(ours, Result("failed", "wrong: |x|"))], CEILINGS)
    write_markdown([(toy(), rows)], heading("command", "a pool", CEILINGS, 3), tmp_path / "race.md")
    table = [line for line in (tmp_path / "race.md").read_text().splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in table}) == 1
    assert "failed: wrong: /x/" in table[2]


def test_pools_are_the_same_for_a_seed_imbalanced_and_partly_labeled():
    one, same, other = (
        make_pool(SIZE, kind, seed) for kind, seed in (("decaying", 1), ("decaying", 1), ("mixture", 1))
    )
    assert np.array_equal(one.embeddings, same.embeddings)
    assert not np.array_equal(one.embeddings, other.embeddings)
    assert one.embeddings.var(axis=0)[:4].mean() > 2 * one.embeddings.var(axis=0)[-4:].mean()
    assert len(one.labeled) == 30
    assert len(one.labeled) + len(one.unlabeled) == 600
    assert np.allclose(one.logits, one.embeddings @ one.weight + one.bias)


def test_a_peer_that_is_absent_is_named():
    with pytest.raises(NotInstalled, match="skmatter"):
        contestants.peer("skmatter.sample_selection")
