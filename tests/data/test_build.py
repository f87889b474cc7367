"""A folder built from image files: what it holds, what a second run does, what damage comes to."""

import csv
import json
import os
import shutil
from collections import namedtuple

import numpy as np
import pytest
from build_fixtures import NUM_IMAGES, TABLE, built, config_of, put_labeled_images, refusal_of, source_of
from hypothesis import given, settings
from hypothesis import strategies as st
from image_fixtures import put, put_flat
from test_bad_images import tree

from jaxal.data import cache_files, manifest, shard_files
from jaxal.data.check import check_data
from jaxal.data.manifest import Manifest, Row, read_built, table_text
from jaxal.data.readers.labeled_files import read_images
from jaxal.data.records import ImageRecord
from jaxal.errors import DataError


@pytest.fixture
def top(tmp_path, monkeypatch):
    """Images with a table of labels, built in shards of five."""
    monkeypatch.setattr(shard_files, "SHARD_FILES", 5)
    return put_labeled_images(tmp_path / "data")


def test_a_built_folder_is_the_data_itself(top, tmp_path):
    direct = read_images(config_of(top))
    built(top, tmp_path / "out")
    source = source_of(tmp_path / "out")
    assert source.fingerprint == direct.fingerprint
    for name in ("ids", "labels", "groups"):
        np.testing.assert_array_equal(getattr(source, name), getattr(direct, name))
    assert source.columns.keys() == direct.columns.keys()
    for name, cells in direct.columns.items():
        np.testing.assert_array_equal(source.columns[name], cells)
    assert (source.class_names, source.mean, source.std) == (direct.class_names, direct.mean, direct.std)
    assert set(direct.notes) <= set(source.notes)
    order = np.random.default_rng(0).permutation(NUM_IMAGES)
    pixels = source.read(order)
    np.testing.assert_array_equal(pixels, direct.read(order))
    np.testing.assert_array_equal(pixels[:, 1, 1, 0], order)


def test_the_manifest_says_all_of_it(top, tmp_path):
    out = tmp_path / "out"
    result = built(top, out)
    with open(out / "manifest.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[:9] == ["id", "path", "bytes", "sha256", "label", "group", "split", "width", "height"]
    assert len(rows) == NUM_IMAGES
    path = top / "train" / "ISIC_03.png"
    assert rows[3]["path"] == "train/ISIC_03.png"
    assert rows[3]["bytes"] == str(path.stat().st_size)
    assert rows[3]["sha256"] == shard_files.file_sha256(path)
    assert (rows[3]["width"], rows[3]["height"], rows[3]["data:width"]) == ("9", "6", "103")
    content = json.loads((out / "manifest.json").read_text())["content"]
    assert content["image_size"] == 4
    assert sum(content["class_counts"].values()) == NUM_IMAGES
    assert [shard["num_images"] for shard in content["shards"]] == [5, 5, 5, 5, 2]
    for shard in content["shards"]:
        assert shard["sha256"] == shard_files.file_sha256(out / shard["name"])
    assert content["table_sha256"] == shard_files.file_sha256(out / "manifest.csv")
    assert result.manifest.source == str(top)


def test_a_second_run_verifies_and_writes_nothing(top, tmp_path):
    out = tmp_path / "out"
    first = built(top, out)
    assert (first.is_same, first.num_made) == (False, 5)
    before = tree(out), tree(top)
    second = built(top, out)
    assert (second.is_same, second.num_made) == (True, 0)
    assert second.manifest == first.manifest
    assert (tree(out), tree(top)) == before


def test_a_touched_or_moved_but_equal_folder_is_the_same_data(top, tmp_path):
    out = tmp_path / "out"
    first = built(top, out)
    for path in (top / "train").iterdir():
        os.utime(path, (1, 1))
    assert built(top, out).is_same
    fingerprint = source_of(out).fingerprint
    os.rename(top, tmp_path / "moved")
    os.rename(out, tmp_path / "there")
    moved = built(tmp_path / "moved", tmp_path / "there")
    assert moved.num_made == 0
    assert moved.manifest.shards == first.manifest.shards
    assert moved.manifest.source == str(tmp_path / "moved")
    assert source_of(tmp_path / "there").fingerprint == fingerprint


def test_changes_of_the_data_are_all_told_and_nothing_is_mixed(top, tmp_path):
    out = tmp_path / "out"
    built(top, out)
    put_flat(top / "train" / "ISIC_05.png", 1)
    put_flat(top / "train" / "ISIC_22.png", 1)
    table = TABLE.replace("ISIC_07,IP_2,1,arm", "ISIC_07,IP_9,0,leg").replace("ISIC_09,IP_3,1,arm,109,g\n", "")
    put(top / "train.csv", (table + "ISIC_22,IP_0,1,arm,9,g\n").encode())
    before = tree(out)
    message = refusal_of(top, out)
    for kind in (
        "1 × image file that changed since: train/ISIC_05.png",
        "1 × image that is new: ISIC_22",
        "1 × image with a label that changed since: ISIC_07",
        "1 × image with a group that changed since: ISIC_07",
        "1 × image with another column that changed since: ISIC_07",
        "1 × image that is no longer in the labels: ISIC_09",
    ):
        assert kind in message
    assert "Nothing was changed" in message
    assert tree(out) == before


def flip(path):
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)


