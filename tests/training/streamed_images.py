"""Images that are in memory, as if they were not."""

import numpy as np

from jaxal.data.loading import Images


def streamed(images) -> Images:
    """Give an array of images as ones that are to be read."""
    array = np.asarray(images)
    return Images(lambda rows: array[rows], len(array), array.shape[1:])
