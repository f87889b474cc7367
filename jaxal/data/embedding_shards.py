"""Embeddings on the disk: made once, shard by shard, taken up where that was stopped, checked before they are used."""

import functools
import hashlib
import os
import re
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from jaxal.data.cache_files import (
    ABANDONED,
    check_space,
    clear_temporaries,
    file_sha256,
    npy_header,
    read_sealed,
    sync_folder,
    temporary_file,
    write_sealed,
)
from jaxal.data.embedding_manifest import (
    MANIFEST,
    SAMPLES,
    EmbeddingsOf,
    MadeBy,
    Manifest,
    has_its_ids,
    key_of,
    read_manifest,
    samples_text,
    shard_facts,
    what_differs,
    write_manifest,
)
from jaxal.data.image_shards import damaged_shards
from jaxal.data.listeners import OnImages
from jaxal.data.loading import Images
from jaxal.data.problems import Problem, examples, refusal, shown
from jaxal.data.shard_files import ShardFacts
from jaxal.data.shard_rows import row_reader
from jaxal.data.threads import map_in_threads
from jaxal.errors import DataError

__all__ = ["Embeddings", "make_embeddings", "open_embeddings", "open_unread"]

# A shard holds so many whole batches as fill this many bytes, at least one: a killed process loses one shard.
SHARD_BYTES = 2**24
AGAIN = "Run the same `jaxal embed` again: it makes what is missing or damaged anew, or get a whole copy."
# Says what a folder is for from the first moment on.
MARK = "begun.json"
SHARD_FILE = re.compile(r"embeddings-\d{5,}\.(npy|json)")
TEMPORARY = re.compile(rf"\.({MARK}|{MANIFEST}|{SAMPLES}|{SHARD_FILE.pattern})\..*\.tmp")

# Rows [a, b) of the source, one such for each shard -> their embeddings, float32 blocks [., D] in that order.
EmbedFn = Callable[[Iterable[range]], Generator[np.ndarray, None, None]]


class Embeddings(NamedTuple):
    """The embeddings of a source in a finished folder; no row of a shard that is not what it should be is ever read."""

    folder: Path
    manifest: Manifest
    rows: Images  # float32 [N, D], read from the disk where they are wanted
    num_made: int  # rows that were not there, or not sound


