"""`jaxal select` on a folder made by `jaxal embed`, with labels in a CSV file."""

import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest
from embedding_folders import CLASSES, IDS, NUMBERS, N, files_of, made
from select_files import refused, selected

import jaxal
from jaxal.acquisition import memory, pool_folder
from jaxal.acquisition.pool_folder import read_labels
from jaxal.cli import main
from jaxal.errors import DataError
from jaxal.pool import EXCLUDED, UNLABELED
from jaxal.strategies.spread_pool import make_pool_mesh

LABELS = np.full(N, UNLABELED, np.int32)
LABELS[:9] = np.arange(9) % 3
LABELS[20] = EXCLUDED


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of embeddings, and the labels of some of its rows, in an otherwise empty current folder."""
    monkeypatch.chdir(tmp_path)
    made(tmp_path / "emb")
    rows = [*((row, CLASSES[LABELS[row]]) for row in range(9)), (20, "skip"), (30, "")]
    write_labels([f'"{IDS[row]}",{name}' for row, name in rows])
    return "emb"


def write_labels(lines, header="id,label"):
    with open("labels.csv", "w", encoding="utf-8", newline="") as file:
        file.write("\n".join([header, *lines]) + "\n")


def words(strategy, *more, pool="emb", labels=("--labels", "labels.csv")):
    return ["select", pool, "--strategy", strategy, "--budget", "7", *labels, *more]


@pytest.mark.parametrize("strategy", ["core_set", "random"])
def test_a_folder_selects_what_an_npz_file_selects(folder, capsysbinary, strategy):
    rows, warned = selected(capsysbinary, words(strategy))
    arrays = {"embeddings": NUMBERS, "labels": LABELS, "num_classes": len(CLASSES), "ids": np.array(IDS)}
    np.savez("pool.npz", **arrays)
    assert rows == selected(capsysbinary, words(strategy, pool="pool.npz", labels=()))[0]
    assert warned == ""
    assert [row["id"] for row in rows] == [IDS[int(row["index"])] for row in rows]
    assert not {int(row["index"]) for row in rows} & set(np.flatnonzero(LABELS != UNLABELED))


def test_python_opens_the_same(folder, tmp_path):
    shutil.move("emb", "moved")
    opened = jaxal.open_embeddings(tmp_path / "moved")
    np.testing.assert_array_equal(opened.embeddings, NUMBERS)
    assert (opened.ids, opened.class_names) == (IDS, CLASSES)
    picks, expected = (
        jaxal.select("core_set", embeddings=each, labels=LABELS, num_classes=3, budget=7)
        for each in (opened.embeddings, NUMBERS)
    )
    np.testing.assert_array_equal(picks, expected)


def test_what_is_to_be_spread_over_devices_is_held_on_the_host(folder, monkeypatch):
    """As if there were several: no one of them may have room for all rows."""
    asked, read = [], pool_folder.read_onto_device
    monkeypatch.setattr(pool_folder, "mesh_for", lambda devices: asked.append(devices) or make_pool_mesh())
    monkeypatch.setattr(pool_folder, "read_onto_device", lambda rows: (read(rows), jax.config.jax_default_device))
    pool, put_on = pool_folder.open_embeddings(folder, devices=3).embeddings
    np.testing.assert_array_equal(pool, NUMBERS)
    assert put_on == jax.local_devices(backend="cpu")[0]
    assert asked == [3]
    monkeypatch.setattr(memory, "free_on_host", lambda: NUMBERS.nbytes - 1)
    with pytest.raises(DataError, match=r"wait to be spread over devices \(--devices 1"):
        pool_folder.open_embeddings(folder, devices=3)


@pytest.mark.parametrize(("number", "said"), [("9", "9 asked for, but this process has"), ("0", "expected a whole")])
def test_devices_that_are_not_there_are_refused_before_anything_is_read(folder, capsys, monkeypatch, number, said):
    monkeypatch.setattr(pool_folder, "open_folder", None)  # not called
    assert refused(capsys, words("random", "--devices", number), 1).startswith(f"devices: {said}")


def test_without_labels_nothing_is_labeled(folder, capsysbinary):
    rows, _ = selected(capsysbinary, words("random", "--budget", "50", labels=()))
    assert sorted(int(row["index"]) for row in rows) == list(range(N))


def test_semicolons_marks_line_ends_and_further_columns(folder, capsysbinary):
    first, _ = selected(capsysbinary, words("core_set"))
    lines = [f"{CLASSES[LABELS[row]]};note, {row};{IDS[row]}" for row in range(9)]
    text = "\r\n".join(["label;comment;id", *lines, f"skip;;{IDS[20]}", ""])
    with open("labels.csv", "wb") as file:
        file.write(b"\xef\xbb\xbf" + text.encode())
    assert selected(capsysbinary, words("core_set"))[0] == first


def test_all_that_is_wrong_with_the_labels_is_told_at_once(folder, capsys):
    name = '"scan, 1"'
    write_labels(
        [
            '"scan, 0",benign',
            f"{name},benign",
            f"{name},rest",
            f"{name},benign",
            "other,rest",
            ",rest",
            '"scan, 2",BENIGN',
        ]
    )
    with open("labels.csv", "a") as file:
        file.write('"scan, 3",rest,more\n')
    assert main(words("random")) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [
        "jaxal: --labels labels.csv: 6 problems",
        "  2 × id that is not in the pool: line 6 (other), line 7 ()",
        "  1 × id of an earlier row: line 5 (scan, 1, line 3)",
        "  1 × id of an earlier row, with another label: line 4 (scan, 1, line 3)",
        "  1 × label that is no class: line 8 (BENIGN)",
        "  1 × too many cells (the header has 2): line 9",
        "Correct these lines; none was used. The classes are benign, malignant, rest.",
    ]


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("id,class", "--labels labels.csv: no column label; it has 'id', 'class'"),
        ("", "--labels labels.csv: no column id and no column label; it has"),
        ("id,label,label", "--labels: "),
    ],
)
def test_labels_without_their_columns_are_refused(folder, capsys, header, message):
    write_labels(['"scan, 0",benign'], header)
    assert refused(capsys, words("random"), 1).startswith(message)


def test_a_file_of_labels_that_is_none(folder, capsys):
    (said,) = (refused(capsys, words("random", labels=("--labels", "absent.csv")), 1),)
    assert said.startswith("--labels = 'absent.csv': no such file")
    with open("labels.csv", "wb") as file:
        file.write(b"id,label\n\xff\xfe,rest\n")
    assert "is not UTF-8 text" in refused(capsys, words("random"), 1)


def test_a_class_named_skip_is_that_class(tmp_path, folder):
    labels = read_labels("labels.csv", IDS, (*CLASSES, "skip"))
    assert labels[20] == 3


def test_labels_belong_to_a_folder(folder, capsys):
    np.savez("pool.npz", embeddings=NUMBERS, labels=LABELS)
    assert refused(capsys, words("random", pool="pool.npz"), 2).startswith("--labels: belongs to a folder")


def test_nothing_is_written_into_the_folder_or_over_the_labels(folder, capsys):
    before = files_of(Path(folder))
    for target, message in (
        ("emb/query.csv", "lies in the pool's own folder"),
        ("labels.csv", "is the file of labels"),
    ):
        assert message in refused(capsys, words("random", "--out", target), 1)
    assert files_of(Path(folder)) == before


def test_a_strategy_that_needs_more_says_so(folder, capsys):
    assert refused(capsys, words("entropy"), 1).startswith("logits: entropy needs it, but it is not given")


def test_an_unfinished_folder_is_refused(folder, capsys):
    shutil.copytree("emb", "half", ignore=lambda *_: ["embeddings.json"])
    assert refused(capsys, words("random", pool="half"), 1).startswith("half: no embeddings.json in it")


def test_a_folder_larger_than_the_memory_is_refused_before_it_is_read(folder, capsys, monkeypatch):
    monkeypatch.setattr(memory, "free_on_host", lambda: NUMBERS.nbytes - 1)
    monkeypatch.setattr(pool_folder, "open_folder", None)  # not called
    said = refused(capsys, words("random"), 1)
    assert said.startswith("emb: 50 rows of 6 numbers take 1.2e-06 GB, but 1.2e-06 GB are free in memory.")
    assert "--stream STATE" in said


def test_streamed_from_the_disk_it_is_the_same(folder, capsysbinary):
    rng = np.random.default_rng(2)
    np.savez("head.npz", head_weight=rng.normal(size=(NUMBERS.shape[1], 3)), head_bias=np.zeros(3))
    expected, _ = selected(capsysbinary, words("entropy", "--head", "head.npz"))
    before = files_of(Path(folder))
    streamed = words("entropy", "--head", "head.npz", "--stream", "state")
    for _ in range(2):  # the second time from what was kept
        rows, warned = selected(capsysbinary, streamed)
        assert [(row["id"], row["index"]) for row in rows] == [(row["id"], row["index"]) for row in expected]
        np.testing.assert_allclose(
            *(np.array([float(row["score"]) for row in each]) for each in (rows, expected)), 1e-5
        )
        last = warned.splitlines()[-1]  # on a slow machine behind lines of progress
        assert re.fullmatch(r"jaxal: 50 rows: .* s waiting for the disk, .* s choosing; .* was read", last)
    assert files_of(Path(folder)) == before
    assert main([*streamed, "--seed", "1"]) == 1
    assert "state: holds the state of another selection; nothing was changed:" in capsysbinary.readouterr().err.decode()


def test_streaming_is_refused_where_it_cannot_be(folder, capsys):
    np.savez("pool.npz", embeddings=NUMBERS, labels=LABELS)
    np.savez("head.npz", head_weight=np.zeros((3, 6)), head_bias=np.zeros(3))
    np.savez("half.npz", head_weight=np.zeros((6, 3)))
    for arguments, code, message in (
        (words("random", "--stream", "state", pool="pool.npz", labels=()), 2, "--stream: belongs to a folder"),
        (words("random", "--stream", "state", "--devices", "2"), 2, "--devices: a pool that is read from the disk"),
        (words("random", "--stream", "emb/state"), 1, "stream: emb/state lies in the pool's own folder"),
        (words("random", "--stream", "state", "--out", "state/query.csv"), 1, "out: state/query.csv lies in state"),
        (words("entropy", "--stream", "state", "--head", "head.npz"), 1, "head.weight: expected shape [D, C] = [6, 3]"),
        (words("entropy", "--stream", "state", "--head", "half.npz"), 1, "half.npz: holds head_weight; a head is"),
        (words("entropy", "--head", "absent.npz"), 1, "absent.npz: cannot read the head: no such file"),
    ):
        assert refused(capsys, arguments, code).startswith(message)
    assert not Path("state").exists()


# Small blocks, each of which is kept.
OFTEN = """
import sys
from jaxal.acquisition import streamed, streamed_rows
from jaxal.cli import main
streamed_rows.SECONDS_BETWEEN_SAVES = 0.0
streamed.select_streamed.__kwdefaults__["read_bytes"] = 2**17
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["core_set", "badge", "alfa_mix", "entropy", "random", "cb_dal"])
def test_a_killed_command_goes_on_to_the_same_picks(folder, tmp_path, strategy):
    numbers = np.random.default_rng(3).normal(size=(16000, 16)).astype(np.float32)
    ids = tuple(map(str, range(len(numbers))))
    made(tmp_path / "large", numbers, ids=ids)
    write_labels([f"{row},{CLASSES[row % 3]}" for row in range(30)])
    np.savez("head.npz", head_weight=numbers[:3].T, head_bias=np.zeros(3))

    def started(state, out):
        more = ("--head", "head.npz", "--budget", "300", "--stream", state, "--out", out)
        return subprocess.Popen([sys.executable, "-c", OFTEN, *words(strategy, *more, pool="large")])

    assert started("whole", "whole.csv").wait() == 0
    num_killed = 0
    while num_killed < 4:
        process, before = started("state", "query.csv"), digest_of_state()
        while process.poll() is None and digest_of_state() == before:
            time.sleep(0.002)
        if process.poll() is not None:
            break
        process.kill()  # just after a save, while what is earlier is cleared away and the next block is worked on
        process.wait()
        num_killed += 1
    assert num_killed >= 3
    assert started("state", "query.csv").wait() == 0
    assert Path("query.csv").read_text() == Path("whole.csv").read_text()


def digest_of_state():
    try:
        return Path("state/state.json").read_bytes()
    except OSError:
        return b""
