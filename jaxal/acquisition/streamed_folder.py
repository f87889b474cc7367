"""A folder made by `jaxal embed` as a pool that stays on the disk."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from jaxal.acquisition.pool_file import read_head_file
from jaxal.acquisition.pool_folder import known_labels
from jaxal.acquisition.pool_inputs import read_head
from jaxal.acquisition.sample_ids import int32_text_ids
from jaxal.acquisition.streamed_rows import StreamedPool
from jaxal.data.embedding_manifest import digest_of, ids_by_row, iterate_ids
from jaxal.data.embedding_shards import open_unread
from jaxal.data.problems import shown
from jaxal.errors import InputError
from jaxal.pool import EXCLUDED
from jaxal.strategies.inputs import check_head

__all__ = ["StreamedFolder", "check_state_folder", "ids_of_rows", "open_streamed_folder"]


class StreamedFolder(NamedTuple):
    """A pool, and where its ids are."""

    pool: StreamedPool
    folder: Path


def open_streamed_folder(path: str | Path, labels: str | Path | None, head: str | Path | None = None) -> StreamedFolder:
    """Open a folder of embeddings without reading them. Each file is compared with its hash when it is first read.

    Args:
        path: of the folder.
        labels: a CSV file, see `read_labels`; where absent, nothing is labeled.
        head: an npz file with the model's last layer; none where absent.

    Raises:
        DataError: as `open_unread`, `read_labels` and `read_head_file`.
        InputError: the head does not fit the embeddings or the classes, or is not finite.
    """
    opened = open_unread(Path(path).expanduser().absolute(), shown(str(path)))
    folder, manifest = opened.folder, opened.manifest
    known = known_labels(labels, iterate_ids(folder), manifest.of.num_rows, manifest.class_names)
    layer = None
    if head is not None:
        layer, _ = read_head(read_head_file(head))
        assert layer is not None
        check_head(layer, {"D": manifest.of.width, "C": len(manifest.class_names)})
    pool = StreamedPool(
        rows=opened.rows,
        labels=known,
        sample_ids=lambda: int32_text_ids(iterate_ids(folder), ids_by_row(folder), known != EXCLUDED),
        num_classes=len(manifest.class_names),
        head=layer,
        digest=f"{digest_of(manifest)[:16]} {manifest.samples_sha256[:16]}",
    )
    return StreamedFolder(pool, folder)


def ids_of_rows(folder: Path, rows: Sequence[int]) -> dict[int, str]:
    """Look the ids of some rows up."""
    return dict(zip(rows, ids_by_row(folder)(rows), strict=True))


def check_state_folder(state: str | Path, pool: str | Path, out: str | Path | None) -> None:
    """Refuse, before any work is done, a folder for the state inside that of the embeddings, or with the query in it.

    Raises:
        InputError: names the two that meet.
    """
    place = Path(state).resolve()
    if Path(pool).resolve() in (place, *place.parents):
        raise InputError(f"stream: {state} lies in the pool's own folder, where nothing is written; give another place")
    if out is not None and place in Path(out).resolve().parents:
        raise InputError(f"out: {out} lies in {state}, which is for the state alone; give another place")
