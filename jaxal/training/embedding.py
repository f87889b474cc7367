"""A whole source through a network that does not change, onto the disk."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from importlib.metadata import version
from itertools import chain
from pathlib import Path

import jax
import numpy as np

from jaxal import processes
from jaxal.data.embedding_manifest import EmbeddingsOf, MadeBy
from jaxal.data.embedding_shards import Embeddings, make_embeddings
from jaxal.data.listeners import OnImages
from jaxal.data.loading import Images
from jaxal.models.model import Model, Variables
from jaxal.training.inference import forward_batches
from jaxal.training.placement import batch_sharding, batch_starts, spread_size

__all__ = ["embed_pool", "made_here"]


def made_here(num_images: int, batch_size: int) -> MadeBy:
    """Say how this process computes embeddings: on all its devices, in batches that spread evenly over them.

    Args:
        num_images: of the source.
        batch_size: asked for.
    """
    sharding, device = batch_sharding(), jax.local_devices()[0]
    return MadeBy(
        batch_size=spread_size(num_images, batch_size),
        device=device.device_kind,
        num_devices=1 if sharding is None else len(sharding.device_set),
        versions={name: version(name) for name in ("jax", "jaxal")},
    )


def embed_pool(
    model: Model,
    start: Callable[[], Variables],
    images: Images,
    *,
    folder: Path,
    of: EmbeddingsOf,
    made_by: MadeBy,
    ids: Sequence[str],
    class_names: tuple[str, ...],
    setting: str,
    on_embedded: OnImages = lambda done, total: None,
) -> Embeddings:
    """Bring a folder to hold the embeddings of all images, in evaluation mode: each goes through the network once.

    Images are read ahead in batches of one shape, each spread over the devices of this process, and their embeddings
    are written shard by shard (see `make_embeddings`): the host holds a few batches, however many images there are.
    Where the folder is complete, nothing is computed. Several processes share the work in one folder.

    Args:
        model: the network.
        start: makes its variables; called only where something is to be computed.
        images: all of the source.
        folder: made where missing.
        of: what the embeddings are of.
        made_by: as `made_here` says for these images.
        ids, class_names: of the source.
        setting: what a user sets to have another folder, for refusals.
        on_embedded: told how many images of how many are done.

    Raises:
        DataError: as `make_embeddings`; or the images cannot be read.
    """
    size = made_by.batch_size
    starts = batch_starts(images.num_images, size)

    def embed(parts: Iterable[range]) -> Generator[np.ndarray, None, None]:
        parts, skipped = iter(parts), deque()
        first = next(parts, None)
        if first is None:
            return

        def batches() -> Iterator[np.ndarray]:
            for part in chain([first], parts):
                for row in part[::size]:
                    # A batch of the last rows of all overlaps the one before, which may be of another shard.
                    skipped.append(row - starts[row // size])
                    yield np.arange(size) + starts[row // size]

        with closing(forward_batches(model.embed, start(), images, batches(), size)) as results:
            for result in results:
                yield np.asarray(result)[skipped.popleft() :]

    return make_embeddings(
        folder,
        of,
        made_by,
        embed,
        ids=ids,
        class_names=class_names,
        setting=setting,
        on_embedded=on_embedded,
        place=(processes.own_number(), processes.num_processes()),
    )
