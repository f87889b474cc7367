"""Image folders prepared as ArrayRecord without TensorFlow: the pool is that of the folder itself."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds
from made_images import ham10000, isic2020, jpeg

from jaxal.config.data import ImagesConfig, TFDSConfig
from jaxal.data.readers.labeled_files import read_images
from jaxal.data.tfds import builders
from jaxal.data.tfds.prepare import prepare
from jaxal.data.tfds.source import read_tfds
from jaxal.errors import ConfigError, DataError

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def tree(folder: Path) -> dict:
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.rglob("*") if path.is_file()}


def from_folder(folder: Path, **settings):
    return read_images(ImagesConfig(path=str(folder), image_size=16, **settings))


def from_tfds(tmp_path: Path, name: str):
    return read_tfds(TFDSConfig(name=name, data_dir=str(tmp_path / "data"), image_size=16))


def check_same(found, expected):
    assert found.ids.tolist() == expected.ids.tolist()
    assert found.labels.tolist() == expected.labels.tolist()
    assert found.class_names == expected.class_names
    assert (found.groups is None) == (expected.groups is None)
    assert found.groups is None or found.groups.tolist() == expected.groups.tolist()
    assert (found.mean, found.std, found.image_shape) == (expected.mean, expected.std, expected.image_shape)
    assert {name: cells.tolist() for name, cells in found.columns.items()} == {
        name: cells.tolist() for name, cells in expected.columns.items()
    }
    rows = np.arange(len(found.ids))
    assert np.array_equal(found.read(rows), expected.read(rows))
    assert found.fingerprint == expected.fingerprint


def test_isic2020(tmp_path):
    folder = isic2020(tmp_path / "isic")
    before = tree(folder)
    place, notes = prepare("isic2020", str(folder), str(tmp_path / "data"))
    assert tree(folder) == before
    assert place == tmp_path / "data" / "isic2020" / "1.0.0"
    assert any("duplicate" in note for note in notes)
    found = from_tfds(tmp_path, "isic2020")
    assert len(found.ids) == 29
    assert found.class_names == ("benign", "malignant")
    assert found.groups is not None
    assert found.parts is None
    check_same(found, from_folder(folder))


def test_isic2020_with_its_duplicates(tmp_path):
    folder = isic2020(tmp_path / "isic")
    prepare("isic2020", str(folder), str(tmp_path / "data"), duplicates="keep")
    check_same(from_tfds(tmp_path, "isic2020"), from_folder(folder, duplicates="keep"))


def test_ham10000(tmp_path):
    folder = ham10000(tmp_path / "ham")
    prepare("ham10000", str(folder), str(tmp_path / "data"))
    found = from_tfds(tmp_path, "ham10000")
    assert found.class_names == ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")
    check_same(found, from_folder(folder))


def test_a_folder_of_ones_own_with_parts(tmp_path):
    folder = tmp_path / "own"
    for number in range(24):
        place = folder / ("train", "val", "test")[number % 3] / ("häuser", "10", "2")[number // 8]
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{number}.jpg").write_bytes(jpeg(number))
    prepare("jaxal_images", str(folder), str(tmp_path / "data"))
    found = from_tfds(tmp_path, "jaxal_images")
    assert sorted(set(found.parts.tolist())) == ["test", "train", "validation"]
    assert found.groups is None
    expected = from_folder(folder)
    assert found.parts.tolist() == expected.parts.tolist()
    check_same(found, expected)


def test_records_lie_in_another_order_than_they_are_read(tmp_path):
    prepare("isic2020", str(isic2020(tmp_path / "isic")), str(tmp_path / "data"))
    stored = tfds.builder_from_directory(tmp_path / "data" / "isic2020" / "1.0.0").as_data_source(
        "train", decoders={"image": tfds.decode.SkipDecoding()}
    )
    ids = [example["id"].decode() for example in stored]
    assert ids != sorted(ids)
    assert from_tfds(tmp_path, "isic2020").ids.tolist() == sorted(ids)


def test_what_is_wrong_with_the_folder_refuses_preparing(tmp_path):
    folder = isic2020(tmp_path / "isic")
    (folder / "train" / "ISIC_0000000.jpg").unlink()
    with pytest.raises(DataError, match="ISIC_0000000"):
        prepare("isic2020", str(folder), str(tmp_path / "data"))
    with pytest.raises(DataError, match=r"the classes are .*nv.*; expected benign, malignant"):
        prepare("isic2020", str(ham10000(tmp_path / "ham")), str(tmp_path / "data"))
    with pytest.raises(DataError, match="no such folder"):
        prepare("isic2020", str(tmp_path / "nowhere"), str(tmp_path / "data"))
    with pytest.raises(ConfigError, match="'isic2019': no data set that jaxal prepares; there are isic2020"):
        prepare("isic2019", str(folder), str(tmp_path / "data"))
    with pytest.raises(ConfigError, match="duplicates"):
        prepare("isic2020", str(folder), str(tmp_path / "data"), duplicates="perhaps")
    assert not list((tmp_path / "data").rglob("dataset_info.json"))


def test_the_folder_of_the_images_is_not_written_to(tmp_path):
    folder = isic2020(tmp_path / "isic")
    before = tree(tmp_path)
    for inside in (folder, folder / "train" / "data"):
        with pytest.raises(DataError, match="lies inside the folder of the images"):
            prepare("isic2020", str(folder), str(inside))
    assert tree(tmp_path) == before


def test_a_set_is_not_prepared_over_another(tmp_path):
    folder = isic2020(tmp_path / "isic")
    prepare("isic2020", str(folder), str(tmp_path / "data"))
    before = tree(tmp_path / "data")
    with pytest.raises(DataError, match="prepared already"):
        prepare("isic2020", str(folder), str(tmp_path / "data"))
    assert tree(tmp_path / "data") == before


def test_the_builders_work_with_tfds_own_mock():
    assert builders.ISIC2020.name == "isic2020"
    with tfds.testing.mock_data(num_examples=3):
        source = tfds.data_source("isic2020", split="train")
        assert len(source) == 3
        assert set(source[0]) == {"image", "label", "id", "group", "columns"}
        assert source[0]["image"].dtype == np.uint8


def test_no_tensorflow_from_preparing_to_reading(tmp_path):
    folder = isic2020(tmp_path / "isic")
    code = f"""
import runpy, sys
sys.argv = ["prepare_tfds.py", "isic2020", "--manual-dir", {str(folder)!r}, "--data-dir", {str(tmp_path / "data")!r}]
try:
    runpy.run_path({str(ROOT / "scripts" / "prepare_tfds.py")!r}, run_name="__main__")
except SystemExit as ended:
    assert not ended.code
from jaxal.config.data import DataConfig, TFDSConfig
from jaxal.data.dataset import load_source
assert "tensorflow_datasets" in sys.modules
source = load_source(DataConfig(TFDSConfig(name="isic2020", data_dir={str(tmp_path / "data")!r})))
assert source.read(__import__("numpy").arange(29)).shape == (29, 64, 64, 3)
assert "tensorflow" not in sys.modules
print("read", len(source.ids))
"""
    # An import of TensorFlow fails here, whether it is installed or not.
    (tmp_path / "blocked" / "tensorflow").mkdir(parents=True)
    (tmp_path / "blocked" / "tensorflow" / "__init__.py").write_text("raise AssertionError('TensorFlow was imported')")
    paths = os.pathsep.join([str(tmp_path / "blocked"), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "read 29" in done.stdout
    assert "prepared" in done.stdout
