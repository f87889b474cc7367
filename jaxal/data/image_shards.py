"""Image files decoded and resized once, into shards on the disk that are checked whenever they are opened."""

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from jaxal.data.cache_files import check_space, file_sha256, user_cache_folder
from jaxal.data.decoding_threads import Attempt, FileState, decode_in_order, file_state
from jaxal.data.listeners import OnImages
from jaxal.data.problems import Problem
from jaxal.data.shard_files import (
    FORMAT_VERSION,
    Form,
    ShardFacts,
    SourceFile,
    files_per_shard,
    read_entries,
    refuse_changed,
    shape_of,
    shard_path,
    verify_shard,
    write_shard,
)
from jaxal.data.shard_rows import row_reader
from jaxal.data.stored_image import StoredImage
from jaxal.data.threads import map_in_threads
from jaxal.errors import DataError

__all__ = [
    "CachedImages",
    "Shards",
    "cache_root",
    "damaged_shards",
    "describe",
    "make_shards",
    "open_images",
    "utf8_name",
]

REPORT_EVERY = 32
# A constant picture has no spread; dividing by this keeps normalized pixels finite.
LEAST_STD = 1e-3


class CachedImages(NamedTuple):
    """Images of one size; n is the number of files asked for, g of those that could be used."""

    read: Callable[[np.ndarray], np.ndarray]  # indices [B] below g -> uint8 [B, size, size, channels]
    image_shape: tuple[int, int, int]
    mean: tuple[float, ...]  # per channel, of pixels scaled to [0, 1]
    std: tuple[float, ...]
    positions: np.ndarray  # int64 [g], ascending: which files these are
    problems: dict[int, str]  # position -> kind, of all other files
    conversions: Counter[str]  # what was changed on the way that a user may not expect: number of images
    sha256: tuple[str, ...]  # n, of each file's bytes; "" where it could not be used
    digest: str  # SHA-256 of what the images are, in order, wherever they lie and however they fall into shards


class Shards(NamedTuple):
    """Sound shards, in order."""

    facts: list[ShardFacts]
    num_made: int  # how many of them were not there, or not sound


def open_images(
    paths: Sequence[str | StoredImage],
    *,
    size: int,
    color: Literal["rgb", "gray"],
    cache_folder: str = "",
    on_images: OnImages | None = None,
) -> CachedImages:
    """Open image files as one array: from the cache, or decoding them all by as many threads as there are cores.

    A cache is found by a hash of size, color and each file's absolute path, bytes and time of change, so it is built
    anew when a file has changed. Not noticed is a file of the same length that was given its old time back. Shards that
    are missing or do not match their own hashes are made anew too. The result is the same in every case.

    No lock is needed: a shard is put in its place whole, two processes put the same bytes there, and a reader whose
    shard was replaced hashes it again.

    Args:
        paths: of the files, or images that lie inside others.
        size: side of the square images in pixels.
        color: "rgb" or "gray".
        cache_folder: holds the caches; the user's cache folder where empty.
        on_images: told how far decoding is.

    Raises:
        DataError: the cache cannot be written, there is not enough space, or files changed while they were read.
    """
    places = [path if isinstance(path, StoredImage) else os.path.abspath(path) for path in paths]
    names = [place.name if isinstance(place, StoredImage) else place for place in places]
    files = [SourceFile(utf8_name(name), place) for name, place in zip(names, places, strict=True)]
    states = [file_state(place) for place in places]
    form = Form(size, color)
    root = cache_root(cache_folder)
    try:
        shards = make_shards(root / _key(names, states, form), files, states, form, "data.source.cache", on_images)
    except OSError as error:
        raise DataError(
            f"data.source.cache: cannot write to {root}: {error.strerror or error}. Set data.source.cache to a folder "
            "with space for the resized images."
        ) from error
    return describe(shards.facts, form, "Run again: what is damaged in the cache is made anew.")


def cache_root(setting: str) -> Path:
    """Find the folder of all caches: the setting, else jaxal/images in $XDG_CACHE_HOME, else in ~/.cache.

    Raises:
        DataError: there is neither a setting nor a home.
    """
    try:
        return Path(setting).expanduser().absolute() if setting else user_cache_folder() / "images"
    except RuntimeError as error:
        raise DataError("data.source.cache: this user has no home folder; set it to a folder to write to") from error


