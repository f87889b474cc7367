"""Where a folder may be built, and what becomes of it when the build is stopped, killed, or not alone."""

import subprocess
import sys

import filelock
import pytest
from build_fixtures import NUM_IMAGES, TABLE, built, config_of, put_labeled_images, refusal_of
from image_fixtures import put
from test_bad_images import tree

from jaxal.data import image_shards, shard_files
from jaxal.data.build import build_images
from jaxal.data.check import check_data
from jaxal.data.readers.labeled_files import read_images
from jaxal.errors import DataError


@pytest.fixture
def top(tmp_path, monkeypatch):
    """Images with a table of labels, built in shards of five."""
    monkeypatch.setattr(shard_files, "SHARD_FILES", 5)
    return put_labeled_images(tmp_path / "data")


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


def test_further_image_folders_are_data_too_and_the_folder_of_a_table_is_not(top, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (top / "train").rename(elsewhere / "a")
    for folder in ("out", "a/out", "b/c/out"):
        message = refusal_of(top / "train.csv", elsewhere / folder, images=(str(elsewhere),))
        assert "lies in the data's own folder" in message
    put(top / "train.csv", TABLE.replace("ISIC_03,", "ISIC_99,").encode())  # one that is not there
    for folder in ("1", "2"):
        (top / "images" / folder).mkdir(parents=True)
    for path in sorted((elsewhere / "a").iterdir()):
        path.rename(top / "images" / str(1 + (path.stem > "ISIC_11")) / path.name)
    assert "lies in the data's own folder" in refusal_of(top / "train.csv", top / "images" / "out")
    assert built(top / "train.csv", top / "out", max_bad=1).manifest.num_images == NUM_IMAGES - 1


def test_a_folder_that_was_begun_is_known_for_what_it_is(top, tmp_path):
    out = tmp_path / "out"
    built(top, out)
    for name in ("manifest.csv", "manifest.json"):
        assert "a folder made by `jaxal data build`, not the image files" in refusal_of(out, tmp_path / "two")
        with pytest.raises(DataError, match='kind = "built"'):
            read_images(config_of(out))
        (out / name).unlink()
        with pytest.raises(DataError, match=rf"no {name} in it: .* never finished"):
            check_data(config_of(out))


def test_two_processes_do_not_build_in_one_folder(top, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    with filelock.FileLock(out / ".lock"):
        assert "another process is building there" in refusal_of(top, out)
    assert built(top, out).manifest.num_images == NUM_IMAGES


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
from jaxal.data import image_shards, shard_files
from jaxal.data.build import build_images

shard_files.SHARD_FILES, image_shards.REPORT_EVERY = 5, 1

def build_until(out, last):
    number = 0

    def event(*_):
        nonlocal number
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
    build_images(ImagesConfig(path=sys.argv[1], image_size=4), out, event)

def is_killed(out, last):
    child = os.fork()
    if child == 0:
        build_until(out, last)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, -signal.SIGKILL), code
    return code != 0

random.seed(6)
assert is_killed(sys.argv[2] + "-all", 50) and not is_killed(sys.argv[2] + "-whole", 0)
num_killed, number = 0, 0
while num_killed < 20:
    # So early that it takes several runs to the end; then another folder is begun.
    if is_killed(f"{sys.argv[2]}-{number}", random.randrange(1, 30)):
        num_killed += 1
    else:
        number += 1
"""


def test_kill_9_at_random_points_and_again_gives_the_same_bytes(top, tmp_path):
    words = [sys.executable, "-c", KILLED, str(top), str(tmp_path / "out")]
    run = subprocess.run(words, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    reference = built(top, tmp_path / "out-whole")
    assert reference.is_same
    names = sorted(path.name for path in reference.folder.iterdir())
    outs = sorted(tmp_path.glob("out-*"))
    assert len(outs) > 3
    for out in outs:
        assert built(top, out).manifest == reference.manifest
        assert sorted(path.name for path in out.iterdir()) == names
        for name in names:
            assert (out / name).read_bytes() == (reference.folder / name).read_bytes()
