"""MedMNIST's npz files: what is read, and how each damage is refused."""

import hashlib
import io
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from jaxal.config.data import MedMNISTConfig
from jaxal.data import array_source
from jaxal.data.readers import npz
from jaxal.data.readers.medmnist import read_medmnist
from jaxal.data.readers.medmnist_sets import SETS, SIZES, MedMNISTSet
from jaxal.errors import DataError

LENGTHS = {"train": 12, "val": 5, "test": 7}


def made_arrays(shape: tuple[int, ...] = (4, 6, 3), lengths: dict[str, int] = LENGTHS, columns: bool = True) -> dict:
    """Make arrays in MedMNIST's form; labels go round 0, 1, 2."""
    random = np.random.default_rng(0)
    arrays = {}
    for prefix, length in lengths.items():
        labels = (np.arange(length) % 3).astype(np.uint8)
        arrays[f"{prefix}_images"] = random.integers(0, 256, (length, *shape), np.uint8)
        arrays[f"{prefix}_labels"] = labels[:, None] if columns else labels
    return arrays


def saved(folder: Path, arrays: dict, name: str = "own.npz") -> MedMNISTConfig:
    np.savez_compressed(folder / name, allow_pickle=True, **arrays)
    return MedMNISTConfig(path=str(folder / name))


def refusal(config: MedMNISTConfig) -> str:
    with pytest.raises(DataError) as caught:
        read_medmnist(config)
    return str(caught.value)


def npy(header: str, data: bytes = b"", version: tuple[int, int] = (1, 0)) -> bytes:
    text = header.encode()
    return b"\x93NUMPY" + bytes(version) + struct.pack("<H" if version == (1, 0) else "<I", len(text)) + text + data


