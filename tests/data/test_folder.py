import os
import re

import numpy as np
import pytest
from image_fixtures import encoded, gradient, put, put_flat, quarters, stored, with_exif
from PIL import Image

from jaxal.config.data import FolderConfig
from jaxal.data.readers.folder import read_folder
from jaxal.errors import DataError


@pytest.fixture
def top(tmp_path):
    """Two classes, one with a sub-folder: gray levels 10, 20 and 30, 40."""
    folder = tmp_path / "pets"
    for name, value in {"dog/b.PNG": 40, "cat/x/a.png": 20, "cat/a.png": 10, "dog/a.bmp": 30}.items():
        put(folder / name, encoded(np.full((6, 5), value, np.uint8), "BMP" if name.endswith("bmp") else "PNG"))
    return folder


def config_of(folder, **settings) -> FolderConfig:
    defaults = {"image_size": 4, "color": "gray", "cache": str(folder.parent / "cache")}
    return FolderConfig(path=str(folder), **{**defaults, **settings})


def refused(folder, **settings) -> str:
    with pytest.raises(DataError) as caught:
        read_folder(config_of(folder, **settings))
    return str(caught.value)


def test_a_folder_per_class(top):
    source = read_folder(config_of(top))
    assert source.ids.tolist() == ["cat/a.png", "cat/x/a.png", "dog/a.bmp", "dog/b.PNG"]
    assert source.class_names == ("cat", "dog")
    assert source.labels.dtype == np.int32
    assert source.labels.tolist() == [0, 0, 1, 1]
    assert source.image_shape == (4, 4, 1)
    assert source.groups is None
    assert source.parts is None
    assert dict(source.columns) == {}
    assert source.notes == ()
    images = source.read(np.array([3, 0]))
    assert images.dtype == np.uint8
    assert images[:, 1, 1, 0].tolist() == [40, 10]
    images[:] = 0  # a copy
    assert source.read(np.array([3]))[0, 0, 0, 0] == 40
    assert source.mean == (round(25 / 255, 3),)
    assert source.std == (round(float(np.std([10, 20, 30, 40])) / 255, 3),)


def test_mean_and_spread_are_per_channel_and_never_zero(tmp_path):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)
    pixels[..., 2] = 51
    for number, image in enumerate(pixels):
        put(tmp_path / "t" / "ab"[number % 2] / f"{number}.png", encoded(image, "PNG"))
    source = read_folder(config_of(tmp_path / "t", image_size=8, color="rgb"))
    scaled = pixels.reshape(-1, 3) / 255
    np.testing.assert_allclose(source.mean, scaled.mean(0), atol=6e-4)
    np.testing.assert_allclose(source.std[:2], scaled.std(0)[:2], atol=6e-4)
    assert source.mean[2] == 0.2
    assert source.std[2] == 0.001


def test_the_fingerprint_tells_contents_and_not_places(top, tmp_path):
    first = read_folder(config_of(top)).fingerprint
    assert read_folder(config_of(top)).fingerprint == first
    os.rename(top, tmp_path / "moved")
    moved = tmp_path / "moved"
    assert read_folder(config_of(moved)).fingerprint == first
    seen = {first, read_folder(config_of(moved, image_size=5)).fingerprint}
    put_flat(moved / "dog" / "b.PNG", 41)
    seen.add(read_folder(config_of(moved)).fingerprint)
    os.rename(moved / "dog" / "b.PNG", moved / "dog" / "c.png")
    seen.add(read_folder(config_of(moved)).fingerprint)
    os.rename(moved / "dog", moved / "hound")
    seen.add(read_folder(config_of(moved)).fingerprint)
    assert len(seen) == 5


def test_parts_are_known_by_their_names(tmp_path):
    top = tmp_path / "parts"
    for name in ("Training/b/1.png", "Training/a/1.png", "val/a/2.png", "TEST/c/3.png"):
        put_flat(top / name, 9)
    source = read_folder(config_of(top))
    assert source.ids.tolist() == ["TEST/c/3.png", "Training/a/1.png", "Training/b/1.png", "val/a/2.png"]
    assert source.class_names == ("a", "b", "c")
    assert source.labels.tolist() == [2, 0, 1, 0]
    assert source.parts is not None
    assert source.parts.tolist() == ["test", "train", "train", "validation"]


def test_folders_that_are_not_clearly_parts_are_refused(tmp_path):
    for name in ("train/a/1.png", "test/a/1.png", "masks/a/1.png"):
        put_flat(tmp_path / "t" / name, 9)
    assert re.search("has the parts test, train and beside them masks: .*Move", refused(tmp_path / "t"))
    os.rename(tmp_path / "t" / "masks", tmp_path / "t" / "Training")
    assert "several folders for one part: Training, test, train. Join them." in refused(tmp_path / "t")


def test_one_folder_with_the_name_of_a_part_is_a_class(tmp_path):
    put_flat(tmp_path / "t" / "test" / "1.png", 9)
    put_flat(tmp_path / "t" / "control" / "1.png", 9)
    source = read_folder(config_of(tmp_path / "t"))
    assert source.class_names == ("control", "test")
    assert source.parts is None


def test_hidden_names_are_ignored_and_other_files_counted(top):
    for name in (".git/x.png", "cat/.x.png", "cat/.thumbs/x.png", ".DS_Store"):
        put_flat(top / name, 1)
    for name in ("README.md", "cat/notes.txt", "cat/x/Thumbs.db", "dog/mask.npy"):
        put(top / name, b"text")
    source = read_folder(config_of(top))
    assert len(source.ids) == 4
    assert source.notes == ("4 not read, no images by their names: README.md, cat/notes.txt, cat/x/Thumbs.db, …",)