def make_shards(
    folder: Path,
    files: Sequence[SourceFile],
    states: Sequence[FileState],
    form: Form,
    setting: str,
    on_images: OnImages | None = None,
) -> Shards:
    """Bring a folder to hold the shards of some files: sound ones stay, the others are made, one after the other.

    A process that is killed loses the shard it was at; the next one goes on there and ends with the same bytes.

    Args:
        folder: made where missing; files of other names in it are left alone.
        files: in order, with names that are all different.
        states: of the files.
        form: of the images.
        setting: what a user sets to have another folder, for refusals.
        on_images: told how many files are in sound shards, and how far decoding is.

    Raises:
        DataError: there is not enough space, or files changed while they were read.
        OSError: the folder cannot be written.
    """
    step = files_per_shard(form)
    # Also without files there is one shard, and so a form of the images.
    parts = [slice(start, start + step) for start in range(0, max(len(files), 1), step)]
    paths = [shard_path(folder, number) for number in range(len(parts))]
    say = on_images or (lambda done, total: None)
    done, shards = 0, []
    folder.mkdir(parents=True, exist_ok=True)

    def verified(number: int) -> ShardFacts | None:
        return verify_shard(paths[number], files[parts[number]], states[parts[number]], form)

    with closing(map_in_threads(verified, range(len(parts)))) as found:
        for shard, part in zip(found, parts, strict=True):
            shards.append(shard)
            if shard is not None:
                done += len(files[part])
                say(done, len(files))
    todo = [number for number, shard in enumerate(shards) if shard is None]
    if todo:
        num_bytes = (len(files) - done) * int(np.prod(shape_of(form)))
        check_space(folder, num_bytes, setting, "the resized images")
    with closing(
        decode_in_order(
            (file.path for number in todo for file in files[parts[number]]), size=form.size, color=form.color
        )
    ) as attempts:
        counted = _counted(attempts, done, len(files), say)
        for number in todo:
            shards[number] = write_shard(paths[number], files[parts[number]], counted, form)
    refuse_changed([file.name for file, state in zip(files, states, strict=True) if file_state(file.path) != state])
    return Shards(shards, len(todo))


def describe(shards: Sequence[ShardFacts], form: Form, advice: str) -> CachedImages:
    """Make one array of verified shards, from what their sidecars say; no image is read.

    Args:
        shards: in order.
        form: of the images.
        advice: what a user is to do where a shard is found damaged later on.

    Raises:
        DataError: a sidecar was changed meanwhile.
    """
    channels = shape_of(form)[2]
    # Python's integers: the squares of a million large images are more than 64 bits hold.
    sums, squares = [0] * channels, [0] * channels
    problems, conversions, hashes = {}, Counter(), []
    digest = hashlib.sha256(f"{form.size} {form.color}".encode())
    for shard in shards:
        for entry in read_entries(shard):
            if entry.problem:
                problems[len(hashes)] = entry.problem
            else:
                conversions.update(entry.conversions)
                sums = [total + value for total, value in zip(sums, entry.sums, strict=True)]
                squares = [total + value for total, value in zip(squares, entry.squares, strict=True)]
                # The sums tell what a decoder of another version may have made of the same file.
                digest.update(f"\n{entry.sha256} {entry.sums} {entry.squares}".encode())
            hashes.append(entry.sha256)
    num_images = len(hashes) - len(problems)
    num_pixels = max(num_images, 1) * form.size**2
    means = [total / num_pixels for total in sums]
    variances = [max(total / num_pixels - mean**2, 0.0) for total, mean in zip(squares, means, strict=True)]
    return CachedImages(
        read=row_reader(shards, shape_of(form), np.uint8, advice),
        image_shape=shape_of(form),
        mean=tuple(round(mean / 255, 3) for mean in means),
        std=tuple(round(max(variance**0.5 / 255, LEAST_STD), 3) for variance in variances),
        positions=np.array([each for each in range(len(hashes)) if each not in problems], np.int64),
        problems=problems,
        conversions=conversions,
        sha256=tuple(hashes),
        digest=digest.hexdigest(),
    )


def damaged_shards(shards: Sequence[ShardFacts], on_images: OnImages | None = None) -> list[Problem]:
    """Compare shards with their hashes, in threads.

    Args:
        shards: as they should be.
        on_images: told how many images have been compared.

    Returns:
        One problem for each that is damaged, missing or cannot be read.
    """

    def problem(shard: ShardFacts) -> Problem | None:
        try:
            is_sound = file_sha256(shard.path) == shard.sha256
        except FileNotFoundError:
            return Problem(shard.path.name, "shard that is missing")
        except OSError as error:
            return Problem(shard.path.name, f"shard that cannot be read: {error.strerror}")
        return None if is_sound else Problem(shard.path.name, "shard that is damaged (its SHA-256 differs)")

    total, done, found = sum(shard.num_images for shard in shards), 0, []
    with closing(map_in_threads(problem, shards)) as problems:
        for shard, each in zip(shards, problems, strict=True):
            found += [] if each is None else [each]
            done += shard.num_images
            if on_images is not None:
                on_images(done, total)
    return found


def utf8_name(path: str) -> str:
    """Return a path as text that JSON has a place for; bytes that are no UTF-8 become escapes."""
    return os.fsencode(path).decode(errors="backslashreplace")


def _counted(attempts: Iterator[Attempt], done: int, total: int, say: OnImages) -> Iterator[Attempt]:
    for attempt in attempts:
        done += 1
        if done % REPORT_EVERY == 0 or done == total:
            say(done, total)
        yield attempt


def _key(paths: Sequence[str], states: Sequence[FileState], form: Form) -> str:
    digest = hashlib.sha256(f"jaxal images {FORMAT_VERSION} {form.size} {form.color} {len(paths)}\n".encode())
    for path, state in zip(paths, states, strict=True):
        name = os.fsencode(path)
        digest.update(b"%d %d %d " % (len(name), *state) + name)
    return digest.hexdigest()
