"""`jaxal data check` and `jaxal data build` on the command line: exit codes, what is printed where, and the time."""

import signal
import struct
import subprocess
import sys
from typing import Any

import msgspec
import numpy as np
import pytest

from jaxal import data_commands
from jaxal.cli import main
from jaxal.config.data import BuiltConfig, DataConfig
from jaxal.data.dataset import load_source


def picture(level: int) -> bytes:
    return b"P5 4 4 255\n" + bytes([level] * 16)


@pytest.fixture
def pets(tmp_path, monkeypatch):
    """Ten images of two classes, in an otherwise empty current folder."""
    monkeypatch.chdir(tmp_path)
    for number in range(10):
        path = tmp_path / "pets" / ("cat", "dog")[number % 2] / f"{number}.pgm"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(number))
    return tmp_path / "pets"


def said(capsys, words: list[str], code: int) -> tuple[str, str]:
    assert main(words) == code
    captured = capsys.readouterr()
    return captured.out, captured.err


BUILD = ["data", "build", "pets", "--size", "4", "--out", "out"]


def test_check_says_what_is_there(pets, capsys):
    out, err = said(capsys, ["data", "check", "pets"], 0)
    assert out.splitlines()[1:4] == ["images: 10", "classes: cat 5, dog 5", "groups: none"]
    assert out.endswith("nothing wrong found\n")
    assert err == ""
    assert sorted(path.name for path in pets.parent.iterdir()) == ["pets"]


def test_check_tells_all_problems_and_ends_with_1(pets, capsys):
    (pets / "cat" / "a.jpg").write_bytes(b"")
    (pets / "dog" / "b.jpg").write_bytes(b"<html>")
    (pets / "dog" / "c.jpg").write_bytes(b"<html>")
    out, err = said(capsys, ["data", "check", "pets"], 1)
    assert "images: 13" in out
    assert err.splitlines()[:3] == [
        "jaxal: pets: 3 problems",
        "  2 × not an image of a known format: dog/b.jpg, dog/c.jpg",
        "  1 × empty file: cat/a.jpg",
    ]


def test_build_then_again_then_a_study_reads_it(pets, capsys):
    words = [*BUILD[:-1], 'a "\\" folder']
    out, _ = said(capsys, words, 0)
    assert "10 images of size 4, rgb, in 1 shards" in out
    assert 'kind = "built", path = "' in out
    assert "is complete: every shard and every image file is as it was" in said(capsys, words, 0)[0]
    assert "nothing wrong found" in said(capsys, ["data", "check", words[-1]], 0)[0]
    text = out.splitlines()[-1].partition("[data.source]")[2].strip().replace(", path", "\npath")
    source = load_source(DataConfig(source=msgspec.toml.decode(text, type=BuiltConfig)))
    assert source.read(np.arange(10))[:, 0, 0, 0].tolist() == list(range(10))


def test_build_refuses_bad_images_and_leaves_out_as_many_as_allowed(pets, capsys):
    (pets / "cat" / "a.jpg").write_bytes(b"")
    _, err = said(capsys, BUILD, 1)
    assert "1 × empty file: a" in err
    assert "--max-bad 1" in err
    out, _ = said(capsys, [*BUILD, "--max-bad", "1"], 0)
    assert "1 images left out, listed in " in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["data", "build", "pets", "--size", "0", "--out", "out"], "--size: Expected `int` >= 1"),
        (["data", "build", "pets", "--size", "5000", "--out", "out"], "--size: Expected `int` <= 4096"),
        (["data", "build", "pets", "--size", "4", "--out", ""], "--out: expected a folder, got ''"),
        ([*BUILD, "--max-bad", "-1"], "--max-bad: Expected `int` >= 0"),
        (["data", "build", "pets", "--out", "out"], "size"),
        (["data", "build", "pets", "--size", "4"], "out"),
        (["data", "check"], "STR"),
        (["data"], "check"),
        (["data", "check", "pets", "--color", "blue"], "blue"),
    ],
)
def test_what_is_not_understood_ends_with_2(pets, capsys, words, message):
    out, err = said(capsys, words, 2)
    assert message.lower() in (out + err).lower()
    assert not (pets.parent / "out").exists()


