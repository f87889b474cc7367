"""Prepare a data set of image files as ArrayRecord, without TensorFlow."""

import tempfile
from pathlib import Path

import msgspec

from jaxal.config.data import ImagesConfig
from jaxal.data.problems import shown
from jaxal.data.tfds.library import tensorflow_datasets
from jaxal.data.tfds.names import OWN_SETS
from jaxal.data.tfds.prepared import data_folder
from jaxal.errors import ConfigError, DataError

__all__ = ["prepare"]


def prepare(name: str, manual_dir: str, data_dir: str = "", **settings: object) -> tuple[Path, tuple[str, ...]]:
    """Write the images of a folder, as they are, with their labels into DATA_DIR/NAME/VERSION.

    Args:
        name: "isic2020", "ham10000" or "jaxal_images".
        manual_dir: folder of the images, in any form that kind images knows; nothing is written into it.
        data_dir: of all prepared sets; where empty, $TFDS_DATA_DIR, else ~/tensorflow_datasets.
        settings: fields of ImagesConfig that say how labels are found, such as duplicates.

    Returns:
        The folder of the prepared set, and what is to be said of the images: their form, duplicates dropped.

    Raises:
        ConfigError: no such set, or no such setting.
        DataError: it is prepared already, the folder is not there or lies inside the other, or something is wrong with
            its labels or files.
    """
    if name not in OWN_SETS:
        raise ConfigError(f"{name!r}: no data set that jaxal prepares; there are {', '.join(OWN_SETS)}")
    try:
        config = msgspec.convert({"kind": "images", "path": manual_dir, **settings}, ImagesConfig)
    except msgspec.ValidationError as error:
        raise ConfigError(f"settings: {error}") from error
    source, root = Path(manual_dir).expanduser().absolute(), data_folder(data_dir)
    if not source.is_dir():
        raise DataError(f"manual_dir: {shown(str(source))}: no such folder")
    if root.resolve().is_relative_to(source.resolve()):
        raise DataError(f"data_dir: {shown(str(root))} lies inside the folder of the images, which is not written to")
    tfds = tensorflow_datasets()
    from jaxal.data.tfds import builders

    kinds = (builders.ISIC2020, builders.HAM10000, builders.JaxalImages)
    builder = {kind.name: kind for kind in kinds}[name](data_dir=str(root), file_format="array_record")
    builder.images_config = config
    if (Path(builder.data_dir) / "dataset_info.json").is_file():
        raise DataError(
            f"{shown(str(builder.data_dir))}: prepared already. Remove this folder to prepare it anew, or set another"
            " data_dir."
        )
    manual = tfds.download.DownloadConfig(manual_dir=str(source))
    with tempfile.TemporaryDirectory() as downloads:  # nothing is; the folder would otherwise lie among the data sets
        builder.download_and_prepare(download_dir=downloads, download_config=manual, file_format="array_record")
    return Path(builder.data_dir), builder.notes
