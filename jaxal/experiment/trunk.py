"""A trunk that is never trained: every image goes through it once, and the last layer is trained on what comes out."""

from collections.abc import Callable

import numpy as np

from jaxal.config.models import EfficientNetConfig, OrganCNNConfig
from jaxal.config.study import ExperimentConfig
from jaxal.data.dataset import Dataset, parts_of
from jaxal.data.loading import Images, choose_images
from jaxal.experiment.keys import DRAW_TRUNK, purpose_key
from jaxal.models.efficientnet_table import VARIANTS
from jaxal.models.linear import linear
from jaxal.models.model import Model
from jaxal.models.pretrained import pretrained_model
from jaxal.models.weights import LoadReport
from jaxal.training.inference import embed_images

__all__ = ["embedded_parts", "last_layer"]

OnImages = Callable[[int, int], None]

# What a model's settings say that embeddings in evaluation mode do not depend on.
OF_TRAINING = frozenset({"batch_norm_momentum", "drop_path", "dropout", "init", "trunk", "weights"})

# The embeddings that were computed last: arms and seeds with the same trunk share them. Never more than one entry.
_kept: dict[tuple, np.ndarray] = {}


def last_layer(config: ExperimentConfig, model: Model, weights: LoadReport) -> Model:
    """Make the model that is trained where the trunk is frozen: the last layer, behind the network's own dropout.

    Args:
        config: of the experiment.
        model: its network, with random initial variables.
        weights: its pretrained weights, if any.
    """
    settings, rate = config.model, 0.0
    if isinstance(settings, EfficientNetConfig):
        rate = VARIANTS[settings.variant].dropout if settings.dropout == "own" else settings.dropout
    is_drawn = not weights.sha256 or bool(weights.fresh)
    source = model if is_drawn else pretrained_model(model, settings, weights.sha256)
    return linear(source, dropout_rate=rate, is_drawn=is_drawn)


def embedded_parts(
    config: ExperimentConfig,
    dataset: Dataset,
    model: Model,
    weights: LoadReport,
    rows: np.ndarray | None,
    on_embedded: OnImages,
) -> dict[str, Images]:
    """Embed every image of the parts with the trunk that the experiment starts from, in evaluation mode.

    The images are streamed, whatever fits on the device. What is computed is kept in the host's memory, 4·D bytes an
    image, until another trunk or other images are embedded.

    Args:
        config: of the experiment.
        dataset: with the parts.
        model: the network, with random initial variables.
        weights: its pretrained weights; without any the trunk is drawn from the seed.
        rows: of the source, int [n], ascending: the images to embed, those of all seeds that share them. The same rows
            give the same bits, so they must not depend on what has been done before. The dataset's own where absent,
            or where the trunk is the seed's. All that the dataset has are among them.
        on_embedded: told how many images of how many are done.

    Raises:
        DataError: the file with the weights has changed.
    """
    parts = parts_of(dataset)
    if rows is None or not weights.sha256:
        rows = np.unique(np.concatenate([part.sample_ids for part in parts.values()]))
    key = _identity(config, dataset, model, weights, rows)
    if key not in _kept:
        _kept.clear()  # before the next are computed: the host need not hold both
        starting = pretrained_model(model, config.model, weights.sha256)
        variables = starting.init(purpose_key(config.seed, 0, DRAW_TRUNK))
        images = choose_images(dataset.images, rows)
        batch_size = config.training.inference_batch_size
        _kept[key] = np.asarray(embed_images(model, variables, images, batch_size, on_embedded))
    embeddings = _kept[key]
    assert np.isin(np.concatenate([part.sample_ids for part in parts.values()]), rows).all()
    whole = Images(lambda places: embeddings[places], len(rows), embeddings.shape[1:], np.float32)
    return {name: choose_images(whole, np.searchsorted(rows, part.sample_ids)) for name, part in parts.items()}


def _identity(config: ExperimentConfig, dataset: Dataset, model: Model, weights: LoadReport, rows: np.ndarray) -> tuple:
    """Return all that the embeddings depend on."""
    settings = config.model
    assert not isinstance(settings, OrganCNNConfig)
    trunk = {name: getattr(settings, name) for name in settings.__struct_fields__ if name not in OF_TRAINING}
    start = weights.sha256 or config.seed
    batch_size = config.training.inference_batch_size
    inputs = (dataset.fingerprint, model.spec.image_shape, model.spec.mean, model.spec.std, rows.tobytes())
    return (type(settings), *trunk.items(), start, batch_size, *inputs)
