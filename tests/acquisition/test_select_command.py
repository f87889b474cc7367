"""`jaxal select`: a pool in an npz file, a selection in CSV."""

import subprocess
import sys

import numpy as np
import pytest
from select_files import check_rows, file_arrays, selected, words
from select_pools import C, N, Q, U, pool_arrays

import jaxal
from jaxal.acquisition import select_with_reasons
from jaxal.cli import main


def test_the_command_selects_what_python_selects(pool, capsysbinary):
    for strategy, seed in (("mpps", 0), ("random", 7)):
        expected = select_with_reasons(strategy, budget=Q, seed=seed, **pool_arrays())
        rows, warned = selected(capsysbinary, words(strategy, "--seed", str(seed)))
        check_rows(rows, expected)
        assert warned == ""
    assert {row["score"] for row in rows} == {""}  # by chance: no score


def test_ids_name_the_picks_and_hold_the_noise(pool, capsysbinary):
    ids = np.array([f"ü, scan {row}" for row in range(N)])
    np.savez("pool.npz", **file_arrays(), ids=ids)
    rows, warned = selected(capsysbinary, words("random"))
    check_rows(rows, select_with_reasons("random", budget=Q, sample_ids=ids, **pool_arrays()), ids)
    assert warned == ""
    order = np.random.default_rng(0).permutation(N)
    shuffled = {
        name: array if name.startswith("head") else np.take(array, order, axis=1 if name == "mc_logits" else 0)
        for name, array in file_arrays().items()
    }
    np.savez("pool.npz", **shuffled, ids=ids[order])
    again, _ = selected(capsysbinary, words("random"))
    assert [row["id"] for row in again] == [row["id"] for row in rows]
    np.savez("pool.npz", **file_arrays(), ids=np.arange(N) + 100)
    rows, _ = selected(capsysbinary, words("entropy"))
    assert all(int(row["id"]) == int(row["index"]) + 100 for row in rows)


def test_fields_of_the_strategy_are_set_by_path(pool, capsysbinary):
    table = {"kind": "mpps", "normalize": "l2"}
    expected = select_with_reasons(table, budget=Q, **pool_arrays())
    for given in (
        words("mpps", "--strategy.normalize", "l2"),
        words('{kind = "mpps", normalize = "l2"}'),
        ["select", "--strategy.normalize=l2", "--budget=6", "--strategy=mpps", "pool.npz"],
    ):
        rows, _ = selected(capsysbinary, given)
        check_rows(rows, expected)
    nested = {"kind": "cb_dal", "auto_fm": {"alpha_init": "half"}}
    rows, _ = selected(capsysbinary, words("cb_dal", "--strategy.auto_fm.alpha_init", "half"))
    check_rows(rows, select_with_reasons(nested, budget=Q, **pool_arrays()))


@pytest.mark.parametrize("memory", ["300", "8000", "100000"])
def test_memory_changes_no_pick(pool, capsysbinary, memory):
    """Another budget is another program, whose last bits may be others."""
    expected = select_with_reasons({"kind": "mpps", "normalize": "l2"}, budget=Q, **pool_arrays())
    rows, _ = selected(capsysbinary, words("mpps", "--strategy.normalize", "l2", "--memory", memory))
    assert [int(row["index"]) for row in rows] == expected.indices.tolist()
    np.testing.assert_allclose([float(row["score"]) for row in rows], expected.scores, rtol=1e-6)


def test_what_was_assumed_is_said_on_standard_error(pool, capsysbinary):
    arrays = file_arrays()
    labels = np.where(arrays["labels"] == 2, U, arrays["labels"])
    np.savez("pool.npz", embeddings=arrays["embeddings"], labels=labels)
    rows, warned = selected(capsysbinary, words("mpps", budget=100))
    assert len(rows) == 51
    first, second = warned.splitlines()
    assert first.startswith("jaxal: num_classes: not given, taken to be 2 (the largest label is 1).")
    assert second == "jaxal: budget: 100 asked for, but only 51 are unlabeled; all of them are chosen"
    np.savez("pool.npz", embeddings=arrays["embeddings"], labels=labels, num_classes=C)
    rows, warned = selected(capsysbinary, words("mpps"))
    assert warned.startswith("jaxal: strategy: 6 of 6 picks could not be made by mpps's own rule")
    assert {row["reason"] for row in rows} == {"k_center"}


def test_help_tells_what_a_pool_is(capsys):
    assert main(["select", "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    for part in (
        "usage: jaxal select",
        "embeddings [N,D]",
        "--strategy.FIELD VALUE",
        "--budget",
        "--seed",
        "--memory",
        "--out",
    ):
        assert part in text


def test_neither_help_nor_a_wrong_strategy_loads_jax():
    code = (
        "from jaxal.cli import main\nimport sys\n"
        "assert main(['select', '--help']) == 0\n"
        "assert main(['select', 'x.npz', '--strategy', 'rando', '--budget', '3']) == 2\n"
        "assert not {'jax', 'numpy'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_command_line_hands_on_what_python_would_raise():
    assert jaxal.InputError.exit_code == 1
    assert jaxal.ConfigError.exit_code == 2
