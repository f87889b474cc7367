import hashlib
import os

import pytest

from jaxal.errors import StoreError
from jaxal.store.files import make_folder, sha256_of, write_atomic, write_if_changed


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_write_atomic_replaces_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "new" / "deeper" / "table.csv"
    write_atomic(path, "a,β\r\n1,2\n")
    assert path.read_bytes() == "a,β\r\n1,2\n".encode()
    write_atomic(path, b"\x00\xff")
    assert path.read_bytes() == b"\x00\xff"
    assert names(path.parent) == ["table.csv"]


def test_new_files_follow_the_umask(tmp_path):
    (tmp_path / "plain").touch()
    write_atomic(tmp_path / "atomic", "x")
    assert (tmp_path / "atomic").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize("broken", ["replace", "fsync"])
def test_a_write_that_fails_keeps_the_old_content(tmp_path, monkeypatch, broken):
    path = tmp_path / "config.toml"
    write_atomic(path, "old")

    def fail(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, broken, fail)
        with pytest.raises(StoreError, match=r"cannot write .*config\.toml: No space left on device.*Free space"):
            write_atomic(path, "new")
    assert path.read_text() == "old"
    assert names(tmp_path) == ["config.toml"]


def test_a_file_where_a_folder_is_needed_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot write"):
        write_atomic(tmp_path / "file" / "below.txt", "x")


def test_write_if_changed_touches_nothing_when_equal(tmp_path):
    path = tmp_path / "results.csv"
    assert write_if_changed(path, "1\n")
    before = path.stat()
    assert not write_if_changed(path, "1\n")
    after = path.stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    assert write_if_changed(path, b"2\n")
    assert path.read_bytes() == b"2\n"


def test_sha256_of(tmp_path):
    data = os.urandom(300_000)
    (tmp_path / "blob").write_bytes(data)
    assert sha256_of(tmp_path / "blob") == hashlib.sha256(data).hexdigest()


def test_make_folder_makes_parents_and_may_exist(tmp_path):
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
