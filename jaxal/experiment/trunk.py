"""A trunk that is never trained: every image goes through it once, and the last layer is trained on what comes out."""

from jaxal.config.models import EfficientNetConfig
from jaxal.data.dataset import parts_of
from jaxal.data.listeners import OnImages
from jaxal.data.loading import Images, choose_images
from jaxal.experiment.embeddings import Start, stored_embeddings
from jaxal.models.efficientnet_table import VARIANTS
from jaxal.models.linear import linear
from jaxal.models.model import Model
from jaxal.models.pretrained import pretrained_model

__all__ = ["embedded_parts", "last_layer"]


def last_layer(start: Start) -> Model:
    """Make the model that is trained where the trunk is frozen: the last layer, behind the network's own dropout."""
    settings, weights, rate = start.config.model, start.weights, 0.0
    if isinstance(settings, EfficientNetConfig):
        rate = VARIANTS[settings.variant].dropout if settings.dropout == "own" else settings.dropout
    is_drawn = not weights.sha256 or bool(weights.fresh)
    source = start.model if is_drawn else pretrained_model(start.model, settings, weights.sha256)
    return linear(source, dropout_rate=rate, is_drawn=is_drawn)


def embedded_parts(start: Start, on_embedded: OnImages) -> dict[str, Images]:
    """Give the embeddings of every image of the parts by the trunk that the experiment starts from, in evaluation mode.

    All images of the source are embedded, whatever the seed and the split make of them, so that these cannot change a
    bit. The embeddings lie on the disk (see `stored_embeddings`), 4·D bytes an image, and are read from there.

    Args:
        start: of the experiment.
        on_embedded: told how many images of how many are done, where any are to be embedded.

    Raises:
        DataError: as `stored_embeddings`.
    """
    rows = stored_embeddings(start, on_embedded).rows
    return {name: choose_images(rows, part.sample_ids) for name, part in parts_of(start.dataset).items()}
