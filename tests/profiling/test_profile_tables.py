"""A profile as text, and what of an earlier call is taken up again."""

import pytest
from profile_rows import make_row

from jaxal.errors import StoreError
from jaxal.profiling.tables import Conditions, append_row, current_conditions, open_rows, profile_markdown

HERE = Conditions(5, None, "cpu", 2, "0.10.2")


def test_rows_come_back_as_they_were_written(tmp_path):
    path = tmp_path / "new" / "profile.csv"
    rows = [make_row(), make_row("balanced(entropy)", growth_bytes=None, planned_bytes=None, seconds=1 / 3)]
    assert open_rows(path, HERE) == []
    for row in rows:
        append_row(path, row, HERE)
    assert open_rows(path, HERE) == rows
    assert len(path.read_text().splitlines()) == 3


def test_a_line_that_was_cut_off_is_measured_again(tmp_path):
    path = tmp_path / "profile.csv"
    open_rows(path, HERE)
    append_row(path, make_row(), HERE)
    append_row(path, make_row("badge"), HERE)
    whole = path.read_bytes()
    path.write_bytes(whole[:-30])
    assert open_rows(path, HERE) == [make_row()]
    append_row(path, make_row("badge"), HERE)
    assert path.read_bytes() == whole


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"repeats": 3}, "repeats 5, now 3"),
        ({"memory": 4096}, "memory None, now 4096"),
        ({"device": "H200", "cores": 16}, "device cpu, now H200; cores 2, now 16"),
        ({"jax": "0.11"}, "jax 0.10.2, now 0.11"),
    ],
)
def test_rows_of_other_conditions_are_refused(tmp_path, change, message):
    path = tmp_path / "profile.csv"
    open_rows(path, HERE)
    append_row(path, make_row(), HERE)
    before = path.read_bytes()
    with pytest.raises(StoreError, match="Give another --out") as caught:
        open_rows(path, HERE._replace(**change))
    assert message in str(caught.value)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"arm,seed\nrandom,0\n", "is no profile of this version"),
        (b"\xff\xfe\n", "cannot read"),
        (None, "is damaged"),
    ],
)
def test_what_is_no_profile_is_refused_and_left_alone(tmp_path, text, message):
    path = tmp_path / "profile.csv"
    if text is None:
        open_rows(path, HERE)
        append_row(path, make_row(), HERE)
        text = path.read_bytes().replace(b"1000", b"many")
    path.write_bytes(text)
    with pytest.raises(StoreError) as caught:
        open_rows(path, HERE)
    assert message in str(caught.value)
    assert path.read_bytes() == text


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot write"):
        open_rows(tmp_path / "file" / "profile.csv", HERE)
    with pytest.raises(StoreError, match="cannot write"):
        append_row(tmp_path / "nowhere" / "profile.csv", make_row(), HERE)


def test_the_table_says_under_what_it_was_measured():
    rows = [make_row(), make_row("badge", growth_bytes=None, ceiling_gb_per_second=28.0)]
    text = profile_markdown(rows, HERE._replace(memory=4096))
    head, _, *lines = text.split("\n\n")[1].splitlines()
    assert "cpu, 2 cores, jax 0.10.2: median of 5 runs" in text
    assert "blocks of 4096 bytes" in text
    assert "28 to 31.5 GB/s read, 205 GFLOP/s" in text
    assert head.startswith("| strategy | N | D | C | Q | compile s | run s |")
    cells = [line.strip("| ").split(" | ") for line in lines]
    assert cells[0] == [
        "core_set", "1000", "64", "3", "20", "1.25", "0.5", "0.25 to 1", "0.3", "1.00 ×", "1e-09", "0.3", "flops",
        "3.1 %",
    ]  # fmt: skip
    assert cells[1][8:10] == ["", ""]
    assert profile_markdown([], HERE) == "Nothing was measured.\n"


def test_the_conditions_are_this_process_s():
    found = current_conditions(7, 9)
    assert found[:2] == (7, 9)
    assert found.cores >= 1
