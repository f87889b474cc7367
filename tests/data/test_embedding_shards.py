"""Embeddings on the disk: whole or not there, taken up where they were stopped, checked before they are used."""

import os
import shutil
import tracemalloc
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from embedding_folders import IDS, NUMBERS, B, D, N, facts_of, files_of, made, made_by

from jaxal.data import cache_files, embedding_shards
from jaxal.data.embedding_manifest import digest_of, ids_by_row, iterate_ids, read_ids, read_manifest
from jaxal.data.embedding_shards import open_embeddings, open_unread
from jaxal.errors import DataError

STEP = 2 * B  # rows of a shard
NUM_SHARDS = -(-N // STEP)


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch):
    monkeypatch.setattr(embedding_shards, "SHARD_BYTES", 2 * B * D * 4)


@pytest.fixture
def whole(tmp_path):
    """The files of a folder that was made without a disturbance."""
    made(tmp_path / "whole")
    return files_of(tmp_path / "whole")


def test_a_folder_holds_all_rows_in_shards_of_whole_batches(tmp_path):
    told, asked = [], []
    result = made(tmp_path / "made", asked=asked, on_embedded=lambda *progress: told.append(progress))
    assert result.num_made == N
    np.testing.assert_array_equal(result.rows.read(np.arange(N)), NUMBERS)
    rows = np.array([49, 0, 0, 17])
    np.testing.assert_array_equal(result.rows.read(rows), NUMBERS[rows])
    assert told == [(min(done, N), N) for done in range(0, N + B, B)]
    names = [f"embeddings-{number:05}.npy" for number in range(NUM_SHARDS)]
    shards = [np.load(tmp_path / "made" / name, mmap_mode="r") for name in names]
    assert [len(shard) for shard in shards] == [STEP] * (NUM_SHARDS - 1) + [N % STEP]
    np.testing.assert_array_equal(np.concatenate(shards), NUMBERS)
    sidecars = [name.replace("npy", "json") for name in names]
    assert set(files_of(tmp_path / "made")) == {*names, *sidecars, "begun.json", "embeddings.json", "samples.csv"}


def test_ids_are_written_and_labels_are_not(tmp_path):
    result = made(tmp_path / "made")
    assert read_ids(result.folder, result.manifest) == list(IDS)
    text = (tmp_path / "made" / "samples.csv").read_text()
    assert text.splitlines()[:2] == ["index,id", '0,"scan, 0"']


def test_ids_are_looked_up_by_their_rows(tmp_path):
    ids = tuple(f"{row}" + '",\n\r "é'[row % 6 :] for row in range(N))
    folder = made(tmp_path / "made", ids=ids).folder
    rows = [49, 0, 17, 17, *range(6)]
    assert list(ids_by_row(folder)(rows)) == [ids[row] for row in rows]
    assert list(iterate_ids(folder)) == list(ids)


def test_ids_that_have_gone_are_named(tmp_path):
    folder = made(tmp_path / "made").folder
    (folder / "samples.csv").unlink()
    for read in (lambda: list(iterate_ids(folder)), lambda: ids_by_row(folder)):
        with pytest.raises(DataError, match=r"samples\.csv: cannot be read any more: No such file"):
            read()


def test_what_is_complete_is_hashed_once_and_not_made_again(tmp_path, whole, monkeypatch):
    hashed, asked = [], []
    monkeypatch.setattr(
        embedding_shards, "file_sha256", lambda path: hashed.append(path) or cache_files.file_sha256(path)
    )
    for _ in range(2):
        assert made(tmp_path / "whole", asked=asked).num_made == 0
        open_embeddings(tmp_path / "whole", "here")
    assert not asked
    assert len(hashed) == NUM_SHARDS
    assert files_of(tmp_path / "whole") == whole


@pytest.mark.parametrize("stop", [0, B, STEP, 3 * STEP + B, N])
def test_a_stopped_process_loses_one_shard_and_the_next_ends_with_the_same_bytes(tmp_path, whole, stop):
    class Stop(BaseException):
        pass

    def stopping(done, total):
        if done == stop:
            raise Stop

    with pytest.raises(Stop):
        made(tmp_path / "made", on_embedded=stopping)
    assert read_manifest(tmp_path / "made") is None
    asked = []
    result = made(tmp_path / "made", asked=asked)
    # A stop at the last batch of a shard comes before it is written.
    first = max(0, stop - 1) // STEP * STEP
    assert asked[0][0] == first
    assert result.num_made == N - first
    assert files_of(tmp_path / "made") == whole


