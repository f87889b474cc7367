"""Pools in files, and the command that selects from them."""

import csv
import io

import numpy as np
from select_pools import Q, pool_arrays

from jaxal.cli import main


def file_arrays(seed=0):
    arrays = pool_arrays(seed)
    weight, bias = arrays.pop("head")
    return {**arrays, "head_weight": weight, "head_bias": bias}


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