class Sidecar(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What stands beside a shard: whose it is (see `key_of`), which one, how many rows, and the hash of its file."""

    key: str
    number: int
    num_rows: int
    sha256: str


def make_embeddings(
    folder: Path,
    of: EmbeddingsOf,
    made_by: MadeBy,
    embed: EmbedFn,
    *,
    ids: Sequence[str],
    class_names: tuple[str, ...],
    setting: str,
    on_embedded: OnImages = lambda done, total: None,
    place: tuple[int, int] = (0, 1),
) -> Embeddings:
    """Bring a folder to hold the embeddings of a source: what is sound in it stays, all else is made.

    embeddings-00000.npy, … are float32 [n, D] in the source's order, samples.csv names the rows, and embeddings.json,
    sealed and written last, says what they are. A process that is killed at any time loses one shard; the next one goes
    on there and ends with the same bytes. No lock is needed: several processes put the same bytes there, each file
    whole. A finished folder that was made by other batches or on another device is taken as it is.

    Args:
        folder: made where missing.
        of: what they are of.
        made_by: how `embed` computes.
        embed: gives the embeddings of some shards' rows.
        ids: str [N], of the source.
        class_names: of the source.
        setting: what a user sets to have another folder, for refusals.
        on_embedded: told how many rows of how many are there.
        place: number of this process, from 0, and how many do this at the same time. Each begins elsewhere and leaves
            out what it finds made, so that they share the work where the folder is the same for all.

    Raises:
        DataError: the folder holds something else or the embeddings of something else, it cannot be written, or there
            is not enough space.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _claim(folder, of, key_of(of, made_by), setting)
        finished = read_manifest(folder)
        if finished is not None and has_its_ids(folder, finished) and not _damaged(folder, finished):
            return _opened(folder, finished, num_made=0)
        return _make(folder, of, made_by, embed, ids, class_names, setting, on_embedded, place)
    except OSError as error:
        raise DataError(
            f"{setting}: cannot write to {shown(str(folder))}: {error.strerror or error}. Choose a folder elsewhere."
        ) from error


def open_embeddings(folder: Path, where: str, of: EmbeddingsOf | None = None) -> Embeddings:
    """Open a finished folder, which may have been moved; every shard is hashed, once in this process.

    Args:
        folder: made by `make_embeddings`; nothing is written to it.
        where: the setting and the folder, for refusals.
        of: what they have to be of.

    Raises:
        DataError: there is no such folder, it is not finished, damaged, or of something else: all differences are told.
    """
    manifest = _finished(folder, where)
    differing = [] if of is None else what_differs(manifest.of, of)
    if differing:
        raise DataError(
            "\n".join(
                [
                    f"{where}: these are not the embeddings of this data by this model:",
                    *(f"  {line}" for line in differing),
                    "Give the folder that `jaxal embed` makes of this study, or none: then they are made and cached.",
                ]
            )
        )
    _refuse_damaged(folder, manifest, _damaged(folder, manifest), where)
    return _opened(folder, manifest, num_made=0)


def open_unread(folder: Path, where: str) -> Embeddings:
    """Open a finished folder as `open_embeddings` does, but hash each shard when the first of its rows is read.

    So one pass over all rows reads the disk once.

    Raises:
        DataError: as `open_embeddings`; of damaged shards only those whose length is wrong are found here.
    """
    manifest = _finished(folder, where)
    shards, of = shard_facts(folder, manifest), manifest.of
    header, row_bytes = len(npy_header((0, of.width), np.float32)), of.width * np.dtype(np.float32).itemsize
    short = [shard for shard in shards if _num_bytes(shard.path) != header + shard.num_images * row_bytes]
    _refuse_damaged(folder, manifest, damaged_shards(short), where)
    return _opened(folder, manifest, num_made=0, are_verified=False)


def _finished(folder: Path, where: str) -> Manifest:
    if not folder.is_dir():
        raise DataError(f"{where}: no such folder (current directory {Path.cwd()}); `jaxal embed` makes one")
    if not (folder / MANIFEST).is_file():
        raise DataError(f"{where}: no {MANIFEST} in it: no folder made by `jaxal embed`, or an unfinished one. {AGAIN}")
    manifest = read_manifest(folder)
    if manifest is None:
        raise DataError(f"{where}: {MANIFEST} is damaged, or was written by another version of jaxal. {AGAIN}")
    return manifest


def _refuse_damaged(folder: Path, manifest: Manifest, damaged: list[Problem], where: str) -> None:
    if not has_its_ids(folder, manifest):
        damaged = [*damaged, Problem(SAMPLES, "file that is not the one that was written")]
    if damaged:
        raise refusal(damaged, heading=where, advice=AGAIN)


def _num_bytes(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def _opened(folder: Path, manifest: Manifest, num_made: int, *, are_verified: bool = True) -> Embeddings:
    of, advice = manifest.of, "Run the same command again." if are_verified else AGAIN
    read = row_reader(shard_facts(folder, manifest), (of.width,), np.float32, advice, are_verified=are_verified)
    return Embeddings(folder, manifest, Images(read, of.num_rows, (of.width,), np.float32), num_made)


def _claim(folder: Path, of: EmbeddingsOf, key: str, setting: str) -> None:
    """Refuse a folder of something else; mark one that is empty, or whose mark is damaged, as that of these."""
    finished, begun = read_manifest(folder), read_sealed(folder / MARK, EmbeddingsOf)
    there = finished.of if finished is not None else begun
    if there is None:
        others = sorted(name for name in os.listdir(folder) if not _is_ours(folder / name, key))
        if others:
            raise DataError(
                f"{setting}: {shown(str(folder))} holds something else ({examples(others)}); nothing was changed. "
                "Choose a new or empty folder."
            )
    elif what_differs(there, of):
        lines = "".join(f"\n  {line}" for line in what_differs(there, of))
        raise DataError(
            f"{setting}: {shown(str(folder))} holds other embeddings; nothing was changed:{lines}\n"
            "Choose another folder."
        )
    if begun is None:
        write_sealed(folder / MARK, of)
    clear_temporaries(folder, older_than=ABANDONED)


def _is_ours(path: Path, key: str) -> bool:
    """Tell whether a file may be of these embeddings, by its name and, of a shard, by its sidecar if that is whole."""
    if SHARD_FILE.fullmatch(path.name):
        sidecar = read_sealed(path.with_suffix(".json"), Sidecar)
        return sidecar is None or sidecar.key == key
    return path.name in (MARK, MANIFEST, SAMPLES) or bool(TEMPORARY.fullmatch(path.name))


def _make(
    folder: Path,
    of: EmbeddingsOf,
    made_by: MadeBy,
    embed: EmbedFn,
    ids: Sequence[str],
    class_names: tuple[str, ...],
    setting: str,
    on_embedded: OnImages,
    place: tuple[int, int],
) -> Embeddings:
    text, key, parts = samples_text(ids), key_of(of, made_by), _parts(of, made_by)
    paths = [folder / f"embeddings-{number:05}.npy" for number in range(len(parts))]

    def verified(number: int) -> ShardFacts | None:
        sidecar = read_sealed(paths[number].with_suffix(".json"), Sidecar)
        if sidecar is None or (sidecar.key, sidecar.number, sidecar.num_rows) != (key, number, len(parts[number])):
            return None
        shard = ShardFacts(paths[number], sidecar.sha256, sidecar.num_rows)
        return shard if _is_sound(shard) else None

    with closing(map_in_threads(verified, range(len(parts)))) as found:
        shards = list(found)
    todo = [number for number, shard in enumerate(shards) if shard is None]
    first = len(todo) * place[0] // place[1]
    todo = todo[first:] + todo[:first]
    num_made = sum(len(parts[number]) for number in todo)
    check_space(folder, num_made * of.width * np.dtype(np.float32).itemsize, setting, "the embeddings")
    done = of.num_rows - num_made
    on_embedded(done, of.num_rows)

    def counted(blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        nonlocal done
        for block in blocks:
            done += len(block)
            on_embedded(done, of.num_rows)
            yield block

    begun: deque[int] = deque()

    def still_missing() -> Iterator[range]:
        nonlocal done
        for number in todo:
            shards[number] = verified(number) if place[1] > 1 else None
            if shards[number] is None:
                begun.append(number)
                yield parts[number]
            else:  # another process has made it meanwhile
                done += len(parts[number])
                on_embedded(done, of.num_rows)

    with closing(embed(still_missing())) as blocks:
        given = counted(blocks)
        for block in given:
            number = begun.popleft()
            sha256 = _write_shard(paths[number], len(parts[number]), of.width, chain([block], given))
            write_sealed(paths[number].with_suffix(".json"), Sidecar(key, number, len(parts[number]), sha256))
            shards[number] = ShardFacts(paths[number], sha256, len(parts[number]))
    _clear_others(folder, {path.name for path in paths})
    manifest = write_manifest(folder, of, made_by, class_names, [shard for shard in shards if shard is not None], text)
    return _opened(folder, manifest, num_made)


def _parts(of: EmbeddingsOf, made_by: MadeBy) -> list[range]:
    """Lay out the rows of the source in shards of whole batches."""
    num_bytes = of.width * np.dtype(np.float32).itemsize * made_by.batch_size
    step = made_by.batch_size * max(1, SHARD_BYTES // num_bytes)
    return [range(start, min(start + step, of.num_rows)) for start in range(0, of.num_rows, step)]


def _write_shard(path: Path, num_rows: int, width: int, blocks: Iterator[np.ndarray]) -> str:
    """Write the next rows that come, whole and durable or not at all; returns the hash of the file."""
    header = npy_header((num_rows, width), np.float32)
    digest = hashlib.sha256(header)
    with temporary_file(path) as file:
        file.write(header)
        while num_rows:
            block = np.ascontiguousarray(next(blocks), np.float32)
            assert block.shape[1] == width
            assert len(block) <= num_rows
            num_rows -= len(block)
            file.write(block.data)
            digest.update(block.data)
    sync_folder(path.parent)
    return digest.hexdigest()


def _clear_others(folder: Path, names: set[str]) -> None:
    """Remove shards of an earlier, longer layout, made by other batches."""
    for path in folder.iterdir():
        if SHARD_FILE.fullmatch(path.name) and f"{path.stem}.npy" not in names:
            path.unlink(missing_ok=True)


def _damaged(folder: Path, manifest: Manifest) -> list[Problem]:
    return damaged_shards([shard for shard in shard_facts(folder, manifest) if not _is_sound(shard)])


def _is_sound(shard: ShardFacts) -> bool:
    try:
        status = os.stat(shard.path)
        return _has_hash(shard.path, shard.sha256, (status.st_ino, status.st_size, status.st_mtime_ns))
    except OSError:
        return False


# As long as a file is as it was, it is hashed once: all arms and seeds of a study read the same shards.
@functools.lru_cache(maxsize=2**16)
def _has_hash(path: Path, sha256: str, state: tuple[int, ...]) -> bool:
    return file_sha256(path) == sha256