DAMAGE = {
    "a flipped bit": (flip, "damaged"),
    "cut": (lambda path: os.truncate(path, 150), "damaged"),
    "empty": (lambda path: os.truncate(path, 0), "damaged"),
    "missing": (lambda path: path.unlink(), "missing"),
}


@pytest.mark.parametrize("damage", list(DAMAGE))
def test_a_damaged_shard_is_named_and_made_anew_where_the_images_are(top, tmp_path, damage):
    out = tmp_path / "out"
    built(top, out)
    sound = (out / "images-00002.npy").read_bytes()
    harm, kind = DAMAGE[damage]
    harm(out / "images-00002.npy")
    with pytest.raises(DataError, match=rf"1 × shard that is {kind}.*: images-00002\.npy(?s:.*)jaxal data build"):
        source_of(out)
    report = check_data(config_of(out))
    assert [problem.where for problem in report.problems] == ["images-00002.npy"]
    away = top.rename(tmp_path / "away")
    with pytest.raises(DataError, match=r"Without them, get a whole copy"):
        source_of(out)
    away.rename(top)
    result = built(top, out)
    assert (result.is_same, result.num_made) == (True, 1)
    assert (out / "images-00002.npy").read_bytes() == sound
    assert len(source_of(out).ids) == NUM_IMAGES


MANIFEST_DAMAGE = {
    "no manifest": lambda out: (out / "manifest.json").unlink(),
    "no table": lambda out: (out / "manifest.csv").unlink(),
    "a cut manifest": lambda out: os.truncate(out / "manifest.json", 300),
    "a changed manifest": lambda out: (out / "manifest.json").write_text(
        (out / "manifest.json").read_text().replace('"rgb"', '"gray"')
    ),
    "a flipped bit of the table": lambda out: flip(out / "manifest.csv"),
    "a deep manifest": lambda out: (out / "manifest.json").write_text("[" * 100_000),
}


@pytest.mark.parametrize("damage", list(MANIFEST_DAMAGE))
def test_a_damaged_manifest_is_refused_and_made_anew(top, tmp_path, damage):
    out = tmp_path / "out"
    built(top, out)
    sound = (out / "manifest.json").read_bytes()
    MANIFEST_DAMAGE[damage](out)
    with pytest.raises(DataError, match=r"manifest\.(json|csv)"):
        source_of(out)
    result = built(top, out)
    assert (result.is_same, result.num_made) == (False, 0)
    assert (out / "manifest.json").read_bytes() == sound


