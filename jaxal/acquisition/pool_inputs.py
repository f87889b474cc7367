"""From what a caller has (arrays of any kind, some of them) to what a strategy may look at."""

import operator
import textwrap
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jaxal.acquisition.arrays import float_array, integer_array
from jaxal.acquisition.sample_ids import int32_ids
from jaxal.errors import InputError
from jaxal.pool import EXCLUDED, UNLABELED, new_pool
from jaxal.strategies.inputs import check_shapes, refuse_rows
from jaxal.strategies.spread_pool import local_mesh
from jaxal.strategies.strategy import AcquisitionInputs
from jaxal.typing import Array, LinearHead

__all__ = ["PoolArrays", "ReadPool", "mesh_for", "read_head", "read_integer", "read_pool"]

# Bounds what one stray label can allocate.
MAX_CLASSES = 100_000


class PoolArrays(NamedTuple):
    """What `select` is given, as it was given."""

    embeddings: Any
    labels: Any
    logits: Any = None
    head: Any = None
    mc_logits: Any = None
    source_logits: Any = None
    sample_ids: Any = None


class ReadPool(NamedTuple):
    """The same as arrays of known types and agreeing shapes."""

    inputs: AcquisitionInputs
    num_classes: int
    num_unlabeled: int
    spacing: float  # relative, of the coarsest type that embeddings, head or logits were given in
    notes: tuple[str, ...]  # what the caller should be warned of


def read_integer(name: str, value: Any, lowest: int, highest: int | None = None) -> int:
    """Read a whole number of any integer type.

    Raises:
        InputError: another type (True is no number), or out of range.
    """
    wanted = f"a whole number, {lowest} or more" if highest is None else f"a whole number, {lowest} … {highest}"
    try:
        if isinstance(value, bool | np.bool_):
            raise TypeError
        number = operator.index(value)
    except (TypeError, ValueError) as error:
        shown = textwrap.shorten(repr(value), 80, placeholder=" …")  # of an array, the first line
        raise InputError(f"{name}: expected {wanted}, got {shown}") from error
    if number < lowest or (highest is not None and number > highest):
        raise InputError(f"{name}: expected {wanted}, got {number}")
    return number


def mesh_for(devices: Any) -> Mesh | None:
    """Read the number of devices that a pool is to be spread over; see `local_mesh`.

    Raises:
        InputError: no whole number from 1, or more than there are.
    """
    return local_mesh("devices", None if devices is None else read_integer("devices", devices, 1))


def read_pool(arrays: PoolArrays, *, num_classes: Any, budget: int) -> ReadPool:
    """Convert the arrays, settle the number of classes, and compare all shapes.

    Raises:
        InputError: wrong types or shapes, labels outside the classes, an empty pool, nothing unlabeled.
    """
    embeddings, spacing = float_array("embeddings", arrays.embeddings)
    if embeddings.ndim != 2:
        raise InputError(f"embeddings: expected shape [N, D], got {list(embeddings.shape)}")
    if embeddings.shape[0] == 0:
        raise InputError(f"embeddings: the pool is empty, shape {list(embeddings.shape)}")
    head, head_spacing = read_head(arrays.head)
    optional = {name: _optional(name, getattr(arrays, name)) for name in ("logits", "mc_logits", "source_logits")}
    labels = integer_array("labels", arrays.labels)
    if labels.shape != embeddings.shape[:1]:
        raise InputError(f"labels: expected shape [N] = {list(embeddings.shape[:1])}, got {list(labels.shape)}")
    number, notes = _count_classes(num_classes, head, optional, labels)
    refuse_rows("labels", (labels >= number) | (labels < EXCLUDED), f"lie outside -2 … {number - 1}")
    num_unlabeled = _count_unlabeled(labels)
    if arrays.sample_ids is None:
        ids = np.arange(len(labels), dtype=np.int32)
    else:
        ids = int32_ids(arrays.sample_ids, labels != EXCLUDED)
    inputs = AcquisitionInputs(
        pool=new_pool(jnp.asarray(labels.astype(np.int32))),
        embeddings=embeddings,
        sample_ids=jnp.asarray(ids),
        labels_left=jnp.asarray(min(budget, 2**31 - 1), jnp.int32),
        head=head,
        **{name: None if given is None else given[0] for name, given in optional.items()},
    )
    check_shapes(inputs, number)
    coarsest = max(spacing, head_spacing, 0.0 if optional["logits"] is None else optional["logits"][1])
    return ReadPool(_on_one_device(inputs), number, num_unlabeled, coarsest, notes)


