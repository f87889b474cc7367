"""CIFAR-10 and CIFAR-100 in every version: the same source from each, and how damage is refused."""

import io
import tarfile

import numpy as np
import pytest
from cifar_fixtures import (
    COARSE,
    FINE,
    NAMES_10,
    archived,
    binary_10,
    binary_100,
    made_10,
    made_100,
    meta_10,
    python2,
    python3,
    python_10,
    python_100,
)

from jaxal.config.data import CIFARConfig
from jaxal.data.readers import cifar_files
from jaxal.data.readers.cifar import read_cifar
from jaxal.errors import DataError


def read(path, **settings):
    return read_cifar(CIFARConfig(path=str(path), **settings))


def refused(path, *words, **settings):
    with pytest.raises(DataError) as caught:
        read(path, **settings)
    for word in words:
        assert word in str(caught.value)
    return str(caught.value)


def test_python_2_is_imitated_byte_by_byte():
    # CIFAR-10's own batches.meta has this content and is 158 bytes long.
    assert len(python2(meta_10())) == 158


def test_cifar_100_is_read_as_it_is(tmp_path):
    source = read(python_100(tmp_path / "cifar-100-python"))
    train, test = made_100(13, 0), made_100(7, 1)
    assert source.class_names == FINE
    assert source.labels.tolist() == train["fine_labels"] + test["fine_labels"]
    assert source.parts.tolist() == ["train"] * 13 + ["test"] * 7
    assert source.ids[[0, 13]].tolist() == ["train-00000", "test-00000"]
    assert source.image_shape == (32, 32, 3)
    flat = np.concatenate([train["data"], test["data"]])
    pixels = source.read(np.arange(20))
    assert pixels.dtype == np.uint8
    # A row holds 1024 red, 1024 green, 1024 blue values, each channel row by row.
    for number, row, column, channel in [(0, 0, 0, 0), (3, 5, 7, 1), (19, 31, 31, 2), (12, 0, 31, 2)]:
        assert pixels[number, row, column, channel] == flat[number, channel * 1024 + row * 32 + column]
    assert source.mean == tuple(round(float(pixels[:13, ..., c].mean() / 255), 3) for c in range(3))
    assert source.groups is None


def test_coarse_labels(tmp_path):
    source = read(python_100(tmp_path), labels="coarse")
    assert source.class_names == COARSE
    assert source.labels.tolist() == made_100(13, 0)["coarse_labels"] + made_100(7, 1)["coarse_labels"]
    assert read(binary_100(tmp_path / "b"), labels="coarse").fingerprint == source.fingerprint
    refused(binary_10(tmp_path / "c"), "CIFAR-10 (binary version) has no such labels", labels="coarse")


def test_every_version_gives_the_same_source(tmp_path):
    base = read(python_100(tmp_path / "a"))
    others = [
        *(python_100(tmp_path / f"protocol-{protocol}", python3(protocol)) for protocol in range(6)),
        binary_100(tmp_path / "binary"),
        archived(tmp_path / "a", tmp_path / "cifar-100-python.tar.gz", "cifar-100-python"),
        archived(tmp_path / "binary", tmp_path / "cifar-100-binary.tgz"),
        archived(tmp_path / "a", tmp_path / "plain.tar", "./x/y"),
        tmp_path / "a" / "train",
        python_100(tmp_path / "outer" / "cifar-100-python").parent,
    ]
    for path in others:
        source = read(path)
        assert source.fingerprint == base.fingerprint, path
        assert np.array_equal(source.read(np.arange(20)), base.read(np.arange(20)))


def test_cifar_10(tmp_path):
    source = read(python_10(tmp_path / "p"))
    made = made_10()
    assert source.class_names == NAMES_10
    assert source.labels.tolist() == [label for _, labels in made.values() for label in labels]
    assert source.parts.tolist() == ["train"] * 20 + ["test"] * 4
    third = source.read(np.array([8]))[0]  # the first image of the third batch
    assert np.array_equal(third, made["data_batch_3"][0][0].reshape(3, 32, 32).transpose(1, 2, 0))
    others = [binary_10(tmp_path / "b"), python_10(tmp_path / "four", python3(4))]
    assert {read(path).fingerprint for path in others} == {source.fingerprint}


def test_another_number_of_images_than_published_is_said(tmp_path):
    assert read(python_10(tmp_path)).notes == (
        "CIFAR-10 (python version): 20 train images; the published set has 50000",
        "CIFAR-10 (python version): 4 test images; the published set has 10000",
    )


def test_files_that_are_missing_or_of_two_versions_are_named(tmp_path):
    refused(tmp_path / "nowhere", "no such file or folder")
    refused(tmp_path, "holds no file of CIFAR", "cifar-100-binary/train.bin", "kriz/cifar.html")
    folder = python_10(tmp_path / "p")
    (folder / "data_batch_3").unlink()
    (folder / "batches.meta").unlink()
    refused(folder, "CIFAR-10 (python version) lacks data_batch_3, batches.meta")
    binary_100(folder)
    refused(folder, "holds CIFAR-10 (python version) and CIFAR-100 (binary version): give the folder or archive of one")
    twice = python_100(tmp_path / "twice")
    python_100(twice / "cifar-100-python")
    refused(twice, "is there twice")


