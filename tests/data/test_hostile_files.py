"""Files that mean harm, whatever their form: nothing in them is run, followed or unpacked; each is refused."""

import ast
import functools
import io
import os
import pickle
import zipfile
from pathlib import Path

import msgspec
import numpy as np
import pytest
from image_fixtures import put, put_flat

from jaxal.config.data import (
    CIFARConfig,
    CSVConfig,
    DataConfig,
    FolderConfig,
    IDXConfig,
    ImagesConfig,
    MedMNISTConfig,
    TFDSConfig,
)
from jaxal.data.cache_files import read_sealed
from jaxal.data.dataset import load_source
from jaxal.errors import DataError

ROOT = Path(__file__).parents[2]
SOURCES = sorted([*(ROOT / "jaxal").rglob("*.py"), *(ROOT / "scripts").rglob("*.py")])
# What loads code along with data; pickletools only parses.
LOADERS = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "yaml"}
UNPACKERS = {"extract", "extractall", "unpack_archive"}


class Payload:
    """What a hostile pickle would run."""

    def __init__(self, place: Path):
        self.place = str(place)

    def __reduce__(self):
        return os.mkdir, (self.place,)


def nodes(kind: type) -> list:
    return [(name, node) for name, node in all_nodes() if isinstance(node, kind)]


@functools.cache
def all_nodes() -> list[tuple[str, ast.AST]]:
    trees = [(path.name, ast.parse(path.read_text(encoding="utf-8"))) for path in SOURCES]
    return [(name, node) for name, tree in trees for node in ast.walk(tree)]


def test_no_module_imports_what_loads_code_with_data():
    imported = {(name, alias.name.split(".")[0]) for name, node in nodes(ast.Import) for alias in node.names}
    imported |= {(name, (node.module or "").split(".")[0]) for name, node in nodes(ast.ImportFrom)}
    assert ("pickled.py", "pickletools") in imported
    assert not {(name, module) for name, module in imported if module in LOADERS}
    words = [node.value for _, node in nodes(ast.Constant) if isinstance(node.value, str)]
    assert not LOADERS & set(words)  # nor by importlib


def test_numpy_is_told_not_to_load_objects_and_nothing_is_unpacked():
    calls = [(name, node) for name, node in nodes(ast.Call) if isinstance(node.func, ast.Attribute)]
    values = [each.value for _, node in nodes(ast.Call) for each in node.keywords if each.arg == "allow_pickle"]
    assert values
    assert all(isinstance(value, ast.Constant) and value.value is False for value in values)
    loads = [
        (name, node)
        for name, node in calls
        if node.func.attr in ("load", "read_array") and "np" in ast.unparse(node.func.value).split(".")
    ]
    assert loads
    assert not [name for name, node in loads if "allow_pickle" not in {each.arg for each in node.keywords}]
    assert not [name for name, node in calls if node.func.attr in UNPACKERS]


def hostile_sources(folder: Path, data: bytes) -> dict:
    """Put the same bytes in the place of each file that a reader opens."""
    put_flat(folder / "classes" / "a" / "1.png", 1)
    put(folder / "classes" / "b" / "2.png", data)
    put(folder / "table.csv", b"image,label\nclasses/a/1.png,a\nclasses/b/2.png,b\n")
    for prefix in ("train", "t10k"):
        for rest in ("images-idx3-ubyte", "labels-idx1-ubyte"):
            put(folder / "idx" / f"{prefix}-{rest}", data)
    for name in ("train", "test", "meta"):
        put(folder / "cifar" / name, data)
    for name in ("dataset_info.json", "features.json", "made-train.array_record-00000-of-00001"):
        put(folder / "tfds" / "made" / "1.0.0" / name, data)
    return {
        "medmnist": MedMNISTConfig(path=put(folder / "own.npz", data)),
        "idx": IDXConfig(folder=str(folder / "idx")),
        "cifar": CIFARConfig(path=str(folder / "cifar")),
        "cifar archive": CIFARConfig(path=put(folder / "cifar.tar.gz", data)),
        "folder": FolderConfig(path=str(folder / "classes"), cache=str(folder / "cache")),
        "csv": CSVConfig(path=str(folder / "table.csv"), cache=str(folder / "cache")),
        "csv itself": CSVConfig(path=put(folder / "other.csv", data)),
        "images": ImagesConfig(path=str(folder / "classes"), cache=str(folder / "cache")),
        "tfds": TFDSConfig(name="made", data_dir=str(folder / "tfds"), cache=str(folder / "cache")),
    }


def zipped(name: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(name, b"x")
    return out.getvalue()


HOSTILE = {
    "html": lambda place: b"<html><script>alert(1)</script></html>",
    "deep JSON": lambda place: b"[" * 1_000_000,
    "deep tables": lambda place: b'{"a":' * 200_000,
    "zip that climbs": lambda place: zipped("../../../../../../" + str(place)),
    "script": lambda place: f"#!/bin/sh\nmkdir {place}\n".encode(),
    "NUL": lambda place: bytes(100_000),
    **{f"pickle {number}": (lambda place, number=number: pickle.dumps(Payload(place), number)) for number in range(6)},
    "objects": lambda place: _saved_objects(place),
}


def _saved_objects(place: Path) -> bytes:
    out = io.BytesIO()
    objects = np.array([Payload(place)], dtype=object)
    np.savez(out, train_images=objects, train_labels=objects, allow_pickle=True)
    return out.getvalue()


@pytest.mark.parametrize("hostile", HOSTILE)
def test_no_reader_runs_or_follows_what_it_reads(tmp_path, monkeypatch, hostile):
    monkeypatch.chdir(tmp_path)
    place = tmp_path / "harm"
    for kind, source in hostile_sources(tmp_path / "data", HOSTILE[hostile](place)).items():
        with pytest.raises(DataError) as caught:
            load_source(DataConfig(source))
        assert str(caught.value), kind
        assert not place.exists(), kind
    assert os.listdir(tmp_path) == ["data"]


@pytest.mark.parametrize("text", [b"[" * 1_000_000, b'{"content":' * 200_000, b"", b"null", b'{"sha256": 1}'])
def test_deep_or_damaged_json_in_a_cache_counts_as_not_there(tmp_path, text):
    class Content(msgspec.Struct):
        value: int

    (tmp_path / "sealed.json").write_bytes(text)
    assert read_sealed(tmp_path / "sealed.json", Content) is None
