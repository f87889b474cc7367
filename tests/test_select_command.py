"""`jaxal select`: a pool in an npz file, a selection in a CSV file."""

import csv
import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from select_pools import C, N, Q, U, pool_arrays

import jaxal
from jaxal.acquisition import Selection, pool_file, select_with_reasons
from jaxal.acquisition.query_file import formula_note, query_text
from jaxal.cli import main


def file_arrays(seed=0):
    arrays = pool_arrays(seed)
    weight, bias = arrays.pop("head")
    return {**arrays, "head_weight": weight, "head_bias": bias}


@pytest.fixture
def pool(tmp_path, monkeypatch):
    """A whole pool in an otherwise empty current folder."""
    monkeypatch.chdir(tmp_path)
    np.savez("pool.npz", **file_arrays())
    return "pool.npz"


def words(strategy, *more, budget=Q):
    return ["select", "pool.npz", "--strategy", strategy, "--budget", str(budget), *more]


def selected(capsysbinary, arguments):
    """Run the command; return the rows of its CSV and what it warned of."""
    assert main(arguments) == 0
    captured = capsysbinary.readouterr()
    assert b"\r" not in captured.out
    return list(csv.DictReader(io.StringIO(captured.out.decode()))), captured.err.decode()


def refused(capsys, arguments, code):
    """Return the one line on standard error of a command that is refused."""
    assert main(arguments) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("jaxal: ")
    assert captured.err.count("\n") == 1
    return captured.err.removeprefix("jaxal: ").rstrip("\n")


def check_rows(rows, selection, ids=None):
    assert list(rows[0]) == ["rank", "id", "index", "score", "reason"]
    assert [row["rank"] for row in rows] == [str(rank) for rank in range(1, len(rows) + 1)]
    assert [int(row["index"]) for row in rows] == selection.indices.tolist()
    assert [row["id"] for row in rows] == [str(index) if ids is None else ids[index] for index in selection.indices]
    assert [row["reason"] for row in rows] == list(selection.reasons)
    np.testing.assert_array_equal(np.array([row["score"] or "nan" for row in rows], np.float32), selection.scores)


# What it gives


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
        ["select", "--strategy.normalize=l2", "--budget=6", "--strategy=mpps", "pool.npz", "--memory", "100000"],
    ):
        rows, _ = selected(capsysbinary, given)
        check_rows(rows, expected)
    nested = {"kind": "cb_dal", "auto_fm": {"alpha_init": "half"}}
    rows, _ = selected(capsysbinary, words("cb_dal", "--strategy.auto_fm.alpha_init", "half"))
    check_rows(rows, select_with_reasons(nested, budget=Q, **pool_arrays()))


def test_a_query_goes_to_a_file_whole_or_not_at_all(pool, capsysbinary, monkeypatch):
    rows, _ = selected(capsysbinary, words("entropy"))
    assert main(words("entropy", "--out", "out/query.csv")) == 0
    assert capsysbinary.readouterr().out == b"6 picks: out/query.csv\n"
    text = Path("out/query.csv").read_bytes()
    assert list(csv.DictReader(io.StringIO(text.decode()))) == rows
    assert text.endswith(b"\n")
    assert b"\r" not in text

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    assert main(words("random", "--out", "out/query.csv")) == 1
    assert b"cannot write " in capsysbinary.readouterr().err
    assert Path("out/query.csv").read_bytes() == text
    assert os.listdir("out") == ["query.csv"]


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


def selection_of(*ids):
    number = len(ids)
    return Selection(np.arange(number), np.full(number, np.nan, np.float32), ("random",) * number, 0), ids


def test_ids_come_out_of_the_csv_as_they_went_in(capsys):
    ids = ("plain", "a,b", 'say "so"', "two\nlines", "a\rb", " blanks ", "", "=1+1", "0012", "NA", "ü\u2028")
    selection, ids = selection_of(*ids)
    rows = list(csv.reader(io.StringIO(query_text(selection, ids), newline="")))
    assert [row[1] for row in rows[1:]] == list(ids)
    assert {len(row) for row in rows} == {5}


def test_formulas_are_counted_and_numbers_are_none():
    selection, ids = selection_of("=1+1", "+49 30 12", "@me", "-2+3", "\t=x", "-5", "+1.5", "-.5", "a=b", "", "-")
    note = formula_note(selection, ids)
    assert note.startswith("ids: 6 of 11 picks have an id that a spreadsheet would take for a formula, such as '=1+1'.")
    assert formula_note(*selection_of("-5", "a")) is None
    assert formula_note(selection, None) is None


def test_a_formula_is_warned_of(pool, capsysbinary):
    np.savez("pool.npz", **file_arrays(), ids=np.array([f"=A{row}" for row in range(N)]))
    rows, warned = selected(capsysbinary, words("entropy"))
    assert all(row["id"] == f"=A{row['index']}" for row in rows)
    assert warned.startswith("jaxal: ids: 6 of 6 picks ")