def test_a_folder_of_another_kind_with_these_names_is_no_cifar(tmp_path):
    (tmp_path / "train" / "cat").mkdir(parents=True)
    (tmp_path / "test").mkdir()
    refused(tmp_path, "holds no file of CIFAR")


@pytest.mark.parametrize("cut", [1, 3073, 10 * 3074 + 1])
def test_a_binary_file_that_is_cut_short_is_refused(tmp_path, cut):
    folder = binary_100(tmp_path)
    data = (folder / "train.bin").read_bytes()
    (folder / "train.bin").write_bytes(data[:-cut])
    refused(folder, "train.bin", f"{len(data) - cut} bytes, which are no whole number of records of 3074")


def test_an_empty_file_is_refused(tmp_path):
    folder = binary_100(tmp_path)
    (folder / "test.bin").write_bytes(b"")
    refused(folder, "test.bin: 0 bytes")


def test_a_label_without_a_class_is_refused(tmp_path):
    folder = binary_100(tmp_path / "b")
    data = bytearray((folder / "test.bin").read_bytes())
    data[1] = len(FINE)
    (folder / "test.bin").write_bytes(data)
    refused(folder, "test.bin: 1 of 7 labels have no class: 0 … 4, but there are 4 class names")
    folder = python_100(tmp_path / "p")
    (folder / "test").write_bytes(python3(2)(made_100(7, 1) | {"fine_labels": [-1] * 7}))
    refused(folder, "7 of 7 labels have no class: -1 … -1")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"data": np.zeros((7, 3071), np.uint8)}, "'data' is not an array of uint8 [n, 3072]"),
        ({"data": np.zeros((7, 3072), np.int8)}, "'data' is not an array of uint8"),
        ({"data": [1, 2]}, "'data' is not an array of uint8"),
        ({"data": np.zeros((6, 3072), np.uint8)}, "6 images but 7 labels"),
        ({"fine_labels": [0] * 6 + [0.5]}, "BINFLOAT"),
        ({"fine_labels": [0] * 6 + [True]}, "'fine_labels' is not a list of whole numbers"),
        ({"fine_labels": [0] * 6 + [2**40]}, "'fine_labels' is not a list of whole numbers"),
        ({"fine_labels": "0000000"}, "'fine_labels' is not a list of whole numbers"),
        ({"fine_labels": np.zeros((7, 1), np.int64)}, "'fine_labels' is not a list of whole numbers"),
    ],
)
def test_content_of_another_form_is_refused(tmp_path, change, words):
    folder = python_100(tmp_path)
    (folder / "test").write_bytes(python3(2)(made_100(7, 1) | change))
    refused(folder, "test", words)


def test_keys_and_class_names_must_be_there(tmp_path):
    folder = python_100(tmp_path)
    made = made_100(7, 1)
    del made["fine_labels"]
    (folder / "test").write_bytes(python2(made))
    refused(folder, "no 'fine_labels' in it; it has 'filenames', 'batch_label', 'coarse_labels', 'data'")
    for names in ([], ["a", "a", "b", "c"], ["a", ""], "abcd", [1, 2]):
        (folder / "meta").write_bytes(python3(2)({"fine_label_names": names, "coarse_label_names": []}))
        refused(folder, "expected class names, all different")


def test_labels_may_be_an_array(tmp_path):
    folder = python_100(tmp_path)
    base = read(folder).fingerprint
    for kind in ("<i8", ">i4", "u1"):
        made = made_100(7, 1)
        (folder / "test").write_bytes(python3(3)(made | {"fine_labels": np.array(made["fine_labels"], kind)}))
        assert read(folder).fingerprint == base


def test_nothing_in_an_archive_leaves_it(tmp_path):
    path = tmp_path / "in" / "evil.tar.gz"
    path.parent.mkdir()
    folder = python_100(tmp_path / "cifar-100-python")
    archived(folder, path, "../../../../..")
    before = sorted(tmp_path.rglob("*"))
    assert read(path).fingerprint == read(folder).fingerprint
    assert sorted(tmp_path.rglob("*")) == before


def test_links_in_an_archive_are_not_followed(tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(b"x")
    path = tmp_path / "links.tar"
    with tarfile.open(path, "w") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE):
            info = tarfile.TarInfo(f"{kind.decode()}/train.bin")
            info.type, info.linkname = kind, str(secret)
            archive.addfile(info)
    refused(path, "holds no file of CIFAR")


def test_damaged_archives_are_refused(tmp_path, monkeypatch):
    path = archived(python_100(tmp_path / "p"), tmp_path / "a.tar.gz")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    refused(path, "archive is damaged")
    path.write_bytes(data[:5000] + bytes([data[5000] ^ 255]) + data[5001:])
    refused(path, "damaged")
    path.write_bytes(b"no archive")
    refused(path, "archive is damaged")
    path.write_bytes(data)
    monkeypatch.setattr(cifar_files, "MAX_BYTES", 1000)
    refused(path, "as no CIFAR has")


def test_a_member_that_claims_terabytes_is_refused_before_it_is_read(tmp_path):
    info = tarfile.TarInfo("cifar-100-python/train")
    info.size = 2**42
    path = tmp_path / "bomb.tar"
    path.write_bytes(info.tobuf(tarfile.GNU_FORMAT) + io.BytesIO(b"x" * 1024).getvalue())
    refused(path, "as no CIFAR has")
