"""Pool images as small pictures inside the page."""

import io

import numpy as np

from jaxal.report.pictures import data_uri

__all__ = ["thumbnail"]

LARGEST = 96  # px of the longer side
_LOSSLESS = 64  # px up to which a picture is kept as it is


def thumbnail(image: np.ndarray) -> str:
    """Packs an image as a data address: PNG, or JPEG (quality 80) for color images above 64 px.

    Args:
      image: uint8 [height, width, 1 or 3]; what is longer than 96 px is scaled down, its aspect kept.
    """
    from PIL import Image

    height, width = image.shape[:2]
    picture = Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image)
    scale = LARGEST / max(height, width)
    if scale < 1:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    packed = io.BytesIO()
    if max(height, width) > _LOSSLESS and image.shape[2] == 3:
        picture.save(packed, "JPEG", quality=80)
        return data_uri(packed.getvalue(), "image/jpeg")
    picture.save(packed, "PNG", optimize=True)
    return data_uri(packed.getvalue(), "image/png")
