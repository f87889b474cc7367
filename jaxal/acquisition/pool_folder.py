"""A folder made by `jaxal embed` as a pool: its embeddings, its ids, and the labels that a CSV file tells."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxal.acquisition.memory import free_bytes
from jaxal.acquisition.pool_file import PoolFile, read_head_file
from jaxal.acquisition.pool_inputs import mesh_for
from jaxal.data.embedding_manifest import read_ids, read_manifest
from jaxal.data.embedding_shards import open_embeddings as open_folder
from jaxal.data.problems import Problem, refusal, shown
from jaxal.data.readers.csv_text import read_table
from jaxal.errors import DataError
from jaxal.pool import EXCLUDED, UNLABELED
from jaxal.strategies.spread_pool import held_on_host
from jaxal.training.placement import read_onto_device
from jaxal.typing import Array, Float

__all__ = ["OpenedEmbeddings", "known_labels", "open_embeddings", "read_labels", "read_pool_folder"]

ID, LABEL = "id", "label"
SKIP = "skip"


class OpenedEmbeddings(NamedTuple):
    """What a folder of embeddings holds; true labels are not in it."""

    embeddings: Float[Array, "N D"]  # of all rows of the data that was embedded
    ids: tuple[str, ...]  # N, of the samples
    class_names: tuple[str, ...]  # of the data, in the order of the classes


def open_embeddings(path: str | Path, *, devices: int | None = None) -> OpenedEmbeddings:
    """Read a folder made by `jaxal embed`, for `select`. Every file is compared with its hash first.

    Args:
        path: of the folder; it may have been moved.
        devices: that of `select`, which by default spreads over all (on CPUs, one). What is to be spread is held on the
            host till then: no device may have room for all of it.

    Returns:
        What it holds: embeddings go to the device piece by piece, and the host keeps no copy beside that; or they lie
        on the host, where `select` is to spread them.

    Raises:
        DataError: there is no such folder, it is not finished, a file in it is damaged, or it does not fit in memory.
        InputError: devices is no whole number from 1, or more than there are.
    """
    where, folder = shown(str(path)), Path(path).expanduser().absolute()
    mesh = mesh_for(devices)
    with held_on_host(mesh):
        _refuse_too_large(folder, where, is_spread=mesh is not None)
        opened = open_folder(folder, where)
        ids = read_ids(opened.folder, opened.manifest)
        if ids is None:
            raise DataError(f"{where}: samples.csv was changed meanwhile")
        return OpenedEmbeddings(read_onto_device(opened.rows), tuple(ids), opened.manifest.class_names)


def _refuse_too_large(folder: Path, where: str, *, is_spread: bool) -> None:
    """Refuse embeddings that would not fit, before any of them is read."""
    manifest, (free, is_device) = read_manifest(folder), free_bytes()
    if manifest is None or free is None:
        return
    num_bytes = manifest.of.num_rows * manifest.of.width * np.dtype(np.float32).itemsize
    if num_bytes > free:
        place = "on the device" if is_device else "in memory"
        spread = ", where rows wait to be spread over devices (--devices 1: on one, at once)" if is_spread else ""
        raise DataError(
            f"{where}: {manifest.of.num_rows} rows of {manifest.of.width} numbers take {num_bytes / 1e9:.3g} GB, but"
            f" {free / 1e9:.3g} GB are free {place}{spread}. `jaxal select … --stream STATE` chooses from the disk and"
            " needs a few bytes a row."
        )


def read_pool_folder(
    path: str | Path, labels: str | Path | None, head: str | Path | None = None, *, devices: int | None = None
) -> PoolFile:
    """Read a folder of embeddings as what `select` takes.

    Args:
        path: of the folder.
        labels: a CSV file, see `read_labels`; where absent, nothing is labeled.
        head: an npz file with the model's last layer; none where absent.
        devices: as in `open_embeddings`.

    Raises:
        DataError, InputError: as `open_embeddings`, `read_labels` and `read_head_file`.
    """
    layer = {} if head is None else {"head": read_head_file(head)}
    opened = open_embeddings(path, devices=devices)
    arguments = {
        "embeddings": opened.embeddings,
        "labels": known_labels(labels, opened.ids, len(opened.ids), opened.class_names),
        "num_classes": len(opened.class_names),
        "sample_ids": list(opened.ids),
        **layer,
    }
    return PoolFile(arguments, opened.ids)


def known_labels(
    path: str | Path | None, ids: Iterable[str], num_rows: int, class_names: tuple[str, ...]
) -> np.ndarray:
    """Read labels as `read_labels` does; without a file nothing is labeled."""
    return np.full(num_rows, UNLABELED, np.int32) if path is None else read_labels(path, ids, class_names)


def read_labels(path: str | Path, ids: Iterable[str], class_names: tuple[str, ...]) -> np.ndarray:
    """Read the labels known so far from a CSV file with the columns id and label; others are not looked at.

    A label is the name of a class. An empty one leaves the sample unlabeled, `skip` says never to ask it (unless a
    class has that name), and a sample without a row is unlabeled. Nothing else is guessed: one wrong row refuses all.

    Args:
        path: of the file: UTF-8 with or without a byte order mark, with commas, semicolons or tabs, any line ends.
        ids: of the pool, N; gone through once, and only those that the file names are held.
        class_names: in the order of the classes.

    Returns:
        int32 [N], the class of each sample, UNLABELED or EXCLUDED.

    Raises:
        DataError: no such file, no such text, a column is missing; or rows with too few or many cells, an unknown or
            repeated id, or an unknown class, all of them at once.
    """
    table = read_table(Path(path).expanduser().absolute(), str(path), (ID, LABEL), setting="--labels")
    missing = [name for name in (ID, LABEL) if name not in table.header]
    if missing:
        columns = ", ".join(map(repr, table.header))
        raise DataError(f"--labels {shown(str(path))}: no column {' and no column '.join(missing)}; it has {columns}")
    id_column, label_column = table.header.index(ID), table.header.index(LABEL)
    named, num_rows, rows = {row.cells[id_column] for row in table.rows}, 0, dict[str, int]()
    for name in ids:
        if name in named:
            rows[name] = num_rows
        num_rows += 1
    meanings = {"": UNLABELED, SKIP: EXCLUDED} | {name: number for number, name in enumerate(class_names)}
    labels, seen = np.full(num_rows, UNLABELED, np.int32), dict[str, tuple[int, str]]()
    problems = list(table.problems)
    for row in table.rows:
        name, label = row.cells[id_column], row.cells[label_column]
        line, other = seen.setdefault(name, (row.line, label))
        if name not in rows:
            problems.append(Problem(f"line {row.line} ({name})", "id that is not in the pool"))
        elif line != row.line:
            kind = "id of an earlier row" + (", with another label" if label != other else "")
            problems.append(Problem(f"line {row.line} ({name}, line {line})", kind))
        elif label not in meanings:
            problems.append(Problem(f"line {row.line} ({label})", "label that is no class"))
        else:
            labels[rows[name]] = meanings[label]
    if problems:
        raise refusal(
            problems,
            heading=f"--labels {shown(str(path))}",
            advice=f"Correct these lines; none was used. The classes are {', '.join(map(shown, class_names))}.",
        )
    return labels