def test_an_image_that_was_left_out_and_is_repaired_is_a_change(top, tmp_path):
    path, out = top / "train" / "ISIC_03.png", tmp_path / "out"
    good = path.read_bytes()
    put(path, good[:-20] + bytes(20))  # of the same length
    built(top, out, max_bad=1)
    before = tree(out)
    assert built(top, out, max_bad=1).is_same
    put(path, good)
    assert "1 × image file that changed since: train/ISIC_03.png" in refusal_of(top, out, max_bad=1)
    assert tree(out) == before


def test_without_the_image_files_a_built_folder_is_whole(top, tmp_path):
    out = tmp_path / "out"
    built(top, out)
    shutil.rmtree(top)
    assert len(source_of(out).ids) == NUM_IMAGES
    report = check_data(config_of(out))
    assert report.problems == ()
    assert any("not compared" in note for note in report.notes)


def test_shards_of_a_longer_list_are_cleared_away(top, tmp_path):
    out = tmp_path / "out"
    built(top, out)
    (out / "manifest.json").unlink()  # as if it had never been finished
    lines = TABLE.splitlines(keepends=True)
    put(top / "train.csv", "".join(lines[:8]).encode())
    assert built(top, out).manifest.num_images == 7
    assert sorted(path.name for path in out.glob("images-*")) == [
        f"images-0000{number}.{end}" for number in range(2) for end in ("json", "npy")
    ]


def test_more_bad_images_than_allowed_are_all_listed(top, tmp_path):
    out = tmp_path / "out"
    for number in (3, 4, 11, 12, 13):
        put(top / "train" / f"ISIC_{number:02}.png", b"")
    message = refusal_of(top, out, max_bad=4)
    assert "5 of 22 images cannot be used, 4 may be left out" in message
    assert "5 × empty file: ISIC_03, ISIC_04, ISIC_11, …" in message
    assert "--max-bad 5" in message
    assert str(out / "bad_images.csv") in message
    assert (out / "bad_images.csv").read_text().splitlines()[1] == "ISIC_03,train/ISIC_03.png,empty file"
    assert len((out / "bad_images.csv").read_text().splitlines()) == 6
    result = built(top, out, max_bad=5)
    assert (result.num_made, result.manifest.num_images) == (0, 17)
    np.testing.assert_array_equal(
        source_of(out).read(np.arange(17))[:, 0, 0, 0], [n for n in range(22) if n not in (3, 4, 11, 12, 13)]
    )


def test_space_is_looked_at_before_and_counts_what_is_there(top, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    with monkeypatch.context() as patch:
        patch.setattr(cache_files.shutil, "disk_usage", lambda _: usage(10, 10, 22 * 48 - 1))
        assert "--out: " in refusal_of(top, tmp_path / "out")
    built(top, tmp_path / "out")
    (tmp_path / "out" / "images-00001.npy").unlink()
    monkeypatch.setattr(cache_files.shutil, "disk_usage", lambda _: usage(10, 10, 5 * 48))
    assert built(top, tmp_path / "out").num_made == 1


CELLS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=12)


@settings(max_examples=150, deadline=None)
@given(cells=st.lists(st.tuples(CELLS, CELLS, CELLS, CELLS, CELLS), min_size=1, max_size=4))
def test_any_text_in_the_table_comes_back(cells):
    rows = [
        Row(ImageRecord(*each[:3], group=each[3], part="train", columns={"id": each[4], "x,y": each[0]}), 3, "ab", 4, 5)
        for each in cells
    ]
    described = Manifest(
        **{**dict.fromkeys(Manifest.__struct_fields__), "has_groups": True, "columns": ("id", "x,y")}  # type: ignore[arg-type]
    )
    assert list(manifest._rows(table_text(rows), described)) == rows


def test_what_is_no_built_folder_is_refused(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        source_of(tmp_path / "none")
    with pytest.raises(DataError, match=r"no manifest\.json in it: not a folder made by"):
        read_built(tmp_path, "here")
