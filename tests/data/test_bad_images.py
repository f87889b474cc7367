"""Each kind of image file that goes wrong, through `data check` and `data build`: what comes of it, by name.

RECOVER: used as if nothing were odd, and said where pixels were converted. DEGRADE: listed, counted and left out up to
max_bad. REFUSE: exit 1 with the file and the kind, nothing built. The user's folder stays as it is, byte for byte.
"""

import builtins
import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
from image_fixtures import bomb, encoded, gradient, put, put_flat, quarters, stored, with_exif
from PIL import Image

from jaxal.config.data import BuiltConfig, ImagesConfig
from jaxal.data.build import build_images
from jaxal.data.check import check_data
from jaxal.data.readers.built import read_built_folder
from jaxal.errors import DataError

ANIMATION = [Image.new("RGB", (8, 8), (level, 0, 0)) for level in (0, 100, 200)]
TEXTURE = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)


def zeroed_sector() -> bytes:
    data = bytearray(encoded(TEXTURE, "JPEG", quality=95))
    data[3072:4096] = bytes(1024)
    return bytes(data)


# Name of the file, its bytes, and the kind of problem that it is.
DEGRADE = {
    "truncated": ("x.jpg", encoded(gradient(), "JPEG")[:-200], "truncated or damaged"),
    "truncated PNG": ("x.png", encoded(gradient(), "PNG")[:-60], "truncated or damaged"),
    "zeroed sector": ("x.jpg", zeroed_sector(), "truncated or damaged"),
    "empty": ("x.jpg", b"", "empty file"),
    "HTML named .jpg": ("x.jpg", b"<html><body>404</body></html>", "not an image of a known format"),
    "animated": (
        "x.gif",
        encoded(ANIMATION[0], "GIF", save_all=True, append_images=ANIMATION[1:]),
        "animated, or of several pages",
    ),
    "bomb": ("x.jpg", bomb(), "more than 89 megapixels"),
    "1×1": ("x.png", encoded(gradient(1, 1), "PNG"), "smaller than 2 pixels a side"),
    "name not UTF-8": (os.fsdecode(b"x-\xff.png"), encoded(quarters(), "PNG"), "file name is not UTF-8"),
}
RECOVER = {
    "PNG named .jpg": ("x.jpg", encoded(quarters(), "PNG"), "1 named as JPEG but PNG"),
    "CMYK": ("x.jpg", encoded(Image.fromarray(quarters()).convert("CMYK"), "JPEG", quality=95), "1 CMYK to RGB"),
    "gray": ("x.png", encoded(gradient(32, 32), "PNG"), "1 gray to RGB"),
    "16-bit": ("x.png", encoded(gradient(32, 32).astype(np.uint16) * 257, "PNG"), "1 16 bits to 8, 1 gray to RGB"),
    "EXIF-rotated": (
        "x.jpg",
        encoded(stored(6, quarters()), "JPEG", quality=95, exif=with_exif(6)),
        "1 turned upright by EXIF",
    ),
    "space": ("with space.png", encoded(quarters(), "PNG"), ""),
    "Unicode": ("ünïcode 図.png", encoded(quarters(), "PNG"), ""),
    "newline": ("new\nline.png", encoded(quarters(), "PNG"), ""),
    "leading dash": ("-dash.png", encoded(quarters(), "PNG"), ""),
    "quote and comma": ('quo"te, "comma".png', encoded(quarters(), "PNG"), ""),
}


@pytest.fixture
def top(tmp_path):
    """Two classes of two good images each."""
    for number in range(4):
        picture = np.full((32, 32, 3), 40 * number, np.uint8)
        put(tmp_path / "pets" / ("cat", "dog")[number % 2] / f"{number}.png", encoded(picture, "PNG"))
    return tmp_path / "pets"


def config_of(top, **settings) -> ImagesConfig:
    return ImagesConfig(path=str(top), image_size=32, **settings)


def tree(folder: Path) -> list[tuple]:
    """Return all that a folder is: names, bytes, times of change."""
    found = []
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        content = "" if path.is_symlink() or not path.is_file() else hashlib.sha256(path.read_bytes()).hexdigest()
        found.append((os.fsencode(path), status.st_mtime_ns, status.st_size, status.st_mode, content))
    return found


def refusal_of(top, out, **settings) -> str:
    with pytest.raises(DataError) as caught:
        build_images(config_of(top, **settings), str(out))
    return str(caught.value)


def check_left_out(top, out, kind) -> None:
    """Check that one file is reported by check, refused by build, and left out where one may be."""
    before = tree(top)
    report = check_data(config_of(top))
    assert [problem.kind for problem in report.problems] == [kind]
    assert f"1 × {kind}" in refusal_of(top, out)
    assert not (out / "manifest.json").exists()
    result = build_images(config_of(top, max_bad=1), str(out))
    assert [each.reason for each in result.manifest.excluded] == [kind]
    assert kind in (out / "bad_images.csv").read_text()
    source = read_built_folder(BuiltConfig(path=str(out)))
    assert len(source.ids) == 4
    assert any(f"1 image was left out, {kind}" in note for note in source.notes)
    assert tree(top) == before


@pytest.mark.parametrize("fault", list(DEGRADE))
def test_refused_or_left_out_and_listed(top, tmp_path, fault):
    name, data, kind = DEGRADE[fault]
    put(top / "cat" / name, data)
    check_left_out(top, tmp_path / "out", kind)


