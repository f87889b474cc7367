import json
import math
import os

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxal.errors import StoreError
from jaxal.store import journal

ASKED = {"event": "asked", "round": 1, "ids": ["0012", "NA", "é\n\u2028"], "score": [0.1, 1e-300, -0.0]}
LABELS = {"event": "labels", "ids": ["0012"], "labels": [1]}

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


def test_events_come_back_in_order_with_their_keys_in_order(tmp_path):
    path = tmp_path / "arm" / "journal.jsonl"
    assert journal.read(path) == []
    journal.append(path, ASKED)
    journal.append(path, LABELS)
    assert journal.read(path) == [ASKED, LABELS]
    assert [list(event) for event in journal.read(path)] == [list(ASKED), list(LABELS)]
    assert path.read_bytes().count(b"\n") == 2


@given(value=plain)
def test_every_plain_value_comes_back_exactly(tmp_path_factory, value):
    path = tmp_path_factory.mktemp("journal") / "journal.jsonl"
    journal.append(path, {"event": "x", "value": value})
    journal.append(path, LABELS)
    first, second = journal.read(path)
    assert repr(first["value"]) == repr(value)
    assert second == LABELS


def test_floats_by_repr_and_not_finite_ones_as_null(tmp_path):
    path = tmp_path / "journal.jsonl"
    journal.append(path, {"event": "round", "a": (0.1 + 0.2, math.nan), "b": {"c": -math.inf}})
    assert path.read_text() == '{"event": "round", "a": [0.30000000000000004, null], "b": {"c": null}}\n'


@pytest.mark.parametrize(
    "value",
    [np.float64(1.0), np.float32(1.0), np.int32(1), np.bool_(True), np.zeros(2), jnp.zeros(2), {1, 2}, b"x"],
    ids=lambda value: type(value).__name__,
)
def test_what_is_not_plain_python_is_refused_by_its_place(tmp_path, value):
    path = tmp_path / "journal.jsonl"
    journal.append(path, ASKED)
    with pytest.raises(TypeError, match=r"event\['metrics'\]\['auroc'\]\[1\] is .*, not plain Python"):
        journal.append(path, {"event": "round", "metrics": {"auroc": [0.5, value]}})
    assert journal.read(path) == [ASKED]


@pytest.mark.parametrize("event", [{}, {"event": 3}, {"event": "x", "y": {1: 2}}])
def test_an_event_needs_its_name_and_str_keys(tmp_path, event):
    with pytest.raises(TypeError, match=r"needs the key 'event'|keys must be str"):
        journal.append(tmp_path / "journal.jsonl", event)
    assert not (tmp_path / "journal.jsonl").exists()


def test_a_line_torn_at_any_byte_is_ignored_repaired_and_appended_after(tmp_path):
    path = tmp_path / "journal.jsonl"
    journal.append(path, LABELS)
    kept = path.read_bytes()
    journal.append(path, ASKED)
    whole = path.read_bytes()
    for length in range(len(kept), len(whole)):
        path.write_bytes(whole[:length])
        assert journal.read(path) == [LABELS]
        assert journal.repair(path) == length - len(kept)
        assert path.read_bytes() == kept
        assert journal.repair(path) == 0
        journal.append(path, ASKED)
        assert path.read_bytes() == whole
        path.write_bytes(whole[:length])
        journal.append(path, ASKED)  # without a repair before
        assert path.read_bytes() == whole


@pytest.mark.parametrize("tail", [b"\0" * 700, b"\n", b'{"event": NaN}\n', b"[1]\n", b'{"round": 1}\n', b"\xff\xfe\n"])
def test_a_last_line_of_garbage_counts_as_torn(tmp_path, tail):
    path = tmp_path / "journal.jsonl"
    journal.append(path, LABELS)
    whole = path.read_bytes()
    path.write_bytes(whole + tail)
    assert journal.read(path) == [LABELS]
    assert journal.repair(path) == len(tail)
    assert path.read_bytes() == whole


def test_a_journal_torn_in_its_first_line_is_empty(tmp_path):
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b'{"event": "as')
    assert journal.read(path) == []
    journal.append(path, LABELS)
    assert journal.read(path) == [LABELS]
    assert journal.repair(tmp_path / "missing.jsonl") == 0


def test_lines_longer_than_a_block_are_found_whole(tmp_path):
    path = tmp_path / "journal.jsonl"
    long = {"event": "asked", "ids": [f"{number:07d}" for number in range(40_000)]}
    for event in (LABELS, long, long):
        journal.append(path, event)
    whole = path.read_bytes()
    assert journal.repair(path) == 0
    path.write_bytes(whole[:-1])
    assert journal.repair(path) == len(json.dumps(long))
    assert journal.read(path) == [LABELS, long]


def test_a_broken_line_before_the_last_is_refused_with_its_number(tmp_path):
    path = tmp_path / "journal.jsonl"
    for _ in range(3):
        journal.append(path, LABELS)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[1].replace(b"{", b"(") + lines[2])
    with pytest.raises(StoreError, match=r"journal\.jsonl, line 2 of 3 is not"):
        journal.read(path)


@pytest.mark.parametrize("written", [0, 9])
def test_a_disk_that_fills_up_leaves_the_journal_as_it_was(tmp_path, monkeypatch, written):
    path = tmp_path / "journal.jsonl"
    journal.append(path, LABELS)
    whole = path.read_bytes()

    def full(descriptor):
        os.truncate(path, len(whole) + written)
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StoreError, match="No space left on device"):
            journal.append(path, ASKED)
    assert path.read_bytes() == whole
    journal.append(path, ASKED)
    assert journal.read(path) == [LABELS, ASKED]
