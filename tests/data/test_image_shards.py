import hashlib
import json
import os
import threading
import time
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import numpy as np
import pytest
from image_fixtures import encoded, gradient, put, put_flat, quarters

from jaxal.data import cache_files, decoding_threads, image_shards, shard_files, threads
from jaxal.data.decoding import CANNOT_BE_READ, BadImageError
from jaxal.data.image_shards import cache_root, open_images
from jaxal.errors import DataError


@pytest.fixture
def paths(tmp_path):
    """Twelve images of gray levels 0, 10, …, and an empty file in fifth place."""
    files = [put_flat(tmp_path / "in" / f"{number}.png", 10 * number) for number in range(12)]
    return [*files[:4], put(tmp_path / "in" / "empty.png", b""), *files[4:]]


@pytest.fixture
def decoded_paths(monkeypatch):
    """The paths decoded since the start of the test."""
    seen = []
    decode = decoding_threads.decode_file

    def counting(path, **options):
        seen.append(path)
        return decode(path, **options)

    monkeypatch.setattr(decoding_threads, "decode_file", counting)
    return seen


def opened(paths, folder, *, size=4, color: Literal["rgb", "gray"] = "gray", on_images=None):
    return open_images(paths, size=size, color=color, cache_folder=str(folder), on_images=on_images)


def pixels_of(images):
    return images.read(np.arange(len(images.positions)))


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def only_folder(cache):
    (folder,) = cache.iterdir()
    return folder


ONE_SHARD = ["images-00000.json", "images-00000.npy"]


@pytest.fixture
def small_shards(monkeypatch):
    """Shards of five files: the thirteen paths fall into three."""
    monkeypatch.setattr(shard_files, "SHARD_FILES", 5)


def same(first, second):
    np.testing.assert_array_equal(pixels_of(first), pixels_of(second))
    np.testing.assert_array_equal(first.positions, second.positions)
    return first._replace(read=None, positions=None) == second._replace(read=None, positions=None)


def test_good_images_come_in_order_and_bad_ones_are_told(tmp_path, paths):
    images = opened(paths, tmp_path / "cache")
    assert images.image_shape == (4, 4, 1)
    pixels = pixels_of(images)
    assert pixels.dtype == np.uint8
    assert pixels.shape == (12, 4, 4, 1)
    np.testing.assert_array_equal(pixels[:, 0, 0, 0], 10 * np.arange(12))
    np.testing.assert_array_equal(images.positions, [0, 1, 2, 3, *range(5, 13)])
    assert images.problems == {4: "empty file"}
    with open(paths[0], "rb") as file:
        assert images.sha256[0] == hashlib.sha256(file.read()).hexdigest()
    assert images.sha256[4] == ""
    assert not images.conversions


def test_the_folder_holds_shards_and_what_is_known_of_them_and_nothing_else(tmp_path, paths):
    images = opened(paths, tmp_path / "cache", color="rgb")
    folder = only_folder(tmp_path / "cache")
    assert names(folder) == ONE_SHARD
    np.testing.assert_array_equal(np.load(folder / "images-00000.npy", allow_pickle=False), pixels_of(images))
    sidecar = json.loads((folder / "images-00000.json").read_text())["content"]
    assert sidecar["pixels_sha256"] == hashlib.sha256((folder / "images-00000.npy").read_bytes()).hexdigest()
    first = sidecar["files"][1]
    assert (first["name"], first["bytes"]) == (paths[1], os.path.getsize(paths[1]))
    assert first["conversions"] == ["gray to RGB"]
    assert (first["width"], first["height"]) == (4, 4)
    assert (first["sums"], first["squares"]) == ([160] * 3, [1600] * 3)
    time_of_change = os.stat(paths[4]).st_mtime_ns
    empty = {"name": paths[4], "bytes": 0, "mtime_ns": time_of_change, "problem": "empty file"}
    assert sidecar["files"][4] == empty


def test_the_second_opening_decodes_nothing_and_is_the_same(tmp_path, paths, decoded_paths):
    first = opened(paths, tmp_path / "cache", color="rgb")
    assert sorted(decoded_paths) == sorted(paths)
    calls = []
    second = opened(paths, tmp_path / "cache", color="rgb", on_images=lambda done, total: calls.append((done, total)))
    assert len(decoded_paths) == len(paths)
    assert calls == [(13, 13)]
    assert same(first, second)


