"""TensorFlow Datasets itself, imported when first needed."""

import importlib
from types import ModuleType

from jaxal.errors import DataError

__all__ = ["tensorflow_datasets"]


def tensorflow_datasets() -> ModuleType:
    """Import TensorFlow Datasets; it does not import TensorFlow as long as nothing asks it for tensors.

    Raises:
        DataError: it is not installed.
    """
    try:
        importlib.import_module("array_record.python.array_record_data_source")
        return importlib.import_module("tensorflow_datasets")
    except ImportError as error:
        raise DataError(
            f"data.source: kind tfds needs TensorFlow Datasets ({error}). Install it by"
            " `pip install 'tensorflow-datasets>=4.9.10' array_record importlib_resources`; TensorFlow is not needed."
        ) from error