def test_links_to_folders_are_not_followed_and_links_to_files_are(top):
    (top / "cat" / "x" / "loop").symlink_to(top, target_is_directory=True)
    (top / "cat" / "again.png").symlink_to(top / "dog" / "b.PNG")
    source = read_folder(config_of(top))
    assert source.ids.tolist()[:3] == ["cat/a.png", "cat/again.png", "cat/x/a.png"]
    assert source.read(np.array([1]))[0, 0, 0, 0] == 40
    assert source.notes == (
        "1 link to a folder not followed: cat/x/loop",
        "1 image is a copy of another, 1 of them with another label: dog/b.PNG = cat/again.png",
    )
    (top / "bird").symlink_to(top / "dog", target_is_directory=True)
    assert "1 × link to a folder, which is not followed: bird" in refused(top)


def test_odd_names_are_read(tmp_path):
    names = ["with space", "ünïcode 図", "new\nline", "-dash", "com,ma", "quo'te\""]
    for number, name in enumerate(names):
        put_flat(tmp_path / "t" / name / f"{name}.png", number)
    source = read_folder(config_of(tmp_path / "t"))
    assert source.class_names == tuple(sorted(names))
    assert source.ids.tolist() == [f"{name}/{name}.png" for name in sorted(names)]
    assert source.read(np.arange(6))[:, 0, 0, 0].tolist() == [names.index(name) for name in sorted(names)]


def add_bad(top) -> None:
    put(top / "cat" / "empty.jpg", b"")
    put(top / "cat" / "page.jpg", b"<html>")
    put(top / "dog" / "page two\n.jpg", b"<html>")
    (top / "dog" / "broken.jpg").symlink_to("none.jpg")
    put_flat(top / "dog" / os.fsdecode(b"\xff.png"), 3)


def test_bad_files_are_refused_all_at_once(top):
    add_bad(top)
    message = refused(top, max_bad=4)
    assert message.splitlines() == [
        f"data.source.path: {top}: 5 of 9 images cannot be used, 4 may be left out: 5 problems",
        "  2 × not an image of a known format: cat/page.jpg, 'dog/page two\\n.jpg'",
        "  1 × broken link: dog/broken.jpg",
        "  1 × empty file: cat/empty.jpg",
        "  1 × file name is not UTF-8: 'dog/\\udcff.png'",
        "Repair or remove them, or leave them out with data.source.max_bad = 5.",
    ]


def test_as_many_bad_files_as_allowed_are_left_out_and_told(top):
    clean = read_folder(config_of(top))
    add_bad(top)
    source = read_folder(config_of(top, max_bad=5))
    assert source.ids.tolist() == clean.ids.tolist()
    assert source.fingerprint == clean.fingerprint
    np.testing.assert_array_equal(source.read(np.arange(4)), clean.read(np.arange(4)))
    assert source.notes == (
        "2 images were left out, not an image of a known format: cat/page.jpg, 'dog/page two\\n.jpg'",
        "1 image was left out, broken link: dog/broken.jpg",
        "1 image was left out, empty file: cat/empty.jpg",
        "1 image was left out, file name is not UTF-8: 'dog/\\udcff.png'",
    )


def test_a_class_that_would_be_lost_is_refused(top):
    put(top / "bird" / "1.jpg", b"")
    message = refused(top, max_bad=100)
    assert "no image can be used of 1 classes (bird)" in message
    assert "1 × empty file: bird/1.jpg" in message


def test_conversions_are_told(top):
    put(top / "cat" / "cmyk.jpg", encoded(Image.new("CMYK", (8, 8)), "JPEG"))
    put(top / "cat" / "deep.png", encoded(np.zeros((4, 4), np.uint16), "PNG"))
    for number in (6, 8):
        put(top / "dog" / f"{number}.jpg", encoded(stored(number, quarters()), "JPEG", exif=with_exif(number)))
    put(top / "dog" / "named.gif", encoded(gradient(8, 8), "PNG"))
    assert read_folder(config_of(top)).notes == (
        "images were converted: 2 turned upright by EXIF, 1 CMYK to RGB, 1 16 bits to 8, 1 named as GIF but PNG",
    )
    notes = read_folder(config_of(top, color="rgb")).notes
    assert len(notes) == 1
    assert "6 gray to RGB" in notes[0]


def test_where_all_images_are_gray_nothing_is_said_of_it(top):
    assert read_folder(config_of(top, color="rgb")).notes == ()


def test_other_layouts_are_refused_with_the_layout(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    message = refused(tmp_path / "none")
    assert str(tmp_path / "none") in message
    with pytest.raises(DataError, match=rf"'here/x': no such folder; looked at {tmp_path}/here/x \(current directory"):
        read_folder(FolderConfig(path="here/x", cache=str(tmp_path / "cache")))
    flat = tmp_path / "flat"
    for number in range(5):
        put_flat(flat / f"{number}.png", number)
    message = refused(flat)
    assert "5 × image that lies in no class folder: 0.png, 1.png, 2.png, …" in message
    assert f"such as {flat}/cat/1.jpg" in message
    (tmp_path / "empty").mkdir()
    assert "1 × no class folders in it: ." in refused(tmp_path / "empty")


def test_a_class_without_images_and_an_unreadable_folder_are_refused(top, monkeypatch):
    (top / "bird").mkdir()
    put(top / "fish" / "notes.txt", b"")
    assert "2 × class folder without an image: bird, fish" in refused(top)
    scandir = os.scandir

    def refuse(path):
        if os.path.basename(path) == "x":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert "1 × folder that cannot be read: Permission denied: cat/x" in refused(top)


def test_progress_is_passed_on(top):
    calls = []
    read_folder(config_of(top), on_images=lambda done, total: calls.append((done, total)))
    assert calls == [(4, 4)]