def test_several_shards_are_as_one(tmp_path, paths, monkeypatch):
    whole = opened(paths, tmp_path / "whole")
    monkeypatch.setattr(shard_files, "SHARD_FILES", 5)
    assert same(whole, opened(paths, tmp_path / "cache"))
    folder = only_folder(tmp_path / "cache")
    assert names(folder) == [f"images-0000{number}.{end}" for number in range(3) for end in ("json", "npy")]
    lengths = [len(np.load(path)) for path in sorted(folder.glob("*.npy"))]
    assert lengths == [4, 5, 3]  # the empty file takes no place
    monkeypatch.setattr(shard_files, "SHARD_FILES", 4096)
    monkeypatch.setattr(shard_files, "SHARD_BYTES", 7 * 16)
    assert same(whole, opened(paths, tmp_path / "bytes"))
    assert len(list(only_folder(tmp_path / "bytes").glob("*.npy"))) == 2


def test_rows_are_read_in_any_order_and_as_often_as_asked(tmp_path, paths, small_shards):
    images = opened(paths, tmp_path / "cache")
    rows = np.random.default_rng(0).integers(0, 12, 200)
    np.testing.assert_array_equal(images.read(rows)[:, 2, 2, 0], 10 * rows)
    assert images.read(np.array([], np.int64)).shape == (0, 4, 4, 1)
    for wrong in (12, -1):
        with pytest.raises(IndexError, match="numbered 0 … 11"):
            images.read(np.array([0, wrong]))


def test_threads_read_the_same_rows(tmp_path, paths, small_shards):
    images = opened(paths, tmp_path / "cache")
    orders = [np.random.default_rng(seed).integers(0, 12, 100) for seed in range(40)]
    with ThreadPoolExecutor(8) as pool:
        for order, pixels in zip(orders, pool.map(images.read, orders), strict=True):
            np.testing.assert_array_equal(pixels[:, 0, 0, 0], 10 * order)


def test_a_shard_that_is_replaced_while_in_use_is_read_only_if_it_is_the_same(tmp_path, paths, small_shards):
    images = opened(paths, tmp_path / "cache")
    shard = only_folder(tmp_path / "cache") / "images-00001.npy"
    sound = shard.read_bytes()
    shard.unlink()
    shard.write_bytes(sound)
    np.testing.assert_array_equal(pixels_of(images)[:, 0, 0, 0], 10 * np.arange(12))
    for damaged in (sound[:-1] + b"x", sound[:-1], b""):
        shard.write_bytes(damaged)
        np.testing.assert_array_equal(images.read(np.arange(4))[:, 0, 0, 0], [0, 10, 20, 30])
        with pytest.raises(DataError, match=r"images-00001\.npy: changed or damaged while in use\. Run again"):
            images.read(np.array([0, 5]))
    shard.unlink()
    with pytest.raises(DataError, match=r"images-00001\.npy: cannot be read: No such file"):
        images.read(np.array([5]))


def test_mean_and_spread_are_those_of_all_pixels(tmp_path, small_shards):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (13, 8, 8, 3), dtype=np.uint8)
    pixels[..., 2] = 255
    paths = [put(tmp_path / "in" / f"{number}.png", encoded(image, "PNG")) for number, image in enumerate(pixels)]
    images = opened(paths, tmp_path / "cache", size=8, color="rgb")
    scaled = pixels.reshape(-1, 3) / 255
    assert images.mean == tuple(scaled.mean(0).round(3))
    assert images.std == (*scaled.std(0).round(3)[:2], 0.001)


def test_size_color_and_files_have_caches_of_their_own(tmp_path, paths, decoded_paths):
    opened(paths, tmp_path / "cache")
    assert opened(paths, tmp_path / "cache", size=3).image_shape == (3, 3, 1)
    assert opened(paths, tmp_path / "cache", color="rgb").image_shape == (4, 4, 3)
    assert pixels_of(opened(paths[:2], tmp_path / "cache")).shape == (2, 4, 4, 1)
    assert len(decoded_paths) == 3 * len(paths) + 2
    assert len(names(tmp_path / "cache")) == 4 * 3


def test_a_changed_file_is_decoded_again(tmp_path, paths):
    opened(paths, tmp_path / "cache")
    put_flat(tmp_path / "in" / "empty.png", 77)
    os.remove(paths[0])
    images = opened(paths, tmp_path / "cache")
    assert images.problems == {0: "missing"}
    assert pixels_of(images)[3, 0, 0, 0] == 77


