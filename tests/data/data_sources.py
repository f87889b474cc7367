"""A made source whose pixels say which sample they are."""

import numpy as np

from jaxal.data.dataset import Part
from jaxal.data.loading import Images
from jaxal.data.source import ImageSource


def made_source(labels: list[int], class_names: tuple[str, ...]) -> ImageSource:
    """Make a source with these labels; pixel (0, 0) of an image holds its number modulo 256."""
    images = np.zeros((len(labels), 2, 2, 1), np.uint8)
    images[:, 0, 0, 0] = np.arange(len(labels)) % 256
    return ImageSource(
        ids=np.array([f"id-{number}" for number in range(len(labels))], dtype="<U9"),
        labels=np.array(labels, np.int32),
        class_names=class_names,
        image_shape=(2, 2, 1),
        mean=(0.5,),
        std=(0.5,),
        fingerprint="made",
        read=lambda indices: images[indices],
    )


def made_pool(labels: list[int]) -> Part:
    """Make a pool part with these labels."""
    count = len(labels)
    return Part(
        images=Images(lambda rows: np.zeros((len(rows), 2, 2, 1), np.uint8), count, (2, 2, 1)),
        labels=np.array(labels, np.int32),
        ids=np.array([f"id-{number}" for number in range(count)], dtype="<U9"),
        sample_ids=np.arange(count, dtype=np.int32),
    )