def zipped(folder: Path, members: dict[str, bytes]) -> MedMNISTConfig:
    with zipfile.ZipFile(folder / "own.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return MedMNISTConfig(path=str(folder / "own.npz"))


def as_npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


@pytest.mark.parametrize("shape", [(4, 6), (4, 6, 3), (5, 5, 1)])
@pytest.mark.parametrize("columns", [True, False])
def test_all_parts_are_read_in_order(tmp_path, shape, columns):
    arrays = made_arrays(shape, columns=columns)
    source = read_medmnist(saved(tmp_path, arrays))
    pixels = np.concatenate([arrays[f"{prefix}_images"] for prefix in LENGTHS]).reshape(24, *shape[:2], -1)
    assert source.image_shape == pixels.shape[1:]
    assert np.array_equal(source.read(np.arange(24)), pixels)
    assert source.labels.dtype == np.int32
    assert source.labels.tolist() == [row % 3 for length in LENGTHS.values() for row in range(length)]
    assert source.class_names == ("0", "1", "2")
    assert source.parts is not None
    assert source.parts.tolist() == ["train"] * 12 + ["validation"] * 5 + ["test"] * 7
    assert (source.ids[0], source.ids[12], source.ids[23]) == ("train-00000", "validation-00000", "test-00006")
    assert len(set(source.ids.tolist())) == 24
    train = arrays["train_images"].reshape(12, *shape[:2], -1) / 255
    np.testing.assert_allclose(source.mean, train.mean((0, 1, 2)), atol=5.1e-4)
    np.testing.assert_allclose(source.std, train.std((0, 1, 2)), atol=5.1e-4)
    assert list(source.mean) == [round(value, 3) for value in source.mean]


def test_rows_are_gathered_over_parts_in_any_order(tmp_path):
    arrays = made_arrays()
    source = read_medmnist(saved(tmp_path, arrays))
    pixels = np.concatenate([arrays[f"{prefix}_images"] for prefix in LENGTHS])
    rows = np.array([23, 0, 12, 11, 12, 16, 17, 0])
    assert np.array_equal(source.read(rows), pixels[rows])
    assert source.read(np.array([], np.int64)).shape == (0, 4, 6, 3)
    for outside in (-1, 24):
        with pytest.raises(IndexError):
            source.read(np.array([3, outside]))


def test_blocks_do_not_move_the_statistics_or_the_fingerprint(tmp_path, monkeypatch):
    config = saved(tmp_path, made_arrays())
    whole = read_medmnist(config)
    monkeypatch.setattr(array_source, "BLOCK_BYTES", 5 * 72)
    blocked = read_medmnist(config)
    assert (blocked.mean, blocked.std, blocked.fingerprint) == (whole.mean, whole.std, whole.fingerprint)


def test_columns_first_order_reads_the_same(tmp_path):
    arrays = made_arrays()
    plain = read_medmnist(saved(tmp_path, arrays))
    turned = read_medmnist(saved(tmp_path, {name: np.asfortranarray(array) for name, array in arrays.items()}, "f.npz"))
    assert turned.fingerprint == plain.fingerprint
    assert np.array_equal(turned.read(np.arange(24)), plain.read(np.arange(24)))


def test_one_color_has_a_standard_deviation_that_can_be_divided_by(tmp_path):
    arrays = made_arrays() | {"train_images": np.full((12, 4, 6, 3), 51, np.uint8)}
    source = read_medmnist(saved(tmp_path, arrays))
    assert source.mean == (0.2, 0.2, 0.2)
    assert source.std == (1e-3, 1e-3, 1e-3)


def test_the_fingerprint_is_that_of_everything(tmp_path):
    arrays = made_arrays()
    base = read_medmnist(saved(tmp_path, arrays)).fingerprint
    assert read_medmnist(saved(tmp_path, arrays, "other.npz")).fingerprint == base
    pixels = arrays["test_images"].copy()
    pixels[-1, -1, -1, -1] ^= 1
    labels = arrays["val_labels"][::-1]
    moved = {name: arrays[name] for name in ("train_images", "train_labels")} | {
        f"{prefix}_{what}": np.concatenate([arrays[f"val_{what}"], arrays[f"test_{what}"]])[rows]
        for what in ("images", "labels")
        for prefix, rows in (("val", slice(0, 6)), ("test", slice(6, None)))
    }
    turned = {name: a.swapaxes(1, 2).reshape(a.shape) if a.ndim == 4 else a for name, a in arrays.items()}
    changes = [{"test_images": pixels}, {"val_labels": labels}, moved, turned]
    prints = {base} | {read_medmnist(saved(tmp_path, arrays | change)).fingerprint for change in changes}
    named = MedMNISTConfig(path=saved(tmp_path, arrays).path, class_names=("a", "b", "c"))
    assert len(prints | {read_medmnist(named).fingerprint}) == 6


@pytest.mark.parametrize("empty", [False, True])
def test_validation_and_test_parts_may_be_missing_or_empty(tmp_path, empty):
    arrays = made_arrays(lengths={"train": 12} | ({"val": 0, "test": 0} if empty else {}))
    source = read_medmnist(saved(tmp_path, arrays))
    assert source.parts is not None
    assert source.parts.tolist() == ["train"] * 12
    assert np.array_equal(source.read(np.arange(12)), arrays["train_images"])


def test_class_names_of_the_config_win_and_must_be_enough_and_distinct(tmp_path):
    path = saved(tmp_path, made_arrays()).path
    assert read_medmnist(MedMNISTConfig(path=path, class_names=("a", "b", "c", "d"))).class_names == (
        "a",
        "b",
        "c",
        "d",
    )
    message = refusal(MedMNISTConfig(path=path, class_names=("a", "b")))
    assert message.endswith("own.npz: 7 of 24 labels have no class: up to 2, but 2 class names are given")
    assert refusal(MedMNISTConfig(path=path, class_names=("a", "b", "a"))) == (
        "data.source.class_names: 'a' more than once"
    )


def test_the_files_of_medmnist_are_known_by_name_and_checked(tmp_path, monkeypatch):
    arrays = made_arrays()
    path = Path(saved(tmp_path, arrays, "tinymnist_64.npz").path)
    md5 = hashlib.md5(path.read_bytes()).hexdigest()
    names = ("one", "two", "three")
    monkeypatch.setitem(SETS, "tinymnist", MedMNISTSet(names, ("0" * 32, md5, "1" * 32, "2" * 32)))
    assert read_medmnist(MedMNISTConfig(path=str(path))).class_names == names
    given = MedMNISTConfig(path=str(path), class_names=("a", "b", "c"))
    assert read_medmnist(given).class_names == ("a", "b", "c")
    path.rename(tmp_path / "tinymnist.npz")
    message = refusal(MedMNISTConfig(path=str(tmp_path / "tinymnist.npz")))
    assert f"MD5 {md5}, but MedMNIST 3.0.2's file of that name has {'0' * 32}" in message
    assert "https://zenodo.org/records/10519652/files/tinymnist.npz?download=1" in message
    assert "a set of your own needs another file name" in message
    (tmp_path / "tinymnist.npz").rename(tmp_path / "my_tinymnist.npz")
    assert read_medmnist(MedMNISTConfig(path=str(tmp_path / "my_tinymnist.npz"))).class_names == ("0", "1", "2")


def test_the_table_is_whole():
    md5s = [md5 for known in SETS.values() for md5 in known.md5s]
    assert len(SETS) == 12
    assert len(set(md5s)) == 48 == len(SETS) * len(SIZES)
    assert {len(bytes.fromhex(md5)) for md5 in md5s} == {16}
    num_classes = {flag: len(known.class_names) for flag, known in SETS.items()}
    assert num_classes == {
        "pathmnist": 9, "chestmnist": 14, "dermamnist": 7, "octmnist": 4, "pneumoniamnist": 2, "retinamnist": 5,
        "breastmnist": 2, "bloodmnist": 8, "tissuemnist": 8, "organamnist": 11, "organcmnist": 11, "organsmnist": 11,
    }  # fmt: skip
    assert all(len(set(known.class_names)) == len(known.class_names) for known in SETS.values())
    assert [flag for flag, known in SETS.items() if known.is_multi_label] == ["chestmnist"]
    assert SETS["dermamnist"].class_names[4] == "melanoma"


def test_a_missing_file_says_where_it_was_looked_for_and_where_it_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    message = refusal(MedMNISTConfig(path="data/bloodmnist_128.npz"))
    assert f"cannot read {tmp_path}/data/bloodmnist_128.npz: no such file." in message
    assert "https://zenodo.org/records/10519652/files/bloodmnist_128.npz?download=1" in message
    message = refusal(MedMNISTConfig(path="own.npz"))
    assert f"cannot read {tmp_path}/own.npz: no such file." in message
    assert "files/NAME.npz?download=1" in message
    assert "NAME is one of pathmnist, chestmnist," in message
    for odd in (str(tmp_path), "a\0b.npz"):
        assert "no such file" in refusal(MedMNISTConfig(path=odd))


def test_several_labels_per_image_are_refused(tmp_path):
    arrays = made_arrays() | {"train_labels": np.zeros((12, 2), np.uint8)}
    assert "train_labels is (12, 2): multi-label" in refusal(saved(tmp_path, arrays))
    assert "chestmnist_64.npz is multi-label" in refusal(MedMNISTConfig(path="nowhere/chestmnist_64.npz"))


class Payload:
    """What a hostile pickle would run."""

    def __reduce__(self):
        return (open, ("unpickled", "w"))


@pytest.mark.parametrize("name", ["train_images", "test_labels"])
def test_objects_are_never_loaded(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    hostile = np.array([Payload()] * 12, object)
    config = saved(tmp_path, made_arrays() | {name: hostile})
    assert f"{name} is an array of objects, which are never loaded" in refusal(config)
    assert not (tmp_path / "unpickled").exists()


def test_other_arrays_in_the_file_are_left_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arrays = made_arrays()
    source = read_medmnist(saved(tmp_path, arrays | {"extra": np.array([Payload()], object)}))
    assert len(source.labels) == 24
    assert not (tmp_path / "unpickled").exists()


HEADER = "{{'descr': '{}', 'fortran_order': False, 'shape': {}, }}"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (npy(HEADER.format("|u1", (2**40, 28, 28))), "promises (1099511627776, 28, 28) of uint8"),
        (npy(HEADER.format("|u1", (12, 4, 6)), b"\0" * 287), "288 bytes, but the file holds 287"),
        (npy(HEADER.format("|u1", (12, 4, 6)), b"\0" * 289), "288 bytes, but the file holds 289"),
        (npy(HEADER.format("|u1", (-12, -4, 6)), b"\0" * 288), "promises (-12, -4, 6)"),
        (npy("(" * 9000 + ")" * 9000), "train_images is damaged: "),
        (npy(HEADER.format("|u1", (12, 4, 6)), b"\0" * 288, (2, 0)), "npy version (2, 0)"),
        (npy("{'descr': '|u1'}"), "train_images is damaged: "),
        (b"\x93NUMPY\1", "train_images is damaged: "),
        (b"", "train_images is damaged: "),
    ],
)
def test_a_header_that_lies_is_refused_before_anything_is_allocated(tmp_path, content, told):
    message = refusal(zipped(tmp_path, {"train_images": content, "train_labels": as_npy(np.zeros(12, np.uint8))}))
    assert "own.npz: train_images" in message
    assert told in message


