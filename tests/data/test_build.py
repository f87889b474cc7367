"""A folder built from image files: what it holds, what a second run does, where it may lie, what damage comes to."""

import csv
import json
import os
import shutil
import subprocess
import sys
from collections import namedtuple

import filelock
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from image_fixtures import encoded, put, put_flat
from test_bad_images import tree

from jaxal.config.data import BuiltConfig, ImagesConfig
from jaxal.data import image_shards, manifest, shard_files
from jaxal.data.build import build_images
from jaxal.data.check import check_data
from jaxal.data.manifest import Manifest, Row, read_built, table_text
from jaxal.data.readers.built import read_built_folder
from jaxal.data.readers.labeled_files import read_images
from jaxal.data.records import ImageRecord
from jaxal.errors import DataError

NUM_IMAGES = 22
TABLE = "image_name,patient_id,target,site,width,group\n" + "".join(
    f"ISIC_{number:02},IP_{number // 3},{number % 2},arm,{100 + number},g\n" for number in range(NUM_IMAGES)
)


@pytest.fixture
def top(tmp_path, monkeypatch):
    """Images of 3 shades each in a folder, with a table of labels; shards of five."""
    monkeypatch.setattr(shard_files, "SHARD_FILES", 5)
    folder = tmp_path / "data"
    for number in range(NUM_IMAGES):
        pixels = np.full((6, 9, 3), (number, 2 * number, 200), np.uint8)
        put(folder / "train" / f"ISIC_{number:02}.png", encoded(pixels, "PNG"))
    put(folder / "train.csv", TABLE.encode())
    return folder


def config_of(top, **settings) -> ImagesConfig:
    return ImagesConfig(path=str(top), **{"image_size": 4, "cache": str(top.parent / "cache"), **settings})


def built(top, out, **settings):
    return build_images(config_of(top, **settings), str(out))


def source_of(out):
    return read_built_folder(BuiltConfig(path=str(out)))


def refusal_of(top, out, **settings) -> str:
    with pytest.raises(DataError) as caught:
        built(top, out, **settings)
    return str(caught.value)


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


def test_another_form_in_the_same_folder_is_refused(top, tmp_path):
    built(top, tmp_path / "out")
    before = tree(tmp_path / "out")
    assert "holds images of size 4, rgb; asked for are 5, rgb" in refusal_of(top, tmp_path / "out", image_size=5)
    assert "asked for are 4, gray" in refusal_of(top, tmp_path / "out", color="gray")
    assert tree(tmp_path / "out") == before


def test_a_folder_with_something_else_is_refused(top, tmp_path):
    put(tmp_path / "thesis" / "chapter.tex", b"x")
    before = tree(tmp_path / "thesis")
    assert "holds something else (chapter.tex)" in refusal_of(top, tmp_path / "thesis")
    assert tree(tmp_path / "thesis") == before
    assert "not a folder" in refusal_of(top, tmp_path / "thesis" / "chapter.tex")
    put(tmp_path / "other" / "build.json", b'{"gulp": 1}')
    assert "damaged, or not of jaxal" in refusal_of(top, tmp_path / "other")


def test_the_data_folder_is_never_written_to(top, tmp_path):
    before = tree(top)
    (tmp_path / "link").symlink_to(top, target_is_directory=True)
    for out in (
        top,
        top / "out",
        top / "train" / "a" / "b",
        tmp_path / "link" / "out",
        tmp_path / "data" / ".." / "data",
    ):
        assert "lies in the data's own folder" in refusal_of(top, out)
    assert "lies in the data's own folder" in refusal_of(top / "train.csv", top / "train" / "out")
    built(top, tmp_path / "out")
    assert tree(top) == before
    assert "is a built folder itself" in refusal_of(tmp_path / "out", tmp_path / "two")


def test_two_processes_do_not_build_in_one_folder(top, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    with filelock.FileLock(out / ".lock"):
        assert "another process is building there" in refusal_of(top, out)
    assert built(top, out).manifest.num_images == NUM_IMAGES


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
        patch.setattr(image_shards.shutil, "disk_usage", lambda _: usage(10, 10, 22 * 48 - 1))
        assert "--out: " in refusal_of(top, tmp_path / "out")
    built(top, tmp_path / "out")
    (tmp_path / "out" / "images-00001.npy").unlink()
    monkeypatch.setattr(image_shards.shutil, "disk_usage", lambda _: usage(10, 10, 5 * 48))
    assert built(top, tmp_path / "out").num_made == 1


def test_an_interrupted_build_goes_on(top, tmp_path, monkeypatch):
    whole = built(top, tmp_path / "whole")
    monkeypatch.setattr(image_shards, "REPORT_EVERY", 1)

    def interrupt(done, total):
        if done == 13:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_images(config_of(top), str(tmp_path / "out"), interrupt)
    assert len(list((tmp_path / "out").glob("images-*.npy"))) == 2
    assert not list((tmp_path / "out").glob(".*.tmp"))
    result = built(top, tmp_path / "out")
    assert (result.num_made, result.manifest) == (3, whole.manifest)


KILLED = """
import os, random, signal, sys
from jaxal.config.data import ImagesConfig
from jaxal.data import cache_files, image_shards, shard_files
from jaxal.data.build import build_images

shard_files.SHARD_FILES, image_shards.REPORT_EVERY = 5, 1
folder, out, last = sys.argv[1], sys.argv[2], int(sys.argv[3])
number = 0

def event(*_):
    global number
    number += 1
    if number == last:
        os.kill(os.getpid(), signal.SIGKILL)

def before_and_after(function):
    def called(*arguments):
        event()
        result = function(*arguments)
        event()
        return result
    return called

os.replace, os.fsync = before_and_after(os.replace), before_and_after(os.fsync)
build_images(ImagesConfig(path=folder, image_size=4), out, event)
print(number)
"""


def run_killed(top, out, last: int) -> subprocess.CompletedProcess:
    words = [sys.executable, "-c", KILLED, str(top), str(out), str(last)]
    return subprocess.run(words, capture_output=True, text=True, check=False)


def test_kill_9_at_random_points_and_again_gives_the_same_bytes(top, tmp_path):
    whole = run_killed(top, tmp_path / "whole", 0)
    assert whole.returncode == 0, whole.stderr
    assert int(whole.stdout) > 50
    rng = np.random.default_rng(6)
    num_killed, outs = 0, [tmp_path / "out-0"]
    while num_killed < 10:
        # So early that it takes several runs to the end; then another folder is begun.
        run = run_killed(top, outs[-1], int(rng.integers(1, 30)))
        num_killed += run.returncode == -9
        if run.returncode == 0:
            outs.append(tmp_path / f"out-{len(outs)}")
    reference = built(top, tmp_path / "whole")
    assert reference.is_same
    names = sorted(path.name for path in (tmp_path / "whole").iterdir())
    for out in outs:
        assert built(top, out).manifest == reference.manifest
        assert sorted(path.name for path in out.iterdir()) == names
        for name in names:
            assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


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
