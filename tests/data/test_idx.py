"""IDX files: read byte for byte, refused with the reason where they are not whole, searched for in the usual places."""

import gzip
import struct

import numpy as np
import pytest

from jaxal.config.data import FashionMNISTConfig, IDXConfig
from jaxal.data.readers import idx
from jaxal.data.readers.idx import read_fashion_mnist, read_idx, read_idx_file
from jaxal.errors import DataError

NAMES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def idx_bytes(array):
    header = struct.pack(">HBB", 0, 8, array.ndim) + b"".join(struct.pack(">I", length) for length in array.shape)
    return header + array.astype(np.uint8).tobytes()


def write_set(folder, labels=(0, 1, 2, 1, 0, 2), test_labels=(2, 0), packed=True):
    rng = np.random.default_rng(0)
    arrays = [rng.integers(0, 256, (len(labels), 3, 4)), np.array(labels)]
    arrays += [rng.integers(0, 256, (len(test_labels), 3, 4)), np.array(test_labels)]
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in zip(NAMES, arrays, strict=True):
        data = idx_bytes(array)
        (folder / (f"{name}.gz" if packed else name)).write_bytes(gzip.compress(data) if packed else data)
    return arrays


@pytest.mark.parametrize("packed", [True, False])
def test_a_set_is_read_byte_for_byte_with_its_own_test_part(tmp_path, packed):
    train, labels, test, test_labels = write_set(tmp_path, packed=packed)
    source = read_idx(IDXConfig(folder=str(tmp_path)))
    assert source.image_shape == (3, 4, 1)
    assert np.array_equal(source.read(np.arange(8))[..., 0], np.concatenate([train, test]))
    assert source.labels.tolist() == [*labels, *test_labels]
    assert source.parts.tolist() == ["train"] * 6 + ["test"] * 2
    assert source.ids.tolist()[5:7] == ["train-00005", "test-00000"]
    assert source.class_names == ("0", "1", "2")
    assert source.mean == pytest.approx([train.mean() / 255], abs=6e-4)
    assert source.std == pytest.approx([train.std() / 255], abs=6e-4)


def test_the_fingerprint_tells_pixels_labels_and_names_apart(tmp_path):
    write_set(tmp_path / "a")
    write_set(tmp_path / "b", labels=(0, 1, 2, 1, 0, 1))
    first = read_idx(IDXConfig(folder=str(tmp_path / "a")))
    named = read_idx(IDXConfig(folder=str(tmp_path / "a"), class_names=("x", "y", "z")))
    assert named.class_names == ("x", "y", "z")
    others = [read_idx(IDXConfig(folder=str(tmp_path / "b"))), named]
    assert read_idx(IDXConfig(folder=str(tmp_path / "a"))).fingerprint == first.fingerprint
    assert len({first.fingerprint, *(other.fingerprint for other in others)}) == 3


def test_too_few_class_names_are_refused_with_how_many_labels_lack_one(tmp_path):
    write_set(tmp_path)
    with pytest.raises(DataError, match=r"3 labels are up to 2, but only 2 class names"):
        read_idx(IDXConfig(folder=str(tmp_path), class_names=("x", "y")))


def test_missing_files_are_named(tmp_path):
    write_set(tmp_path)
    (tmp_path / f"{NAMES[3]}.gz").unlink()
    with pytest.raises(DataError, match=rf"data\.source\.folder: {tmp_path} lacks t10k-labels-idx1-ubyte \(plain or"):
        read_idx(IDXConfig(folder=str(tmp_path)))


def test_fashion_mnist_is_found_in_the_first_place_that_holds_it(tmp_path, monkeypatch):
    monkeypatch.setattr(idx, "FASHION_PLACES", (str(tmp_path / "none"), str(tmp_path / "there")))
    write_set(tmp_path / "there", labels=(9, 1))
    source = read_fashion_mnist(FashionMNISTConfig())
    assert len(source.labels) == 4
    assert [source.class_names[label] for label in source.labels[:2]] == ["Ankle boot", "Trouser"]


def test_fashion_mnist_missing_says_where_it_was_looked_for_and_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setattr(idx, "FASHION_PLACES", (str(tmp_path / "one"), str(tmp_path / "two")))
    with pytest.raises(DataError) as caught:
        read_fashion_mnist(FashionMNISTConfig())
    wanted = (tmp_path / "one", tmp_path / "two", "apt install dataset-fashion-mnist", "data.source.folder")
    assert all(str(part) in str(caught.value) for part in wanted)
    with pytest.raises(DataError, match=f"looked in {tmp_path / 'mine'}\\."):
        read_fashion_mnist(FashionMNISTConfig(folder=str(tmp_path / "mine")))


GOOD = idx_bytes(np.arange(12).reshape(1, 3, 4))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "it begins with nothing"),
        (b"\x89PNG and so on", "it begins with 89 50 4e 47"),
        (b"\0\0\x0d\x01" + GOOD[4:], "not an IDX file of unsigned bytes"),
        (GOOD[:10], "damaged header"),
        (GOOD[:-1], r"promises 12 bytes \(1, 3, 4\), the file holds only 11"),
        (GOOD + b"x", "the file holds more"),
        (b"\0\0\x08\x03" + b"\xff" * 12, "damaged header: 3 axes"),
    ],
)
@pytest.mark.parametrize("packed", [True, False])
def test_a_damaged_file_is_refused_with_the_reason(tmp_path, data, message, packed):
    path = tmp_path / ("some.gz" if packed else "some")
    path.write_bytes(gzip.compress(data) if packed else data)
    with pytest.raises(DataError, match=message) as caught:
        read_idx_file(path)
    assert str(path) in str(caught.value)


def test_a_gzip_file_cut_short_or_not_gzip_at_all_is_refused(tmp_path):
    path = tmp_path / "some.gz"
    for data in (gzip.compress(GOOD)[:-9], GOOD, gzip.compress(GOOD)[:3]):
        path.write_bytes(data)
        with pytest.raises(DataError, match="cannot be read"):
            read_idx_file(path)


def test_images_and_labels_of_different_number_are_refused(tmp_path):
    write_set(tmp_path, packed=False)
    (tmp_path / NAMES[1]).write_bytes(idx_bytes(np.zeros(5)))
    with pytest.raises(DataError, match="train has 6 images but 5 labels"):
        read_idx(IDXConfig(folder=str(tmp_path)))
