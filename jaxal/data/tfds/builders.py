"""Builders of TensorFlow Datasets over `find_labels`: image files as they are, with label, id, group and columns.

Importing this module registers them, so that `tfds.builder("isic2020", file_format="array_record")` works as well.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import tensorflow_datasets as tfds

from jaxal.config.data import ImagesConfig
from jaxal.data.problems import refusal
from jaxal.data.readers.labeled_files import find_labels
from jaxal.data.records import ImageRecord, LabeledFiles
from jaxal.data.source import TRAIN
from jaxal.data.tfds.names import COLUMNS, GROUP, ID, IMAGE, LABEL
from jaxal.errors import DataError

__all__ = ["HAM10000", "ISIC2020", "JaxalImages", "LabeledImages"]

FORM = "Read by jaxal.data.readers.labeled_files from the folder given as manual_dir."


class LabeledImages(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """What all builders here have in common.

    Attributes:
        class_names: in label order; empty where the data says which there are.
        images_config: how labels are found, but for the path, which is the manual folder.
        notes: what was said of the images, once they are found.
    """

    VERSION = tfds.core.Version("1.0.0")
    MANUAL_DOWNLOAD_INSTRUCTIONS = "The manual folder is that of the images, in any form of jaxal's kind images."
    class_names: tuple[str, ...] = ()
    images_config: ImagesConfig = ImagesConfig(path=".")
    notes: tuple[str, ...] = ()

    def _info(self) -> tfds.core.DatasetInfo:
        features = {
            IMAGE: tfds.features.Image(shape=(None, None, 3)),
            LABEL: tfds.features.ClassLabel(names=list(self.class_names) or None),
            **{name: tfds.features.Text() for name in (ID, GROUP, COLUMNS)},
        }
        return tfds.core.DatasetInfo(
            builder=self,
            description=FORM,
            features=tfds.features.FeaturesDict(features),
            supervised_keys=(IMAGE, LABEL),
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        found = find_images(self.images_config, Path(dl_manager.manual_dir), self.class_names)
        features: Any = self.info.features
        features[LABEL].names = list(found.class_names)
        self.notes = (f"form: {found.form}", *found.notes)
        parts = list(dict.fromkeys(record.part or TRAIN for record in found.records))
        return {part: self._generate_examples(found, part) for part in parts}

    def _generate_examples(self, found: LabeledFiles, part: str) -> Iterator[tuple[str, dict[str, Any]]]:
        for record in found.records:
            if (record.part or TRAIN) == part:
                yield record.id, _example(record, found.class_names)


class ISIC2020(LabeledImages):
    """ISIC 2020: 33,126 dermoscopic images, 2,056 patients; 32,701 once duplicates are dropped."""

    name = "isic2020"
    class_names = ("benign", "malignant")


class HAM10000(LabeledImages):
    """HAM10000: 10,015 dermoscopic images of 7,470 lesions in seven classes."""

    name = "ham10000"
    class_names = ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")


class JaxalImages(LabeledImages):
    """One's own images: a folder per class, or a CSV file beside them."""

    name = "jaxal_images"


def find_images(config: ImagesConfig, folder: Path, class_names: tuple[str, ...]) -> LabeledFiles:
    """Find the images of a folder; everything that is wrong with them refuses preparing.

    Args:
        config: how to find them; its path is not used.
        folder: of the images.
        class_names: that the data has to have; empty for any.

    Raises:
        DataError: there are problems, files are missing, or the classes are others.
    """
    found = find_labels(msgspec.structs.replace(config, path=str(folder)))
    problems = [*found.problems, *found.missing]
    if problems:
        raise refusal(problems, heading=f"{folder} ({found.form})", advice="Correct these; nothing was prepared.")
    unfit = [name for name in found.class_names if name != " ".join(name.split())]
    if unfit:
        raise DataError(
            f"{folder}: TensorFlow Datasets keeps class names one per line; rename {', '.join(map(ascii, unfit))}"
        )
    if class_names and found.class_names != class_names:
        raise DataError(
            f"{folder} ({found.form}): the classes are {', '.join(found.class_names)}; expected"
            f" {', '.join(class_names)}. Data of one's own is prepared as {JaxalImages.name}."
        )
    return found


def _example(record: ImageRecord, class_names: tuple[str, ...]) -> dict[str, Any]:
    return {
        IMAGE: record.path,
        LABEL: class_names.index(record.label),
        ID: record.id,
        GROUP: record.group or "",
        COLUMNS: msgspec.json.encode(dict(record.columns)).decode(),
    }