def flip(path, position):
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)


DAMAGE = {
    "a flipped pixel": lambda folder: flip(folder / "images-00000.npy", -5),
    "a flipped bit of the header": lambda folder: flip(folder / "images-00000.npy", 20),
    "cut pixels": lambda folder: os.truncate(folder / "images-00000.npy", 150),
    "no pixels": lambda folder: (folder / "images-00000.npy").unlink(),
    "no sidecar": lambda folder: (folder / "images-00000.json").unlink(),
    "an empty sidecar": lambda folder: os.truncate(folder / "images-00000.json", 0),
    "a cut sidecar": lambda folder: os.truncate(folder / "images-00000.json", 300),
    "a flipped bit of the sidecar": lambda folder: flip(folder / "images-00000.json", 400),
    "a deep sidecar": lambda folder: (folder / "images-00000.json").write_text("[" * 100_000),
    "another sidecar": lambda folder: (folder / "images-00000.json").write_text('{"sha256": "", "content": 3}'),
    "a sidecar that is no text": lambda folder: (folder / "images-00000.json").write_bytes(b'{"sha256": "\xff\xfe"}'),
}


@pytest.mark.parametrize("damage", list(DAMAGE))
def test_a_damaged_cache_is_built_again(tmp_path, paths, decoded_paths, damage):
    first = np.array(pixels_of(opened(paths, tmp_path / "cache")))
    folder = only_folder(tmp_path / "cache")
    sound = (folder / "images-00000.npy").read_bytes(), (folder / "images-00000.json").read_bytes()
    DAMAGE[damage](folder)
    np.testing.assert_array_equal(pixels_of(opened(paths, tmp_path / "cache")), first)
    assert len(decoded_paths) == 2 * len(paths)
    assert ((folder / "images-00000.npy").read_bytes(), (folder / "images-00000.json").read_bytes()) == sound
    assert names(folder) == ONE_SHARD


@pytest.mark.parametrize("num_threads", [1, 2, 7])
def test_the_order_does_not_depend_on_the_threads(tmp_path, paths, monkeypatch, num_threads):
    decode = decoding_threads.decode_file
    others = threading.active_count()
    most = []

    def late_at_first(path, **options):
        time.sleep(0.02 if path == paths[0] else 0)
        most.append(threading.active_count() - others)
        return decode(path, **options)

    monkeypatch.setattr(decoding_threads, "decode_file", late_at_first)
    monkeypatch.setattr(os, "cpu_count", lambda: num_threads)
    images = opened(paths, tmp_path / "cache")
    np.testing.assert_array_equal(pixels_of(images)[:, 0, 0, 0], 10 * np.arange(12))
    assert max(most) <= num_threads


def test_progress_is_told_and_ends_at_all(tmp_path, monkeypatch, paths):
    monkeypatch.setattr(image_shards, "REPORT_EVERY", 5)
    calls = []
    opened(paths, tmp_path / "cache", on_images=lambda done, total: calls.append((done, total)))
    assert calls == [(5, 13), (10, 13), (13, 13)]