# What it refuses


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (words("entropie"), "strategy: unknown kind 'entropie' (did you mean entropy?); known are alfa_mix, "),
        (
            words("balanced(balanced(entropy))"),
            "strategy: unknown kind 'balanced(balanced(entropy))' (a name is NAME or ",
        ),
        (words("mpps", "--strategy.normalise", "l2"), "strategy: unknown key normalise (did you mean normalize?)"),
        (words("mpps", "--strategy.normalize", "l1"), "strategy: Invalid enum value 'l1' - at `$.normalize`"),
        (
            words("cb_dal", "--strategy.auto_fm.alpha_int", "half"),
            "strategy: unknown key auto_fm.alpha_int (did you mean alpha_init?)",
        ),
        (words("mpps", "--strategy.normalize"), "--strategy.normalize: a value is missing behind it"),
        (words("mpps", "--strateg.normalize", "l2"), "unknown flag --strateg.normalize (did you mean --strategy?)"),
        (words("mpps", "--bugdet", "3"), "unknown flag --bugdet (did you mean --budget?)"),
        (words("mpps", "--zzz", "3"), "unknown flag --zzz (known are --budget, --memory, --out, --seed, --strategy)"),
        (words("3"), "strategy: expected a name, a table (dict) or a strategy's config, got int"),
    ],
)
def test_a_command_line_that_is_not_understood_ends_with_2(pool, capsys, given, message):
    assert refused(capsys, given, 2).startswith(message)


@pytest.mark.parametrize(
    "given",
    [
        ["select"],
        ["select", "pool.npz"],
        ["select", "pool.npz", "--strategy", "random"],
        ["select", "pool.npz", "--budget", "3"],
        ["select", "--strategy", "random", "--budget", "3"],
        words("random", budget="many"),
        words("random", budget="2.5"),
        words("random", "--seed", "one"),
        words("random", "other.npz"),
        words("random", "--memory", "1GB"),
    ],
)
def test_what_is_no_command_ends_with_2_and_says_why(pool, capsys, given):
    assert main(given) == 2
    captured = capsys.readouterr()
    assert captured.out + captured.err


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (words("random", budget=0), "budget: expected a whole number, 1 or more, got 0"),
        (words("random", budget=-3), "budget: expected a whole number, 1 or more, got -3"),
        (words("random", "--seed", "-1"), "seed: expected a whole number, 0 … 4294967295, got -1"),
        (words("random", "--memory", "0"), "memory: expected a whole number, 1 or more, got 0"),
        (words("random", "--out", "."), "out: . is there and no file"),
        (words("random", "--out", "pool.npz"), "out: pool.npz is the pool itself"),
        (words("random", "--out", "pool.npz/query.csv"), "cannot write "),
        (
            ["select", "absent.npz", "--strategy", "random", "--budget", "3"],
            "absent.npz: cannot read the pool: no such file",
        ),
        (["select", ".", "--strategy", "random", "--budget", "3"], ".: cannot read the pool: is no file"),
    ],
)
def test_what_is_understood_but_cannot_be_done_ends_with_1(pool, capsys, given, message):
    before = Path(pool).read_bytes()
    assert refused(capsys, given, 1).startswith(message)
    assert Path(pool).read_bytes() == before
    assert os.listdir() == ["pool.npz"]


def without(*names):
    return {name: array for name, array in file_arrays().items() if name not in names}


def changed(**arrays):
    return {**file_arrays(), **arrays}


def nan_rows():
    embeddings = file_arrays()["embeddings"]
    embeddings[[30, 40], 1] = np.nan
    return changed(embeddings=embeddings)