def cut(path):
    path.write_bytes(path.read_bytes()[:-3])


def flip(path):
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("damage", [cut, flip, os.unlink])
@pytest.mark.parametrize("name", ["embeddings-00002.npy", "embeddings-00002.json", "embeddings.json", "samples.csv"])
def test_what_is_damaged_is_made_anew(tmp_path, whole, damage, name):
    damage(tmp_path / "whole" / name)
    asked = []
    result = made(tmp_path / "whole", asked=asked)
    # A sidecar is needed only where there is no manifest.
    assert [rows[0] // STEP for rows in asked] == ([2, 2] if name.endswith("2.npy") else [])
    np.testing.assert_array_equal(result.rows.read(np.arange(N)), NUMBERS)
    if name != "embeddings-00002.json":
        assert files_of(tmp_path / "whole") == whole


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        (
            "embeddings-00002.npy",
            flip,
            r"here: 1 problem\n.* damaged \(its SHA-256 differs\): embeddings-00002\.npy\nRun",
        ),
        ("embeddings-00002.npy", os.unlink, r"shard that is missing: embeddings-00002\.npy"),
        ("samples.csv", flip, r"file that is not the one that was written: samples\.csv"),
        ("embeddings.json", flip, r"here: embeddings\.json is damaged"),
        ("embeddings.json", os.unlink, r"here: no embeddings\.json in it: .* unfinished one"),
    ],
)
def test_what_is_damaged_is_refused_where_there_are_no_images(tmp_path, whole, name, damage, message):
    damage(tmp_path / "whole" / name)
    before = files_of(tmp_path / "whole")
    with pytest.raises(DataError, match=message):
        open_embeddings(tmp_path / "whole", "here")
    assert files_of(tmp_path / "whole") == before


def test_a_shard_that_changes_in_use_is_not_read(tmp_path):
    result = made(tmp_path / "made")
    flip(tmp_path / "made" / "embeddings-00001.npy")
    np.testing.assert_array_equal(result.rows.read(np.array([0])), NUMBERS[:1])
    with pytest.raises(DataError, match="changed or damaged while in use"):
        result.rows.read(np.array([0, STEP]))


def test_a_shard_that_was_not_hashed_yet_is_before_it_is_read(tmp_path, whole):
    names = [tmp_path / "whole" / f"embeddings-{number:05}.npy" for number in (1, 2)]
    flip(names[0])
    opened = open_unread(tmp_path / "whole", "here")
    sound = np.setdiff1d(np.arange(N), np.arange(STEP, 2 * STEP))
    np.testing.assert_array_equal(opened.rows.read(sound), NUMBERS[sound])
    with pytest.raises(
        DataError, match=r"embeddings-00001\.npy: not the file that was written\. Run the same `jaxal em"
    ):
        opened.rows.read(np.array([0, STEP]))
    names[1].write_bytes(names[1].read_bytes()[:-1])
    with pytest.raises(DataError, match=r"here: 1 problem\n.* damaged .*: embeddings-00002\.npy"):
        open_unread(tmp_path / "whole", "here")


def test_a_folder_that_was_moved_is_the_same(tmp_path, whole):
    shutil.move(tmp_path / "whole", tmp_path / "moved")
    opened = open_embeddings(tmp_path / "moved", "here", facts_of())
    np.testing.assert_array_equal(opened.rows.read(np.arange(N)), NUMBERS)


def test_there_must_be_a_folder(tmp_path):
    with pytest.raises(DataError, match=r"here: no such folder .*`jaxal embed` makes one"):
        open_embeddings(tmp_path / "absent", "here")


def test_embeddings_of_something_else_are_refused_with_all_that_differs(tmp_path, whole):
    other = facts_of(
        data_sha256="e" * 64, model={"kind": "resnet", "depth": 34, "image_size": 0}, weights_sha256="", seed=3
    )
    differing = [
        f"  data_sha256: {'d' * 64} there, {'e' * 64} here",
        "  model.depth: 18 there, 34 here",
        f"  weights_sha256: {'w' * 64} there, none here",
        "  seed: -1 there, 3 here",
    ]
    with pytest.raises(DataError, match="not the embeddings of this data by this model") as refusal:
        open_embeddings(tmp_path / "whole", "here", other)
    assert str(refusal.value).splitlines()[1:-1] == differing
    with pytest.raises(DataError, match=r"--out: .*whole holds other embeddings; nothing was changed") as refusal:
        made(tmp_path / "whole", of=other)
    assert str(refusal.value).splitlines()[1:-1] == differing
    assert files_of(tmp_path / "whole") == whole