def test_an_interrupt_stops_promptly_and_leaves_no_cache(tmp_path, paths, decoded_paths, monkeypatch):
    monkeypatch.setattr(image_shards, "REPORT_EVERY", 1)
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    monkeypatch.setattr(threads, "WAITING_PER_THREAD", 2)

    def interrupt(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        opened(paths, tmp_path / "cache", on_images=interrupt)
    assert len(decoded_paths) <= 4  # one is reported, two wait, one may just have begun
    assert names(only_folder(tmp_path / "cache")) == []
    assert len(pixels_of(opened(paths, tmp_path / "cache"))) == 12


def test_a_second_builder_meanwhile_does_no_harm(tmp_path, paths, decoded_paths):
    others = []

    def build_too(done, total):
        others.append(opened(paths, tmp_path / "cache"))

    images = opened(paths, tmp_path / "cache", on_images=build_too)
    assert len(decoded_paths) == 2 * len(paths)
    for each in (images, *others, opened(paths, tmp_path / "cache")):
        np.testing.assert_array_equal(pixels_of(each)[:, 0, 0, 0], 10 * np.arange(12))
    assert len(decoded_paths) == 2 * len(paths)
    assert names(only_folder(tmp_path / "cache")) == ONE_SHARD


def test_what_a_killed_process_left_is_cleared_away_a_day_later(tmp_path, paths):
    opened(paths, tmp_path / "cache")
    folder = only_folder(tmp_path / "cache")
    (folder / "images-00000.json").unlink()
    for name, age in ((".images-00000.npy.1-a.tmp", 60), (".images-00000.npy.2-b.tmp", 2 * cache_files.ABANDONED)):
        (folder / name).touch()
        os.utime(folder / name, (time.time() - age, time.time() - age))
    opened(paths, tmp_path / "cache")
    assert names(folder) == [".images-00000.npy.1-a.tmp", "images-00000.json", "images-00000.npy"]


def test_a_file_that_changes_meanwhile_is_refused(tmp_path, paths, monkeypatch):
    decode = decoding_threads.decode_file

    def changing(path, **options):
        if path == paths[2]:
            put(tmp_path / "in" / "2.png", encoded(gradient(), "PNG"))
        return decode(path, **options)

    monkeypatch.setattr(decoding_threads, "decode_file", changing)
    with pytest.raises(DataError, match=r"1 file changed while being read: .*2\.png"):
        opened(paths, tmp_path / "cache")
    assert names(only_folder(tmp_path / "cache")) == []


def test_what_the_machine_would_not_read_is_tried_again(tmp_path, paths, monkeypatch):
    decode = decoding_threads.decode_file

    def failing(path, **options):
        if path == paths[1]:
            raise BadImageError(f"{CANNOT_BE_READ}Input/output error")
        return decode(path, **options)

    with monkeypatch.context() as patch:
        patch.setattr(decoding_threads, "decode_file", failing)
        images = opened(paths, tmp_path / "cache")
        assert images.problems == {1: "cannot be read: Input/output error", 4: "empty file"}
        assert len(images.positions) == 11
    assert opened(paths, tmp_path / "cache").problems == {4: "empty file"}


def test_nothing_but_bad_files_and_no_files(tmp_path):
    bad = put(tmp_path / "in" / "bad.png", b"x")
    for _ in range(2):
        images = opened([bad], tmp_path / "cache")
        assert pixels_of(images).shape == (0, 4, 4, 1)
        assert images.problems == {0: "not an image of a known format"}
    assert pixels_of(opened([], tmp_path / "cache")).shape == (0, 4, 4, 1)


def test_a_full_disk_is_refused_before_and_while_writing(tmp_path, paths, monkeypatch):
    with monkeypatch.context() as patch:
        usage = namedtuple("usage", "total used free")
        patch.setattr(cache_files.shutil, "disk_usage", lambda _: usage(10, 10, 207))
        with pytest.raises(DataError, match=r"data\.source\.cache: .* needs 0 MB .* 0 MB are free"):
            opened(paths, tmp_path / "cache")

    def full(_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(DataError, match=r"data\.source\.cache: cannot write to .*cache: No space left on device"):
            opened(paths, tmp_path / "cache")
    assert names(only_folder(tmp_path / "cache")) == []


def test_a_cache_folder_that_cannot_be_made_is_refused(tmp_path, paths):
    put(tmp_path / "file", b"")
    with pytest.raises(DataError, match=r"cannot write to .*file: .*Set data\.source\.cache"):
        opened(paths, tmp_path / "file")


def test_where_caches_lie(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_root("") == tmp_path / "xdg" / "jaxal" / "images"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_root("") == tmp_path / "home" / ".cache" / "jaxal" / "images"
    assert cache_root("~/mine") == tmp_path / "home" / "mine"
    monkeypatch.chdir(tmp_path)
    assert cache_root("here") == tmp_path / "here"


def test_without_a_home_the_setting_is_named(monkeypatch):
    def homeless(_=None):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(image_shards.Path, "home", homeless)
    with pytest.raises(DataError, match=r"data\.source\.cache: this user has no home"):
        cache_root("")


def test_paths_that_are_not_utf8_and_relative_ones(tmp_path, monkeypatch):
    put(tmp_path / os.fsdecode(b"odd-\xff") / "x.png", encoded(quarters(), "PNG"))
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        images = opened([os.path.join(os.fsdecode(b"odd-\xff"), "x.png")], tmp_path / "cache", size=32, color="rgb")
        np.testing.assert_array_equal(pixels_of(images)[0], quarters())
