"""The one check of what a strategy is given."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxal.errors import InputError
from jaxal.pool import EXCLUDED
from jaxal.strategies.strategy import AcquisitionInputs, Strategy
from jaxal.typing import Array

__all__ = ["check_inputs"]


def check_inputs(strategy: Strategy, inputs: AcquisitionInputs, num_classes: int) -> None:
    """Refuse inputs that a strategy could not rank.

    Rows that may never be asked and carry no label (EXCLUDED) may hold anything.

    Raises:
        InputError: something that the strategy needs is missing; shapes do not agree; labels lie outside
            -2 … C-1; embeddings or logits hold NaN or infinity, with the number of such rows and the first of them.

    Cost: one pass over what is given, and one transfer of a few numbers to the host.
    """
    missing = sorted(name for name in strategy.needs if getattr(inputs, name) is None)
    if missing:
        raise InputError(f"{strategy.name} needs {', '.join(missing)}, which is not given")
    num_rows = inputs.embeddings.shape[0]
    _check_shape("pool.labels", inputs.pool.labels, (num_rows,))
    _check_shape("sample_ids", inputs.sample_ids, (num_rows,))
    if inputs.logits is not None:
        _check_shape("logits", inputs.logits, (num_rows, num_classes))
    if inputs.head is not None:
        _check_shape("head.weight", inputs.head.weight, (inputs.embeddings.shape[1], num_classes))
        _check_shape("head.bias", inputs.head.bias, (num_classes,))
        for part, values in inputs.head._asdict().items():
            if not jnp.all(jnp.isfinite(values)):
                raise InputError(f"head.{part}: holds NaN or infinity")
    is_wrong = (inputs.pool.labels >= num_classes) | (inputs.pool.labels < EXCLUDED)
    problems = [("labels", is_wrong, f"lie outside -2 … {num_classes - 1}")]
    is_used = inputs.pool.labels != EXCLUDED
    for name, values in (("embeddings", inputs.embeddings), ("logits", inputs.logits)):
        if values is not None:
            problems.append((name, is_used & ~jnp.all(jnp.isfinite(values), axis=1), "hold NaN or infinity"))
    for name, is_bad, what in problems:
        _refuse_rows(name, is_bad, what)


def _check_shape(name: str, values: Array, shape: tuple[int, ...]) -> None:
    if values.shape != shape:
        raise InputError(f"{name}: expected shape {list(shape)}, got {list(values.shape)}")


def _refuse_rows(name: str, is_bad: Array, what: str) -> None:
    bad_rows = np.flatnonzero(jax.device_get(is_bad))
    if len(bad_rows):
        first = ", ".join(str(row) for row in bad_rows[:5])
        raise InputError(f"{name}: {len(bad_rows)} of {len(is_bad)} rows {what}; the first are {first}")
