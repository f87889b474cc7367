"""What has changed in the data since a folder was built from it: every file is read and hashed."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from jaxal.data.cache_files import file_sha256
from jaxal.data.decoding_threads import file_state
from jaxal.data.image_shards import REPORT_EVERY, OnImages, utf8_name
from jaxal.data.manifest import Built
from jaxal.data.problems import Problem
from jaxal.data.records import ImageRecord

__all__ = ["changed_files", "changed_labels"]

CHANGED = "image file that changed since"


def changed_labels(built: Built, records: Sequence[ImageRecord]) -> Iterator[Problem]:
    """Compare what a folder was built of with the records there are now.

    Args:
        built: the manifest.
        records: with paths relative to the data's folder.
    """
    rows = {row.record.id: row.record for row in built.rows}
    known = rows.keys() | {each.id for each in built.manifest.excluded}
    for record in records:
        before = rows.get(record.id)
        if utf8_name(record.id) not in known:
            yield Problem(record.id, "image that is new")
        elif before is not None:
            for what in ("path", "label", "group", "part", "columns"):
                if getattr(before, what) != getattr(record, what):
                    kind = {"part": "a split", "columns": "another column"}.get(what, f"a {what}")
                    yield Problem(record.id, f"image with {kind} that changed since")
    for name in sorted(rows.keys() - {record.id for record in records}):
        yield Problem(name, "image that is no longer in the labels")


def changed_files(built: Built, top: Path, on_images: OnImages | None = None) -> Iterator[Problem]:
    """Compare the files that a folder was built of with their bytes and SHA-256.

    Args:
        built: the manifest.
        top: the data's folder.
        on_images: told how many files have been compared.
    """

    def problem(path: str, num_bytes: int, sha256: str) -> Problem | None:
        place = os.path.join(top, path)
        state = file_state(place)
        if state.bytes != num_bytes:
            return Problem(path, "image file that is gone" if state.bytes < 0 else CHANGED)
        try:
            is_same = not sha256 or file_sha256(place) == sha256
        except OSError as error:
            return Problem(path, f"image file that cannot be read: {error.strerror}")
        return None if is_same else Problem(path, CHANGED)

    wanted = [(row.record.path, row.num_bytes, row.sha256) for row in built.rows]
    wanted += [(each.path, each.bytes, "") for each in built.manifest.excluded]
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        try:
            for number, found in enumerate(pool.map(lambda file: problem(*file), wanted), 1):
                if on_images is not None and (number % REPORT_EVERY == 0 or number == len(wanted)):
                    on_images(number, len(wanted))
                if found is not None:
                    yield found
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