@pytest.mark.parametrize("fault", list(RECOVER))
def test_used_and_told(top, tmp_path, fault):
    name, data, note = RECOVER[fault]
    put(top / "cat" / name, data)
    before = tree(top)
    report = check_data(config_of(top))
    assert report.problems == ()
    assert [each for each in report.notes if "converted" in each] == (
        ["images were converted: " + note] if note else []
    )
    build_images(config_of(top), str(tmp_path / "out"))
    source = read_built_folder(BuiltConfig(path=str(tmp_path / "out")))
    assert len(source.ids) == 5
    assert any(note in each for each in source.notes)
    if fault not in ("gray", "16-bit"):
        (position,) = set(range(5)) - {source.ids.tolist().index(str(number)) for number in range(4)}
        pixels = source.read(np.array([position]))[0]
        np.testing.assert_allclose(
            pixels[[3, 3, -4, -4], [3, -4, 3, -4]].astype(int), quarters(2).reshape(4, 3), atol=8
        )
    assert tree(top) == before


def test_unreadable_is_left_out_and_tried_again(top, tmp_path, monkeypatch):
    put_flat(top / "cat" / "x.png", 1)
    opened = builtins.open

    def refuse(path, *args, **options):
        if str(path).endswith("x.png"):  # tests may run as root, whom no mode keeps out
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(builtins, "open", refuse)
        check_left_out(top, tmp_path / "out", "cannot be read: Permission denied")
    result = build_images(config_of(top), str(tmp_path / "other"))
    assert result.manifest.num_images == 5


def test_missing_is_left_out(top, tmp_path):
    put(top / "labels.csv", b"image,label\n0,cat\n1,dog\n2,cat\n3,dog\n4,dog\n")
    check_left_out(top, tmp_path / "out", "missing")


def test_a_file_in_a_folder_without_a_utf8_name_is_left_out(top, tmp_path):
    put_flat(top / os.fsdecode(b"\xff") / "x.png", 1)
    put(top / "labels.csv", b"image,label\n0,cat\n1,dog\n2,cat\n3,dog\nx,dog\n")
    check_left_out(top, tmp_path / "out", "file name is not UTF-8")


def test_a_link_in_a_loop_is_left_out(top, tmp_path):
    (top / "cat" / "x.png").symlink_to("x.png")
    check_left_out(top, tmp_path / "out", "broken link")


@pytest.mark.parametrize("is_table", [False, True])
def test_a_folder_in_the_place_of_a_file_is_left_out(top, tmp_path, is_table):
    put_flat(top / "cat" / "scans.png" / "level" / "0.png", 7)  # a folder of images, whatever its name
    (top / "cat" / "x.png").mkdir()
    if is_table:
        names = [path.relative_to(top).as_posix() for path in sorted(top.rglob("*.png")) if path.name != "scans.png"]
        put(top / "labels.csv", ("image,label\n" + "".join(f"{name},{name[:3]}\n" for name in names)).encode())
    kinds = [(problem.where, problem.kind) for problem in check_data(config_of(top)).problems]
    assert kinds == [("cat/x.png", "a folder, not a file")]


def test_folders_in_a_loop_are_not_followed(top, tmp_path):
    (top / "cat" / "loop").symlink_to(top, target_is_directory=True)
    before = tree(top)
    assert check_data(config_of(top)).num_images == 4
    assert build_images(config_of(top), str(tmp_path / "out")).manifest.num_images == 4
    assert tree(top) == before


def test_a_flipped_bit_against_the_manifest_is_refused(top, tmp_path):
    out = tmp_path / "out"
    build_images(config_of(top), str(out))
    path = top / "cat" / "2.png"
    status = path.stat()
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))  # neither time nor length tells
    before = tree(out)
    report = check_data(config_of(out))
    assert [tuple(problem) for problem in report.problems] == [("cat/2.png", "image file that changed since")]
    message = refusal_of(top, out)
    assert "was built from other data" in message
    assert "1 × image file that changed since: cat/2.png" in message
    assert tree(out) == before


def test_what_changed_between_two_runs_is_told_by_the_fingerprint(top, tmp_path):
    out = tmp_path / "out"
    build_images(config_of(top), str(out))
    first = read_built_folder(BuiltConfig(path=str(out))).fingerprint
    put_flat(top / "cat" / "2.png", 99)
    assert "1 × image file that changed since: cat/2.png" in refusal_of(top, out)
    assert read_built_folder(BuiltConfig(path=str(out))).fingerprint == first  # what was built stays what it was
    build_images(config_of(top), str(tmp_path / "again"))
    assert read_built_folder(BuiltConfig(path=str(tmp_path / "again"))).fingerprint != first


def test_all_problems_of_a_data_set_come_in_one_report(top):
    put(top / "labels.csv", b"image,label\n0,cat\n1,\n2,cat\n3,dog\n4,dog\npage,dog\n")
    put(top / "cat" / "page.png", b"<html>")
    report = check_data(config_of(top))
    kinds = {problem.kind for problem in report.problems}
    assert {"missing", "not an image of a known format"} < kinds
    assert any("label" in kind or "class" in kind for kind in kinds - {"missing"})
