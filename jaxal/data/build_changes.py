"""What has changed in the data since a folder was built from it: every file is read and hashed."""

import os
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from jaxal.data.cache_files import file_sha256
from jaxal.data.decoding import BadImageError, decode_image
from jaxal.data.decoding_threads import file_state
from jaxal.data.image_shards import REPORT_EVERY, utf8_name
from jaxal.data.listeners import OnImages
from jaxal.data.manifest import Built, Row
from jaxal.data.problems import Problem
from jaxal.data.readers.usable_images import NOT_UTF8
from jaxal.data.records import ImageRecord
from jaxal.data.threads import map_in_threads

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
    """Compare the files that a folder was built of with their bytes and SHA-256; those left out are decoded again.

    Args:
        built: the manifest.
        top: the data's folder.
        on_images: told how many files have been compared.
    """

    def problem(row: Row) -> Problem | None:
        path = row.record.path
        place = os.path.join(top, path)
        state = file_state(place)
        if state.bytes != row.num_bytes:
            return Problem(path, "image file that is gone" if state.bytes < 0 else CHANGED)
        try:
            is_same = file_sha256(place) == row.sha256
        except OSError as error:
            return Problem(path, f"image file that cannot be read: {error.strerror}")
        return None if is_same else Problem(path, CHANGED)

    with closing(map_in_threads(problem, built.rows)) as problems:
        for number, found in enumerate(problems, 1):
            if on_images is not None and (number % REPORT_EVERY == 0 or number == len(built.rows)):
                on_images(number, len(built.rows))
            if found is not None:
                yield found
    for each in built.manifest.excluded:
        if each.reason != NOT_UTF8 and _reason(os.path.join(top, each.path)) != each.reason:
            yield Problem(each.path, CHANGED)


def _reason(path: str) -> str:
    try:
        decode_image(path, size=1, color="gray")
    except BadImageError as error:
        return error.kind
    return ""
