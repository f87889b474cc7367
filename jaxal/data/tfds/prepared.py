"""Where prepared data sets lie: DATA_DIR/NAME/VERSION or DATA_DIR/NAME/CONFIG/VERSION."""

import json
import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jaxal.data.problems import shown
from jaxal.data.tfds.library import tensorflow_datasets
from jaxal.data.tfds.names import OWN_SETS
from jaxal.errors import DataError

__all__ = ["data_folder", "find_prepared", "open_prepared"]

VERSION = re.compile(r"\d+\.\d+\.\d+")
ARRAY_RECORD = "array_record"
MAX_NAMED = 20
# Features of other modules would be imported by name: a file of data must not choose what is imported.
FEATURE_MODULES = "tensorflow_datasets.core.features."


def data_folder(setting: str) -> Path:
    """Find the folder of prepared sets: the setting, else $TFDS_DATA_DIR, else ~/tensorflow_datasets.

    Raises:
        DataError: there is neither of these nor a home.
    """
    try:
        return Path(setting or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets").expanduser().absolute()
    except RuntimeError as error:
        raise DataError("data.source.data_dir: this user has no home folder; set it") from error


def find_prepared(name: str, data_dir: str) -> Path:
    """Find the folder of a prepared set, of its newest version where none is given.

    Args:
        name: NAME, NAME/CONFIG, either with :VERSION.
        data_dir: of all sets, as set.

    Raises:
        DataError: it is not there (the message says what is, and how to prepare it), or it has several configs and
            none is given.
    """
    root = data_folder(data_dir)
    path, _, version = name.partition(":")
    folders = [root / path]
    if "/" not in path and not list(_versions(root / path)):
        folders = [each for each in _folders(root / path) if list(_versions(each))]
    if len(folders) > 1:
        configs = ", ".join(f"{path}/{folder.name}" for folder in folders)
        raise DataError(f"data.source.name = {name!r}: prepared with several configs; name one of {configs}")
    found = sorted(_versions(folders[0]), key=_number) if folders else []
    matching = [each for each in found if version in ("", each.name)]
    if matching:
        return matching[-1]
    others = f"Prepared are the versions {', '.join(each.name for each in found)}." if found else _sets_in(root)
    raise DataError(
        f"data.source.name = {name!r}: not prepared in {shown(str(root))}. {others} Prepare it by\n"
        f"  {_command(path, root)}\nor set data.source.data_dir to the folder that it was prepared in."
    )


def _sets_in(root: Path) -> str:
    """Say which sets are prepared in a folder."""
    names = []
    for each in _folders(root):
        configs = [f"{each.name}/{inner.name}" for inner in _folders(each) if list(_versions(inner))]
        names += [each.name] if list(_versions(each)) else configs
    more = f", … ({len(names)} in all)" if len(names) > MAX_NAMED else ""
    return f"Prepared there: {', '.join(names[:MAX_NAMED])}{more}." if names else "Nothing is prepared there."


def open_prepared(folder: Path) -> Any:
    """Open a prepared set; nothing of the code that made it is imported, and no network is asked.

    Returns:
        A builder of TensorFlow Datasets that can only read.

    Raises:
        DataError: its description is damaged, it has a feature of an unknown kind, or it is not in ArrayRecord.
    """
    where = shown(str(folder))
    try:
        described = json.loads((folder / "dataset_info.json").read_bytes())
        kinds = list(_class_names(json.loads((folder / "features.json").read_bytes())))
        formats = [described.get("fileFormat"), *described.get("alternativeFileFormats", [])]
    except (OSError, ValueError, RecursionError, AttributeError, TypeError) as error:
        raise DataError(f"{where}: its description cannot be read: {error}. Prepare it again.") from error
    foreign = sorted({kind for kind in kinds if not kind.startswith(FEATURE_MODULES)})
    if foreign:
        raise DataError(f"{where}: refused, it has features that are not TensorFlow Datasets' own: {foreign[:3]}")
    if ARRAY_RECORD not in formats:
        raise DataError(
            f"{where}: prepared as {formats[0] or 'tfrecord'}, which only TensorFlow reads. Prepare it as ArrayRecord:"
            f"\n  {_command(_name_of(folder, described), _root_of(folder, described))}"
        )
    tfds = tensorflow_datasets()
    try:
        return tfds.builder_from_directory(folder, file_format=ARRAY_RECORD)
    except Exception as error:  # a description from outside goes through several parsers: anything may come out
        raise DataError(f"{where}: cannot be opened: {type(error).__name__}: {error}. Prepare it again.") from error


def _versions(folder: Path) -> Iterator[Path]:
    for each in _folders(folder):
        if VERSION.fullmatch(each.name) and (each / "dataset_info.json").is_file():
            yield each


def _folders(folder: Path) -> list[Path]:
    try:
        return sorted(Path(entry) for entry in os.scandir(folder) if entry.is_dir())
    except OSError:
        return []


def _number(folder: Path) -> tuple[int, ...]:
    return tuple(map(int, folder.name.split(".")))


def _class_names(node: Any) -> Iterator[str]:
    """Yield every Python class that a description of features names."""
    nodes = [node]
    while nodes:
        node = nodes.pop()
        if isinstance(node, dict):
            nodes.extend(node.values())
            kind = node.get("pythonClassName", node.get("type"))
            if isinstance(kind, str):
                yield kind
        elif isinstance(node, list):
            nodes.extend(node)


def _name_of(folder: Path, described: dict[str, Any]) -> str:
    return "/".join(folder.parts[-3:-1] if described.get("configName") else folder.parts[-2:-1])


def _root_of(folder: Path, described: dict[str, Any]) -> Path:
    return folder.parents[2] if described.get("configName") else folder.parents[1]


def _command(name: str, root: Path) -> str:
    """Return what to type in a shell to prepare a set."""
    place = shlex.quote(str(root))
    if name in OWN_SETS:
        return f"python scripts/prepare_tfds.py {name} --manual-dir FOLDER_OF_IMAGES --data-dir {place}"
    return f"tfds build {name} --file_format {ARRAY_RECORD} --data_dir {place}  # downloads it; may need TensorFlow"
