"""The CSV of a query."""

import csv
import io
import os
from pathlib import Path

import numpy as np
from select_files import file_arrays, selected, words
from select_pools import N

from jaxal.acquisition import Selection
from jaxal.acquisition.query_file import formula_note, query_text
from jaxal.cli import main


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