def _optional(name: str, values: Any) -> tuple[Array, float] | None:
    return None if values is None else float_array(name, values)


def read_head(head: Any) -> tuple[LinearHead | None, float]:
    """Read a head if one is given, and the relative spacing of the coarser of its types.

    Raises:
        InputError: it is no pair of arrays of floating-point numbers.
    """
    if head is None:
        return None, 0.0
    if not isinstance(head, tuple | list) or len(head) != 2 or any(part is None for part in head):
        raise InputError(f"head: expected (weight [D, C], bias [C]) or a LinearHead, got {_in_words(head)}")
    parts, spacings = zip(
        *(float_array(f"head.{part}", head[k]) for k, part in enumerate(LinearHead._fields)), strict=True
    )
    return LinearHead(*parts), max(spacings)


def _in_words(head: Any) -> str:
    if isinstance(head, tuple | list) and len(head) == 2:
        return "None for one of them (a layer without bias has zeros)"
    return f"{len(head)} of them" if isinstance(head, tuple | list) else type(head).__name__


def _count_classes(
    given: Any, head: LinearHead | None, optional: dict[str, tuple[Array, float] | None], labels: np.ndarray
) -> tuple[int, tuple[str, ...]]:
    """Settle C: what is given, else the width of the head, logits or mc_logits, else the largest label + 1."""
    if given is not None:
        return read_integer("num_classes", given, 2, MAX_CLASSES), ()
    for name, width in _widths(head, optional, len(labels)):
        if width == 1:
            raise InputError(f"{name}: one column; two classes have two, such as 0 and the logit of class 1")
        return read_integer(f"{name}: number of classes", width, 2, MAX_CLASSES), ()
    found = int(labels.max()) + 1
    if found > MAX_CLASSES:
        raise InputError(f"labels: the largest is {found - 1}, but there are at most {MAX_CLASSES} classes")
    number = max(found, 2)
    told = f"the largest label is {found - 1}" if found > 0 else "nothing is labeled"
    return number, (
        f"num_classes: not given, taken to be {number} ({told}). A class that has no label yet may be missing from it:"
        " give num_classes.",
    )


def _widths(
    head: LinearHead | None, optional: dict[str, tuple[Array, float] | None], num_rows: int
) -> Iterator[tuple[str, int]]:
    """List what tells C, the best first; arrays of another rank, or turned, do not, and are refused by their shape."""
    if head is not None and head.bias.ndim == 1:
        yield "head.bias", head.bias.shape[0]
    for name, rank in (("logits", 2), ("mc_logits", 3)):  # the classes of source_logits are others
        outputs = optional[name]
        if outputs is not None and outputs[0].ndim == rank:
            rows, width = outputs[0].shape[-2:]
            if rows == num_rows or width != num_rows:
                yield name, width


def _count_unlabeled(labels: np.ndarray) -> int:
    num_unlabeled, num_excluded = int(np.sum(labels == UNLABELED)), int(np.sum(labels == EXCLUDED))
    if num_unlabeled == 0:
        raise InputError(
            f"labels: nothing is unlabeled ({len(labels) - num_excluded} rows are labeled, {num_excluded} never to be"
            " asked); -1 marks a row that may be asked"
        )
    return num_unlabeled


def _on_one_device(inputs: AcquisitionInputs) -> AcquisitionInputs:
    """Bring everything to where the embeddings are, unless they are spread over several devices."""
    devices = inputs.embeddings.devices()
    return jax.device_put(inputs, next(iter(devices))) if len(devices) == 1 else inputs
