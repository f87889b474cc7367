"""The patches of a made archive, without a network."""

import csv
import hashlib
import io
import sys
import tarfile
import urllib.error

import numpy as np
import prepare_dermoscopy_patches as script
import pytest
from PIL import Image


def patch(number):
    return np.random.default_rng(number).integers(0, 256, (8, 6, 3), dtype=np.uint8)


def add(archive, name, data):
    member = tarfile.TarInfo(name)
    member.size = len(data)
    archive.addfile(member, io.BytesIO(data))


def made_archive():
    """Make two lesions of ten pairs: pair 0 was not shifted, pair 15 is a copy from the other lesion."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        add(archive, "../../outside.bmp", b"not to be written")
        link = tarfile.TarInfo("link.csv")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
        for pair in range(20):
            is_similar = pair % 10 < 5
            folder = "Similar" if is_similar else "nonSimilar"
            second = patch(0) if pair == 15 else patch(1000 + pair) if is_similar and pair else patch(pair)
            for letter, pixels in (("a", patch(pair)), ("b", second)):
                data = io.BytesIO()
                Image.fromarray(pixels).save(data, "BMP")
                add(archive, f"{script.TOP}patchesDataSet/{folder}/patch{pair}{letter}.bmp", data.getvalue())
        add(archive, f"{script.TOP}TextureScores.csv", b",Labels,Texture score 0\n0,2,.5\n1,0,.5\n2,1,.5\n")
    return out.getvalue()


@pytest.fixture
def archive(tmp_path, monkeypatch):
    data = made_archive()
    (tmp_path / "given.tar.gz").write_bytes(data)
    monkeypatch.setattr(script, "SHA256", hashlib.sha256(data).hexdigest())
    monkeypatch.setattr(script, "NUM_LESIONS", 2)
    monkeypatch.setattr(script, "ROW_WITHOUT_PATCHES", 1)
    return tmp_path / "given.tar.gz"


def prepare(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["prepare_dermoscopy_patches.py", *map(str, words)])
    script.main()


def test_distinct_patches_with_the_labels_of_their_lesions(archive, tmp_path, monkeypatch, capsys):
    prepare(monkeypatch, tmp_path / "out", "--archive", archive)
    with open(tmp_path / "out" / "patches.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 20 + 10 - 1  # every drawn one, every shifted one but the one that was not
    assert {(row["group"], row["label"]) for row in rows} == {("lesion-000", "asymmetric"), ("lesion-001", "symmetric")}
    assert sum(row["kind"] == "shifted" for row in rows) == 9
    for row in rows:
        number = int(row["image"][8:12]) + 1000 * (row["kind"] == "shifted")
        assert np.array_equal(np.asarray(Image.open(tmp_path / "out" / row["image"])), patch(number))
    assert (
        "29 distinct patches of 2 lesions (14 of asymmetric lesions, 15 of symmetric lesions)"
        in capsys.readouterr().out
    )
    assert {path.name for path in tmp_path.iterdir()} == {"given.tar.gz", "out"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"patches", "patches.csv"}


def test_again_it_restores_what_is_missing_or_damaged_and_touches_nothing_else(archive, tmp_path, monkeypatch):
    out = tmp_path / "out"
    prepare(monkeypatch, out, "--archive", archive)
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in out.rglob("*") if path.is_file()}
    lost, torn = out / "patches" / "0003a.png", out / "patches" / "0012b.png"
    lost.unlink()
    torn.write_bytes(torn.read_bytes()[:40])
    prepare(monkeypatch, out, "--archive", archive)
    assert {path for path in out.rglob("*") if path.is_file()} == set(before)
    for path, (data, changed) in before.items():
        assert path.read_bytes() == data
        assert path in (lost, torn) or path.stat().st_mtime_ns == changed


def test_it_is_fetched_once_and_kept(archive, tmp_path, monkeypatch, capsys):
    asked = []

    def urlopen(address, timeout):
        asked.append(address)
        return io.BytesIO(archive.read_bytes())

    monkeypatch.setattr("urllib.request.urlopen", urlopen)
    prepare(monkeypatch, tmp_path / "out")
    prepare(monkeypatch, tmp_path / "out")
    assert asked == [script.ADDRESS]
    (tmp_path / "out" / script.ARCHIVE).write_bytes(b"torn")
    prepare(monkeypatch, tmp_path / "out")
    assert len(asked) == 2
    assert "damaged; fetching it again" in capsys.readouterr().err


def test_no_network_and_another_archive_are_refused(archive, tmp_path, monkeypatch):
    def urlopen(address, timeout):
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr("urllib.request.urlopen", urlopen)
    with pytest.raises(SystemExit, match=r"cannot be fetched: Name or service not known\. Download .* by --archive"):
        prepare(monkeypatch, tmp_path / "out")
    archive.write_bytes(archive.read_bytes()[:-1])
    with pytest.raises(SystemExit, match=r"given\.tar\.gz: \d+ bytes with SHA-256 .*: truncated, or another"):
        prepare(monkeypatch, tmp_path / "out", "--archive", archive)
    with pytest.raises(SystemExit, match="No such file"):
        prepare(monkeypatch, tmp_path / "out", "--archive", tmp_path / "none.tar.gz")
    assert not (tmp_path / "out").exists()