def test_an_unfinished_folder_of_something_else_is_refused_too(tmp_path, whole):
    (tmp_path / "whole" / "embeddings.json").unlink()
    with pytest.raises(DataError, match="holds other embeddings"):
        made(tmp_path / "whole", of=facts_of(seed=1))


@pytest.mark.parametrize("damage", [cut, os.unlink])
def test_a_damaged_mark_is_made_anew_where_nothing_speaks_of_other_embeddings(tmp_path, whole, damage):
    for name in ("begun.json", "embeddings.json"):
        damage(tmp_path / "whole" / name)
    with pytest.raises(DataError, match=r"holds something else \(embeddings-00000\.json, .*; nothing was changed"):
        made(tmp_path / "whole", of=facts_of(seed=1))
    asked = []
    assert made(tmp_path / "whole", asked=asked).num_made == 0
    assert not asked
    assert files_of(tmp_path / "whole") == whole


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match=r"holds something else \(notes\.txt\); nothing was changed"):
        made(tmp_path)
    assert files_of(tmp_path) == {"notes.txt": b"mine"}


def test_other_batches_are_taken_as_they_are_and_made_anew_as_a_whole(tmp_path, whole):
    """What two commands computed in different batches is never mixed."""
    by, asked = made_by(batch_size=5 * B), []
    assert made(tmp_path / "whole", by=by, asked=asked).num_made == 0
    assert files_of(tmp_path / "whole") == whole
    (tmp_path / "whole" / "embeddings-00001.npy").unlink()
    made(tmp_path / "whole", by=by, asked=asked)
    assert sum(map(len, asked)) == N
    made(tmp_path / "other", by=by)
    assert files_of(tmp_path / "whole") == files_of(tmp_path / "other")
    assert len(files_of(tmp_path / "other")) < len(whole)


def test_a_digest_is_of_the_numbers(tmp_path):
    one, same, other = (made(tmp_path / str(sign), sign * NUMBERS) for sign in (1, 1.0, -1))
    assert digest_of(one.manifest) == digest_of(same.manifest) != digest_of(other.manifest)


def test_two_processes_may_make_the_same_folder(tmp_path, whole):
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda _: made(tmp_path / "made"), range(2)))
    for result in results:
        np.testing.assert_array_equal(result.rows.read(np.arange(N)), NUMBERS)
    assert files_of(tmp_path / "made") == whole


def test_space_is_looked_for_before_anything_is_embedded(tmp_path, monkeypatch):
    usage, asked = namedtuple("usage", "total used free"), []
    monkeypatch.setattr(cache_files.shutil, "disk_usage", lambda _: usage(10, 10, 4 * N * D - 1))
    with pytest.raises(DataError, match=r"--out: .* needs 0 MB for the embeddings that are not there yet"):
        made(tmp_path / "made", asked=asked)
    assert not asked


def test_a_disk_that_is_full_all_the_same(tmp_path, whole, monkeypatch):
    replace, count = os.replace, []

    def full(*arguments):
        count.append(1)
        if len(count) == 6:
            raise OSError(28, "No space left on device")
        replace(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(DataError, match=r"--out: cannot write to .*made: No space left on device"):
            made(tmp_path / "made")
    assert not [name for name in files_of(tmp_path / "made") if name.endswith(".tmp")]
    made(tmp_path / "made")
    assert files_of(tmp_path / "made") == whole


def test_rows_are_read_without_the_rest(tmp_path, monkeypatch):
    monkeypatch.setattr(embedding_shards, "SHARD_BYTES", 2**18)
    numbers = np.ones((4000, 256), np.float32)  # 4 MB
    result = made(tmp_path / "made", numbers, by=made_by(64), ids=tuple(map(str, range(4000))))
    rows = np.arange(0, 4000, 100)
    tracemalloc.start()
    try:
        result.rows.read(rows)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * rows.size * 256 * 4
