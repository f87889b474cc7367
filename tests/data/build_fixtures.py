"""Image files with a table of labels, and what it takes to build a folder from them."""

from pathlib import Path

import numpy as np
import pytest
from image_fixtures import encoded, put

from jaxal.config.data import BuiltConfig, ImagesConfig
from jaxal.data.build import build_images
from jaxal.data.readers.built import read_built_folder
from jaxal.errors import DataError

NUM_IMAGES = 22
TABLE = "image_name,patient_id,target,site,width,group\n" + "".join(
    f"ISIC_{number:02},IP_{number // 3},{number % 2},arm,{100 + number},g\n" for number in range(NUM_IMAGES)
)


def put_labeled_images(folder: Path) -> Path:
    """Put images of 3 shades each into a folder, with a table of labels."""
    for number in range(NUM_IMAGES):
        pixels = np.full((6, 9, 3), (number, 2 * number, 200), np.uint8)
        put(folder / "train" / f"ISIC_{number:02}.png", encoded(pixels, "PNG"))
    put(folder / "train.csv", TABLE.encode())
    return folder


def config_of(top: Path, **settings) -> ImagesConfig:
    return ImagesConfig(path=str(top), **{"image_size": 4, "cache": str(top.parent / "cache"), **settings})


def built(top, out, **settings):
    return build_images(config_of(top, **settings), str(out))


def source_of(out):
    return read_built_folder(BuiltConfig(path=str(out)))


def refusal_of(top, out, **settings) -> str:
    with pytest.raises(DataError) as caught:
        built(top, out, **settings)
    return str(caught.value)