ARRAYS = file_arrays()
POOLS = {
    "no array": ({}, "pool.npz: holds no array; a pool has embeddings and labels"),
    "no labels": (without("labels"), "pool.npz: no labels; a pool has embeddings and labels"),
    "no embeddings": (without("embeddings"), "pool.npz: no embeddings; a pool has embeddings and labels"),
    "neither": ({"logits": ARRAYS["logits"]}, "pool.npz: no embeddings and no labels; a pool has"),
    "a misspelled name": (
        changed(embedings=ARRAYS["embeddings"]),
        "pool.npz: unknown array embedings (did you mean embeddings?)",
    ),
    "an unknown name": (
        changed(zzz=np.ones(3)),
        "pool.npz: unknown array zzz (known are embeddings, head_bias, head_weight, ids, ",
    ),
    "half a head": (without("head_bias"), "pool.npz: head_weight without head_bias; a layer without bias has zeros"),
    "the other half": (without("head_weight"), "pool.npz: head_bias without head_weight"),
    "objects": (
        changed(embeddings=ARRAYS["embeddings"].astype(object)),
        "pool.npz: embeddings is an array of objects, which are never loaded",
    ),
    "object ids": (
        changed(ids=np.array(["a"] * N, object)),
        "pool.npz: ids is an array of objects, which are never loaded",
    ),
    "float ids": (changed(ids=np.arange(N) / 2), "pool.npz: ids is [60] of float64; expected text or integers [N]"),
    "ids in a column": (
        changed(ids=np.arange(N)[:, None]),
        "pool.npz: ids is [60, 1] of int64; expected text or integers [N]",
    ),
    "broken text in ids": (
        changed(ids=np.array(["\ud800", *map(str, range(N - 1))])),
        "pool.npz: ids hold text that is not Unicode",
    ),
    "an id twice": (changed(ids=np.array(["a"] * N)), "sample_ids: 56 of 57 rows have the id of an earlier row"),
    "an id short": (changed(ids=np.arange(N - 1)), "sample_ids: expected shape [N] = [60], got [59]"),
    "two numbers of classes": (
        changed(num_classes=np.array([3, 4])),
        "pool.npz: num_classes has shape [2]; expected one number",
    ),
    "a float number of classes": (changed(num_classes=3.0), "num_classes: expected a whole number, 2 … 100000, got "),
    "NaN rows": (
        nan_rows(),
        "embeddings: 2 of 60 rows hold NaN or infinity (or numbers beyond float32); the first are 30, 40",
    ),
    "float labels": (changed(labels=ARRAYS["labels"].astype(float)), "labels: expected integers, got float64"),
    "text for embeddings": (
        changed(embeddings=ARRAYS["embeddings"].astype(str)),
        "embeddings: expected floating-point numbers, got <U",
    ),
    "a label outside": (changed(labels=np.full(N, C)), "labels: 60 of 60 rows lie outside -2 … 2"),
    "nothing unlabeled": (
        changed(labels=np.zeros(N, int)),
        "labels: nothing is unlabeled (60 rows are labeled, 0 never to be asked)",
    ),
    "an empty pool": (changed(embeddings=np.ones((0, 5)), labels=np.ones(0, int)), "embeddings: the pool is empty"),
    "a transposed head": (
        changed(head_weight=ARRAYS["head_weight"].T),
        "head.weight: expected shape [D, C] = [5, 3], got [3, 5], its transpose",
    ),
    "logits of another model": (changed(logits=ARRAYS["logits"] + 1), "logits: 57 of 60 rows contradict the head"),
    "no head": (
        without("head_weight", "head_bias"),
        "head: cb_dal needs it, but it is not given. Give the last linear layer, head=(",
    ),
}


@pytest.mark.parametrize("case", POOLS)
def test_a_pool_that_cannot_be_selected_from_ends_with_1(pool, capsys, case):
    arrays, message = POOLS[case]
    np.savez("pool.npz", **arrays)
    assert refused(capsys, words("cb_dal", "--out", "query.csv"), 1).startswith(message)
    assert os.listdir() == ["pool.npz"]


def test_files_that_are_no_npz_or_damaged_end_with_1(pool, capsys):
    whole = Path(pool).read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    for content, message in (
        (b"", "pool.npz: not an npz (zip) file, or cut short"),
        (b"\x93NUMPY", "pool.npz: not an npz (zip) file, or cut short"),
        (whole[: len(whole) // 2], "pool.npz: not an npz (zip) file, or cut short"),
        (bytes(flipped), "pool.npz: "),
    ):
        Path(pool).write_bytes(content)
        assert refused(capsys, words("random"), 1).startswith(message)


def test_a_pickle_is_never_loaded(pool, capsys, tmp_path):
    class Bomb:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "exploded",))

    np.savez("pool.npz", **changed(labels=np.array([Bomb()], object)))
    assert "labels is an array of objects, which are never loaded" in refused(capsys, words("random"), 1)
    assert not (tmp_path / "exploded").exists()


def test_a_file_that_claims_more_than_there_is_takes_no_memory(pool, capsys, monkeypatch):
    arrays = file_arrays()
    total = sum(array.nbytes for array in arrays.values())
    monkeypatch.setattr(pool_file, "_memory_bytes", lambda: total - 1)
    assert refused(capsys, words("random"), 1) == (
        f"pool.npz: its arrays would take {total} bytes, this machine has {total - 1}. Is it damaged?"
    )
    with zipfile.ZipFile("pool.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (10**12, 5)})
        archive.writestr("embeddings.npy", header.getvalue() + bytes(1000))
        archive.writestr("labels.npy", header.getvalue() + bytes(1000))
    assert "pool.npz: embeddings: the header promises (1000000000000, 5) of float32" in refused(
        capsys, words("random"), 1
    )


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
