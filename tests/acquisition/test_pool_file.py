"""Pools that `jaxal select` refuses: one line, exit code 1, no file left."""

import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from select_files import file_arrays, refused, words
from select_pools import C, N

from jaxal.acquisition import pool_file


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
