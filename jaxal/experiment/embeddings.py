"""The embeddings of an experiment's whole source by the network that it starts from, on the disk."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import filelock
import msgspec

from jaxal import processes
from jaxal.config.models import ModelConfig
from jaxal.config.study import ExperimentConfig
from jaxal.data.cache_files import user_cache_folder
from jaxal.data.dataset import Dataset
from jaxal.data.embedding_manifest import EmbeddingsOf, key_of
from jaxal.data.embedding_shards import Embeddings, open_embeddings
from jaxal.data.listeners import OnImages
from jaxal.data.problems import shown
from jaxal.errors import DataError
from jaxal.experiment.keys import DRAW_TRUNK, purpose_key
from jaxal.models.model import Model, Variables
from jaxal.models.pretrained import pretrained_model
from jaxal.models.weights import LoadReport
from jaxal.training.embedding import embed_pool, made_here

__all__ = ["Start", "have_same_embeddings", "make_embeddings", "read_given_embeddings", "stored_embeddings"]


# What a model's settings say that embeddings in evaluation mode do not depend on; `weights` is told by its hash.
OF_TRAINING = frozenset({"batch_norm_momentum", "drop_path", "dropout", "init", "trunk", "weights"})
SETTING = "data.embeddings"


class Start(NamedTuple):
    """What an experiment's network is before anything is trained."""

    config: ExperimentConfig
    dataset: Dataset
    model: Model  # with random initial variables
    weights: LoadReport  # its pretrained weights; without any it is drawn from the seed


def make_embeddings(start: Start, folder: Path, setting: str, on_embedded: OnImages) -> Embeddings:
    """Bring a folder to hold the embeddings of all the source's images, in evaluation mode; see `embed_pool`.

    Args:
        start: of the experiment.
        folder: to make, or to go on with.
        setting: what a user sets to have another folder, for refusals.
        on_embedded: told how many images of how many are done.

    Raises:
        DataError: as `embed_pool`; or the file with the weights has changed.
    """
    config, dataset = start.config, start.dataset
    made_by = made_here(dataset.images.num_images, config.training.inference_batch_size)

    def variables() -> Variables:
        starting = pretrained_model(start.model, config.model, start.weights.sha256)
        return starting.init(purpose_key(config.seed, 0, DRAW_TRUNK))

    return embed_pool(
        start.model,
        variables,
        dataset.images,
        folder=folder,
        of=_embeddings_of(start),
        made_by=made_by,
        ids=dataset.ids.tolist(),
        class_names=dataset.class_names,
        setting=setting,
        on_embedded=on_embedded,
    )


def stored_embeddings(start: Start, on_embedded: OnImages) -> Embeddings:
    """Open the embeddings that a frozen trunk's last layer is trained on: those that are given, or those of the cache.

    In the cache they are found by a hash of all that their bits depend on, and made where they are missing or damaged.

    Args:
        start: of the experiment.
        on_embedded: told how many images of how many are done, where any are to be embedded.

    Raises:
        DataError: those given are of something else or damaged; or the cache cannot be written.
    """
    config, dataset = start.config, start.dataset
    if config.data.embeddings:
        return read_given_embeddings(start)
    made_by = made_here(dataset.images.num_images, config.training.inference_batch_size)
    try:
        root = user_cache_folder() / "embeddings"
    except RuntimeError as error:
        raise DataError(
            f"{SETTING}: this user has no home folder to keep the embeddings of a frozen trunk in. Make them by `jaxal"
            f" embed CONFIG.toml --out DIR` and set {SETTING} to DIR."
        ) from error
    folder = root / key_of(_embeddings_of(start), made_by)
    # The processes of one study share the work instead.
    with _one_at_a_time(folder) if processes.num_processes() == 1 else contextlib.nullcontext():
        return make_embeddings(start, folder, SETTING, on_embedded)


@contextlib.contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Wait while another process of this machine makes the same embeddings; what it has made is found there then."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(folder.with_suffix(".lock"))
        lock.acquire()
    except OSError as error:
        raise DataError(
            f"{SETTING}: cannot write to {shown(str(folder.parent))}: {error.strerror or error}. Make the embeddings by"
            f" `jaxal embed CONFIG.toml --out DIR` and set {SETTING} to DIR."
        ) from error
    try:
        yield
    finally:
        lock.release()


def read_given_embeddings(start: Start) -> Embeddings:
    """Open the folder of data.embeddings; whatever batches and devices it was made with, nothing in it is changed.

    Raises:
        DataError: it is missing, unfinished, damaged, or of other data, another model or other weights.
    """
    folder = Path(start.config.data.embeddings).expanduser().absolute()
    return open_embeddings(folder, f"{SETTING}: {shown(str(folder))}", _embeddings_of(start))


def have_same_embeddings(one: Start, other: Start) -> bool:
    """Return whether two networks give the same embeddings of the same data, whatever their last layers are."""
    return _embeddings_of(one) == _embeddings_of(other)


def _embeddings_of(start: Start) -> EmbeddingsOf:
    dataset, spec, sha256 = start.dataset, start.model.spec, start.weights.sha256
    return EmbeddingsOf(
        data_sha256=dataset.fingerprint,
        num_rows=dataset.images.num_images,
        width=spec.embedding_width,
        image_shape=dataset.images.image_shape,
        model=_trunk_settings(start.config.model),
        mean=spec.mean,
        std=spec.std,
        weights_sha256=sha256,
        seed=-1 if sha256 else start.config.seed,
    )


def _trunk_settings(model: ModelConfig) -> dict:
    settings = msgspec.to_builtins(model)
    written_out = {name: getattr(model, name) for name in model.__struct_fields__}
    return {name: value for name, value in {**written_out, **settings}.items() if name not in OF_TRAINING}
