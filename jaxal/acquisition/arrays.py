"""Arrays from anywhere (NumPy, JAX, PyTorch and others by DLPack) as the types that strategies take."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxal.errors import InputError
from jaxal.typing import Array

__all__ = ["as_array", "float_array", "integer_array"]

HOST_DEVICES = (1, 3)  # DLPack's CPU, and host memory pinned for CUDA


def as_array(name: str, values: Any) -> np.ndarray | Array:
    """Take an array as it is, without a copy where that is possible; gradients are left behind.

    JAX arrays stay on their device; tensors of others come to the host, where no type is narrowed on the way.

    Raises:
        InputError: it is no array, it is masked or deleted, or it lies on a device that it cannot be brought from.
    """
    if isinstance(values, np.ma.MaskedArray):
        raise InputError(
            f"{name}: is a masked array, whose gaps would be read as values; fill them, and give label -2 to"
            " rows that have none"
        )
    if isinstance(values, jax.Array) and values.is_deleted():
        raise InputError(f"{name}: is a jax array that was deleted or donated; give a copy made before")
    if isinstance(values, np.ndarray | jax.Array):
        return values
    try:
        if hasattr(values, "__dlpack__"):
            return _from_dlpack(values.detach() if hasattr(values, "detach") else values)
        return np.asarray(values)
    except Exception as error:  # foreign code: anything may come out
        raise InputError(f"{name}: cannot be read as an array: {type(error).__name__}: {error}") from error


def _from_dlpack(values: Any) -> np.ndarray | Array:
    if values.__dlpack_device__()[0] not in HOST_DEVICES:
        values = values.cpu()
    try:
        return np.from_dlpack(values)
    except (BufferError, RuntimeError):  # NumPy has no bfloat16
        return jnp.from_dlpack(values)


def float_array(name: str, values: Any) -> tuple[Array, float]:
    """Convert floating-point numbers of any width to float32; what lies beyond its range becomes infinite.

    Returns:
        (array, relative spacing of the type that was given).

    Raises:
        InputError: no array, or not of floating-point numbers (integers are refused too: most often they are labels).
    """
    array = as_array(name, values)
    if not jnp.issubdtype(array.dtype, np.floating):
        raise InputError(f"{name}: expected floating-point numbers, got {array.dtype}")
    spacing = float(jnp.finfo(array.dtype).eps)
    if isinstance(array, np.ndarray):
        with np.errstate(over="ignore"):  # becomes infinite, and is refused as such where the row is used
            array = array.astype(np.float32, copy=False)
    return jnp.asarray(array, jnp.float32), spacing


def integer_array(name: str, values: Any) -> np.ndarray:
    """Convert integers of any width to int64 on the host; those beyond its range become its largest.

    Raises:
        InputError: no array, or not of integers (booleans are none).
    """
    array = np.asarray(as_array(name, values))
    if not jnp.issubdtype(array.dtype, np.integer):
        raise InputError(f"{name}: expected integers, got {array.dtype}")
    if array.dtype == np.uint64:
        array = np.minimum(array, np.uint64(2**63 - 1))
    return array.astype(np.int64)
