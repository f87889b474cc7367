"""CIFAR-10 and CIFAR-100 as their authors give them: python pickles, which are never loaded, or the binary version."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxal.config.data import CIFARConfig
from jaxal.data.array_source import PartArrays, array_source
from jaxal.data.problems import shown
from jaxal.data.readers.cifar_files import FoundFiles, find_files
from jaxal.data.readers.cifar_pickle import read_cifar_pickle
from jaxal.data.source import TEST, TRAIN, ImageSource
from jaxal.errors import DataError

__all__ = ["read_cifar"]

SIDE, CHANNELS = 32, 3
PIXELS = SIDE * SIDE * CHANNELS
URL = "https://www.cs.toronto.edu/~kriz/cifar.html"
BATCHES = tuple(f"data_batch_{number}" for number in range(1, 6))
# Images of the published sets.
OFFICIAL = {TRAIN: 50_000, TEST: 10_000}


class CIFARForm(NamedTuple):
    """One of the four versions."""

    name: str
    folder: str  # what its archive unpacks to
    files: Mapping[str, tuple[str, ...]]  # by part, in order
    names: Mapping[str, str]  # by labels wanted: the file with the class names
    label_at: Mapping[str, str | int]  # by labels wanted: the key in a pickle, the byte of a record
    name_keys: Mapping[str, str]  # by labels wanted: the key in the pickle of names
    label_bytes: int  # before the pixels of a binary record; 0 for pickles


FORMS = (
    CIFARForm(
        "CIFAR-10 (python version)", "cifar-10-batches-py",
        {TRAIN: BATCHES, TEST: ("test_batch",)},
        {"fine": "batches.meta"}, {"fine": "labels"}, {"fine": "label_names"}, 0,
    ),
    CIFARForm(
        "CIFAR-10 (binary version)", "cifar-10-batches-bin",
        {TRAIN: tuple(f"{name}.bin" for name in BATCHES), TEST: ("test_batch.bin",)},
        {"fine": "batches.meta.txt"}, {"fine": 0}, {}, 1,
    ),
    CIFARForm(
        "CIFAR-100 (python version)", "cifar-100-python",
        {TRAIN: ("train",), TEST: ("test",)},
        {"fine": "meta", "coarse": "meta"}, {"fine": "fine_labels", "coarse": "coarse_labels"},
        {"fine": "fine_label_names", "coarse": "coarse_label_names"}, 0,
    ),
    CIFARForm(
        "CIFAR-100 (binary version)", "cifar-100-binary",
        {TRAIN: ("train.bin",), TEST: ("test.bin",)},
        {"fine": "fine_label_names.txt", "coarse": "coarse_label_names.txt"}, {"fine": 1, "coarse": 0}, {}, 2,
    ),
)  # fmt: skip


def read_cifar(config: CIFARConfig) -> ImageSource:
    """Read CIFAR-10 or CIFAR-100: 32×32 RGB, parts train and test; the same source from each version of the same data.

    A folder may hold the files themselves or the folder that the archive unpacks to; an archive (.tar, .tar.gz) is read
    in place, its members by name, and nothing is unpacked. Pickles are not loaded: see `read_cifar_pickle`.

    Raises:
        DataError: there is no such file, files of one version are not all there or those of two are, one is damaged or
            cut short, or a label has no class name.
    """
    path = Path(config.path).expanduser().absolute()
    where = f"data.source.path: {shown(str(path))}"
    names = {name for form in FORMS for name in _files_of(form)}
    files = find_files(path, names, [form.folder for form in FORMS], where)
    form = _find_form(files, where)
    if config.labels not in form.names:
        raise DataError(f"data.source.labels = {config.labels!r}: {form.name} has no such labels, only fine ones")
    missing = [name for name in _files_of(form) if name not in files]
    if missing:
        raise DataError(f"{where}: {form.name} lacks {', '.join(missing)}. Get the whole archive from {URL}.")
    class_names = _class_names(form, config.labels, files)
    parts = {part: _read_part(form, part, config.labels, class_names, files) for part in form.files}
    return array_source(parts, class_names, _notes(form, parts))


def _files_of(form: CIFARForm) -> list[str]:
    return [*(name for names in form.files.values() for name in names), *dict.fromkeys(form.names.values())]


def _find_form(files: FoundFiles, where: str) -> CIFARForm:
    """Find the version by its training files."""
    found = [form for form in FORMS if any(name in files for name in form.files[TRAIN])]
    if len(found) != 1:
        versions = " and ".join(form.name for form in found)
        problem = f"holds {versions}: give the folder or archive of one" if found else "holds no file of CIFAR"
        known = ", ".join(f"{form.folder}/{form.files[TRAIN][0]}" for form in FORMS)
        raise DataError(f"{where} {problem}. Looked for {known}; the archives are at {URL}.")
    return found[0]


def _class_names(form: CIFARForm, labels: str, files: FoundFiles) -> tuple[str, ...]:
    where, read = files[form.names[labels]]
    data = read()
    if form.label_bytes:
        try:
            names = tuple(line.strip() for line in data.decode("utf-8-sig").splitlines() if line.strip())
        except UnicodeDecodeError as error:
            raise DataError(f"{where}: not UTF-8 text: {error}. Get the file again.") from error
    else:
        listed = _key(read_cifar_pickle(data, where), form.name_keys[labels], where)
        names = tuple(map(_text, listed)) if isinstance(listed, list | tuple) else ()
    if not names or len(set(names)) < len(names) or not all(names):
        raise DataError(f"{where}: expected class names, all different; found {len(names)}. Get the file again.")
    return names


def _text(name: Any) -> str:
    try:
        return name.decode() if isinstance(name, bytes) else name if isinstance(name, str) else ""
    except UnicodeDecodeError:
        return ""


def _key(table: Mapping[str, Any], key: str, where: str) -> Any:
    if key not in table:
        raise DataError(f"{where}: no {key!r} in it; it has {', '.join(map(ascii, list(table)[:10])) or 'nothing'}")
    return table[key]


def _read_part(form: CIFARForm, part: str, labels: str, class_names: tuple[str, ...], files: FoundFiles) -> PartArrays:
    from_file = _from_binary if form.label_bytes else _from_pickle
    pieces = []
    for name in form.files[part]:
        where, read = files[name]
        flat, truth = from_file(form, labels, read(), where)
        beyond = (truth < 0) | (truth >= len(class_names))
        if beyond.any():
            raise DataError(
                f"{where}: {int(beyond.sum())} of {len(truth)} labels have no class: {int(truth.min())} …"
                f" {int(truth.max())}, but there are {len(class_names)} class names. Get the file again."
            )
        pieces.append(PartArrays(flat, truth.astype(np.int32)))
    flat = np.concatenate([piece.images for piece in pieces])
    images = flat.reshape(-1, CHANNELS, SIDE, SIDE).transpose(0, 2, 3, 1)
    return PartArrays(np.ascontiguousarray(images), np.concatenate([piece.labels for piece in pieces]))


def _from_binary(form: CIFARForm, labels: str, data: bytes, where: str) -> tuple[np.ndarray, np.ndarray]:
    length = form.label_bytes + PIXELS
    if not data or len(data) % length:
        raise DataError(
            f"{where}: {len(data)} bytes, which are no whole number of records of {length}: cut short, or another file."
            " Get the file again."
        )
    records = np.frombuffer(data, np.uint8).reshape(-1, length)
    return records[:, form.label_bytes :], records[:, int(form.label_at[labels])]


def _from_pickle(form: CIFARForm, labels: str, data: bytes, where: str) -> tuple[np.ndarray, np.ndarray]:
    table = read_cifar_pickle(data, where)
    key = str(form.label_at[labels])
    flat, truth = _key(table, "data", where), _key(table, key, where)
    if not isinstance(flat, np.ndarray) or flat.dtype != np.uint8 or flat.ndim != 2 or flat.shape[1] != PIXELS:
        raise DataError(f"{where}: 'data' is not an array of uint8 [n, {PIXELS}]. Get the file again.")
    if isinstance(truth, list) and all(type(label) is int and abs(label) < 2**31 for label in truth):
        truth = np.array(truth, np.int64)
    if not isinstance(truth, np.ndarray) or truth.ndim != 1:
        raise DataError(f"{where}: {key!r} is not a list of whole numbers. Get the file again.")
    if len(truth) != len(flat) or not len(flat):
        raise DataError(f"{where}: {len(flat)} images but {len(truth)} labels. Get the file again.")
    return flat, truth


def _notes(form: CIFARForm, parts: Mapping[str, PartArrays]) -> tuple[str, ...]:
    """Say where there are more or fewer images than were published: a file cut at the end of a record looks whole."""
    return tuple(
        f"{form.name}: {len(parts[part].labels)} {part} images; the published set has {number}"
        for part, number in OFFICIAL.items()
        if len(parts[part].labels) != number
    )