def test_a_file_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    config = saved(tmp_path, made_arrays())
    monkeypatch.setattr(npz, "MAX_BYTES", 100)
    assert "bytes, at most 100 are read" in refusal(config)


def test_a_member_that_is_there_twice_is_refused(tmp_path):
    config = saved(tmp_path, made_arrays())
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(config.path, "a") as archive:
        archive.writestr("train_labels.npy", as_npy(np.ones(12, np.uint8)))
    assert "train_labels is there twice" in refusal(config)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"train_images": np.zeros((12, 4, 6, 3), np.float32)}, "train_images is (12, 4, 6, 3) of float32"),
        ({"train_images": np.zeros((12, 4, 6, 2), np.uint8)}, "train_images is (12, 4, 6, 2) of uint8"),
        ({"train_images": np.zeros((12, 4, 4, 4), np.uint8)}, "Three-dimensional sets are not supported"),
        ({"train_images": np.zeros((12, 4, 4, 4, 3), np.uint8)}, "expected uint8 [n, height, width]"),
        ({"train_images": np.zeros((12, 0, 6, 3), np.uint8)}, "train_images is (12, 0, 6, 3)"),
        ({"train_images": np.zeros(12, np.uint8)}, "train_images is (12,)"),
        ({"train_images": np.zeros((), np.uint8)}, "train_images is ()"),
        (
            {"val_images": np.zeros((5, 6, 4, 3), np.uint8)},
            "differ in shape: train (4, 6, 3), val (6, 4, 3), test (4, 6",
        ),
        ({"val_images": np.zeros((5, 4, 6), np.uint8)}, "differ in shape: train (4, 6, 3), val (4, 6, 1), test (4, 6"),
        ({"val_images": np.zeros((4, 4, 6, 3), np.uint8)}, "val has 4 images but 5 labels"),
        ({"val_images": np.zeros((0, 4, 6, 3), np.uint8)}, "val_images is (0, 4, 6, 3)"),
        ({"test_labels": np.zeros((7, 1), np.float64)}, "test_labels is (7, 1) of float64; expected integers"),
        ({"test_labels": np.zeros((7, 1), bool)}, "test_labels is (7, 1) of bool; expected integers"),
        ({"test_labels": np.zeros((7, 0), np.uint8)}, "test_labels is (7, 0)"),
        ({"test_labels": np.array(0, np.uint8)}, "test_labels is ()"),
        ({"test_labels": np.array([0, 1, -3, 2, -1, 0, 0])}, "2 of 24 labels are negative (down to -3)"),
        (
            {"test_labels": np.array([2**63, 1, 1, 1, 0, 0, 0], np.uint64)},
            "1 of 24 labels have no class: up to 92233720",
        ),
    ],
)
def test_what_does_not_fit_is_refused_and_described(tmp_path, change, told):
    message = refusal(saved(tmp_path, made_arrays() | change))
    assert told in message
    assert "own.npz" in message