@pytest.mark.parametrize("path", ["none", "empty"])
def test_what_is_not_there_ends_with_1(pets, capsys, path):
    (pets.parent / "empty").mkdir()
    for words in (["data", "check", path], ["data", "build", path, "--size", "4", "--out", "out"]):
        _, err = said(capsys, words, 1)
        assert err.startswith("jaxal: ")
        assert path in err
    assert not (pets.parent / "out").exists()


def test_arrays_are_checked_and_not_built(pets, capsys):
    arrays: dict[str, Any] = {f"{part}_images": np.zeros((4, 28, 28), np.uint8) for part in ("train", "val", "test")}
    arrays |= {f"{part}_labels": np.array([[0], [1], [0], [1]], np.uint8) for part in ("train", "val", "test")}
    np.savez(pets.parent / "some.npz", **arrays)
    out, _ = said(capsys, ["data", "check", "some.npz"], 0)
    assert "form: arrays (medmnist)" in out
    assert "images: 12" in out
    assert "classes: 0 6, 1 6" in out
    _, err = said(capsys, ["data", "build", "some.npz", "--size", "4", "--out", "out"], 1)
    assert 'there is nothing to decode. A study reads them as they are: [data.source] kind = "medmnist"' in err


def test_one_class_is_told(pets, capsys):
    (pets / "labels.csv").write_text("image,label\ncat/0.pgm,cat\ncat/2.pgm,cat\n")
    out, _ = said(capsys, ["data", "check", "pets/labels.csv"], 0)
    assert "note: there is only one class: a study needs two or more" in out


def test_idx_files_are_known_by_one_of_them_and_prepared_sets_are_named(pets, capsys):
    folder = pets.parent / "idx"
    folder.mkdir()
    for part in ("train", "t10k"):
        images, labels = np.zeros((4, 2, 2), np.uint8), np.array([0, 1, 0, 1], np.uint8)
        (folder / f"{part}-images-idx3-ubyte").write_bytes(struct.pack(">4I", 2051, *images.shape) + images.tobytes())
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">2I", 2049, 4) + labels.tobytes())
    for path in ("idx", "idx/train-images-idx3-ubyte"):
        assert "form: arrays (idx)\nimages: 8\n" in said(capsys, ["data", "check", path], 0)[0]
    (pets / "dataset_info.json").write_text("{}")
    assert 'source = "tfds:NAME"' in said(capsys, ["data", "check", "pets"], 1)[1]
    assert 'source = "tfds:NAME"' in said(capsys, BUILD, 1)[1]


def test_ctrl_c_ends_with_130_and_can_go_on(pets, capsys, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(data_commands, "build_images", interrupted)
        _, err = said(capsys, BUILD, 130)
    assert "The same command goes on where it was." in err
    said(capsys, BUILD, 0)


def test_sigterm_ends_with_143_and_a_line(pets, capsys, monkeypatch):
    def terminated(*_):
        signal.raise_signal(signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    for name, words in (("build_images", BUILD), ("check_data", ["data", "check", "pets"])):
        with monkeypatch.context() as patch:
            patch.setattr(data_commands, name, terminated)
            _, err = said(capsys, words, 143)
        assert err == "jaxal: terminated. The same command goes on where it was.\n"
    assert signal.getsignal(signal.SIGTERM) is before


def test_progress_is_told_in_lines_where_there_is_no_terminal(pets, capsys, monkeypatch):
    monkeypatch.setattr("jaxal.console.SECONDS_BETWEEN_IMAGE_LINES", 0.0)
    assert said(capsys, ["data", "check", "pets"], 0)[1] == "checking: 10 of 10 images\n"


def test_neither_command_loads_jax_or_tensorflow(pets):
    code = (
        "import sys; from jaxal.cli import main\n"
        "assert main(['data', 'check', 'pets']) == 0\n"
        "assert main(['data', 'build', 'pets', '--size', '4', '--out', 'out']) == 0\n"
        "print(sorted({'jax', 'tensorflow', 'torch', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
