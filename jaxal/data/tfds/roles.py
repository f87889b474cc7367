"""Which features of a prepared data set are the image, its label, its id and its group."""

from typing import Any, NamedTuple

import numpy as np

from jaxal.config.data import TFDSConfig
from jaxal.data.tfds.library import tensorflow_datasets
from jaxal.data.tfds.names import COLUMNS, OWN_SETS
from jaxal.errors import DataError

__all__ = ["Roles", "find_roles"]

IDS = ("id", "image_id", "image_name", "isic_id", "file_name", "filename", "image/filename")
GROUPS = ("patient_id", "patient", "lesion_id", "lesion", "group")
DEFAULT_SIZE = 64


class Roles(NamedTuple):
    """Names of features, and what is known of the images."""

    image: str
    label: str
    id: str | None
    group: str | None
    columns: tuple[str, ...]  # further features with a text each
    is_packed: bool  # the feature COLUMNS holds further columns, as JSON
    is_encoded: bool  # images are files (JPEG, PNG), else bare uint8 pixels
    image_size: int
    color: str
    class_names: tuple[str, ...]  # of the label feature, in label order


def find_roles(info: Any, config: TFDSConfig) -> Roles:
    """Find the features by the settings, else by type (image, label) and usual name (id, group).

    Of several labels the one that the set itself calls supervised is taken.

    Raises:
        DataError: none or several could be it (the message lists them and names the setting), or a feature that is set
            is not there or of another type.
    """
    features = dict(sorted(info.features.items()))  # from process to process they come in another order
    supervised = info.supervised_keys or ()
    image = _by_type(features, _is_image, config.image_feature, "image", supervised)
    label = _by_type(features, _is_label, config.label_feature, "label", supervised)
    texts = [name for name, feature in features.items() if _is_text(feature)]
    id_feature = _by_name(texts, config.id_feature, IDS, "id")
    group = _by_name(texts, config.group_feature, GROUPS, "group")
    is_packed = info.name in OWN_SETS and COLUMNS in texts
    known = {id_feature, group, *((COLUMNS,) if is_packed else ())}
    height, width, *channels = features[image].shape
    fixed = height if height is not None and height == width else DEFAULT_SIZE
    label_type = features[label]
    return Roles(
        image=image,
        label=label,
        id=id_feature,
        group=group,
        columns=tuple(name for name in texts if name not in known),
        is_packed=is_packed,
        is_encoded=isinstance(features[image], tensorflow_datasets().features.Image),
        image_size=config.image_size or int(fixed),
        color=config.color or ("gray" if channels in ([], [1]) else "rgb"),
        class_names=tuple(map(str, label_type.names or range(label_type.num_classes or 0))),
    )


def _by_type(features: dict[str, Any], is_it: Any, setting: str | None, role: str, supervised: tuple) -> str:
    fitting = [name for name, feature in features.items() if is_it(feature)]
    if setting is not None:
        if setting in fitting:
            return setting
        problem = f"data.source.{role}_feature = {setting!r}: " + (
            f"not one {role} per record" if setting in features else "no such feature"
        )
    else:
        chosen = fitting if len(fitting) == 1 else [name for name in fitting if name in supervised]
        if len(chosen) == 1:
            return chosen[0]
        problem = f"data.source: {len(fitting) or 'no'} features could be the {role}"
    advice = f"; set data.source.{role}_feature to one of {', '.join(fitting)}" if fitting else ""
    described = ", ".join(f"{name} ({type(feature).__name__})" for name, feature in features.items())
    raise DataError(f"{problem}{advice}. The features are {described}.")


def _by_name(texts: list[str], setting: str | None, usual: tuple[str, ...], role: str) -> str | None:
    if setting:
        if setting not in texts:
            raise DataError(
                f"data.source.{role}_feature = {setting!r}: no such feature with a text; there are"
                f" {', '.join(texts) or 'none'}"
            )
        return setting
    return None if setting == "" else next((name for name in usual if name in texts), None)


def _is_image(feature: Any) -> bool:
    kinds = tensorflow_datasets().features
    if isinstance(feature, kinds.Image):
        is_of_labels = isinstance(feature, kinds.LabeledImage)  # one per pixel
        return not is_of_labels and np.dtype(feature.np_dtype).kind == "u"  # floats are hidden in bytes
    if not isinstance(feature, kinds.Tensor) or np.dtype(feature.np_dtype) != np.uint8:
        return False
    shape = tuple(feature.shape)
    return len(shape) in (2, 3) and None not in shape and shape[2:] in ((), (1,), (3,))


def _is_label(feature: Any) -> bool:
    return isinstance(feature, tensorflow_datasets().features.ClassLabel)


def _is_text(feature: Any) -> bool:
    return isinstance(feature, tensorflow_datasets().features.Text) and tuple(feature.shape) == ()