@pytest.mark.parametrize(
    ("gone", "told"),
    [
        (["train_images", "train_labels"], "no train_images, train_labels"),
        (["val_labels"], "no val_labels"),
        (["test_images"], "no test_images"),
    ],
)
def test_missing_arrays_are_named(tmp_path, gone, told):
    arrays = {name: array for name, array in made_arrays().items() if name not in gone}
    assert f"own.npz: {told}" in refusal(saved(tmp_path, arrays))


def test_an_empty_train_part_is_refused(tmp_path):
    arrays = made_arrays(lengths={"train": 0, "test": 7})
    assert "train_images is (0, 4, 6, 3) of uint8; expected" in refusal(saved(tmp_path, arrays))


def test_what_is_no_npz_file_is_refused(tmp_path):
    for content in (b"", b"<html>not found</html>", as_npy(np.zeros(3))):
        (tmp_path / "own.npz").write_bytes(content)
        assert "own.npz: not an npz (zip) file, or cut short" in refusal(MedMNISTConfig(path=str(tmp_path / "own.npz")))


def test_a_file_cut_anywhere_is_refused(tmp_path):
    whole = Path(saved(tmp_path, made_arrays()).path).read_bytes()
    for end in range(0, len(whole), 97):
        (tmp_path / "cut.npz").write_bytes(whole[:end])
        assert "cut.npz" in refusal(MedMNISTConfig(path=str(tmp_path / "cut.npz")))


def test_a_flipped_byte_of_the_pixels_fails_the_checksum(tmp_path):
    arrays = made_arrays()
    np.savez(tmp_path / "own.npz", allow_pickle=True, **arrays)
    content = bytearray((tmp_path / "own.npz").read_bytes())
    content[content.index(arrays["val_images"].tobytes()) + 100] ^= 1
    (tmp_path / "own.npz").write_bytes(content)
    message = refusal(MedMNISTConfig(path=str(tmp_path / "own.npz")))
    assert "own.npz: val_images is damaged: BadZipFile: Bad CRC-32" in message


def test_a_byte_changed_anywhere_is_refused_or_changes_nothing(tmp_path):
    config = saved(tmp_path, made_arrays((2, 2), {"train": 3, "test": 2}))
    expected = read_medmnist(config)
    whole = Path(config.path).read_bytes()
    refused = 0
    for place in range(len(whole)):
        content = bytearray(whole)
        content[place] ^= 1 << place % 8
        (tmp_path / "own.npz").write_bytes(content)
        try:
            source = read_medmnist(config)
        except DataError:
            refused += 1
            continue
        assert np.array_equal(source.read(np.arange(5)), expected.read(np.arange(5)))
        assert source.fingerprint == expected.fingerprint
    assert refused > len(whole) / 2
