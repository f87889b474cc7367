"""The one check of what a strategy is given."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxal import processes
from jaxal.errors import InputError
from jaxal.pool import EXCLUDED
from jaxal.strategies.strategy import AcquisitionInputs, Strategy
from jaxal.typing import Array, Float, LinearHead

__all__ = ["NOT_FINITE", "TOO_LONG", "check_head", "check_inputs", "check_shapes", "refuse_rows"]

NOT_FINITE = "hold NaN or infinity (or numbers beyond float32)"
TOO_LONG = "are so long (9e18 or more) that squared distances leave float32; scale them down"


def check_inputs(strategy: Strategy, inputs: AcquisitionInputs, num_classes: int) -> None:
    """Refuse inputs that a strategy could not rank.

    Rows that may never be asked and carry no label (EXCLUDED) may hold anything.

    Raises:
        InputError: something that the strategy needs is missing; shapes do not agree; labels lie outside
            -2 … C-1; embeddings or any logits hold NaN or infinity, or embeddings are so long that distances between
            them would, with the number of such rows and the first of them.

    Cost: one pass over what is given, and one transfer of a few numbers to the host.
    """
    missing = sorted(name for name in strategy.needs if getattr(inputs, name) is None)
    if missing:
        raise InputError(f"{strategy.name} needs {', '.join(missing)}, which is not given")
    check_shapes(inputs, num_classes)
    if inputs.head is not None:
        _refuse_infinite(inputs.head)
    is_wrong = (inputs.pool.labels >= num_classes) | (inputs.pool.labels < EXCLUDED)
    refuse_rows("labels", is_wrong, f"lie outside -2 … {num_classes - 1}")
    is_used = inputs.pool.labels != EXCLUDED
    for name in ("embeddings", "logits", "mc_logits", "source_logits"):
        values = getattr(inputs, name)
        if values is not None:
            axes = tuple(axis for axis in range(values.ndim) if axis != values.ndim - 2)  # all but that of the rows
            refuse_rows(name, is_used & ~jnp.all(jnp.isfinite(values), axis=axes), NOT_FINITE)
    refuse_rows("embeddings", is_used & ~jnp.isfinite(_largest_squares(inputs.embeddings)), TOO_LONG)


@jax.jit
def _largest_squares(embeddings: Float[Array, "N D"]) -> Float[Array, " N"]:
    """Square the largest distance there can be between rows of each row's length, (2‖z‖)²."""
    return jnp.sum(jnp.square(2 * embeddings), axis=1)


def check_shapes(inputs: AcquisitionInputs, num_classes: int) -> None:
    """Refuse arrays whose shapes do not agree with each other or with C = num_classes.

    Raises:
        InputError: names the array, the shape it should have and the one it has; a head given as [C, D] is told to be
            transposed (where C = D no shape can tell).
    """
    _check_shape("embeddings", inputs.embeddings, "[N, D], N and D at least 1", {}, (1, 1))
    num_rows, width = inputs.embeddings.shape
    sizes = {"N": num_rows, "D": width, "C": num_classes}
    _check_shape("labels", inputs.pool.labels, "[N]", sizes, (1,))
    _check_shape("sample_ids", inputs.sample_ids, "[N]", sizes, (1,))
    if inputs.head is not None:
        _check_head_shapes(inputs.head, sizes)
    if inputs.logits is not None:
        _check_shape("logits", inputs.logits, "[N, C]", sizes, (1, 1))
    if inputs.mc_logits is not None:
        _check_shape("mc_logits", inputs.mc_logits, "[M, N, C], M at least 1", sizes, (1, 1, 1))
    if inputs.source_logits is not None:
        _check_shape("source_logits", inputs.source_logits, "[N, S], S at least 2", sizes, (1, 2))


def check_head(head: LinearHead, sizes: dict[str, int]) -> None:
    """Refuse a head by itself, as `check_inputs` would.

    Args:
        head: of the model.
        sizes: D and C.

    Raises:
        InputError: its shapes are others (a transpose is told), or it holds NaN or infinity.
    """
    _check_head_shapes(head, sizes)
    _refuse_infinite(head)


def _refuse_infinite(head: LinearHead) -> None:
    for part, values in head._asdict().items():
        if not jnp.all(jnp.isfinite(values)):
            raise InputError(f"head.{part}: {NOT_FINITE.replace('hold ', 'holds ')}")


def _check_head_shapes(head: LinearHead, sizes: dict[str, int]) -> None:
    wanted = (sizes["D"], sizes["C"])
    if head.weight.shape == wanted[::-1] != wanted:
        raise InputError(
            f"head.weight: expected shape [D, C] = {list(wanted)}, got {list(head.weight.shape)}, its transpose: give"
            " weight.T (PyTorch's Linear keeps [C, D])"
        )
    _check_shape("head.weight", head.weight, "[D, C]", sizes, (1, 1))
    _check_shape("head.bias", head.bias, "[C]", sizes, (1,))


def _check_shape(name: str, values: Array, words: str, sizes: dict[str, int], smallest: tuple[int, ...]) -> None:
    """Compare a shape with one in words, such as "[N, C]": axes of known size must have it, others a least one."""
    axes = words[1 : words.index("]")].split(", ")
    fits = len(values.shape) == len(axes) and all(
        size == sizes.get(axis, size) and size >= least
        for size, axis, least in zip(values.shape, axes, smallest, strict=True)
    )
    if not fits:
        known = [str(sizes.get(axis, axis)) for axis in axes]
        numbers = f" = [{', '.join(known)}]" if known != axes else ""
        raise InputError(f"{name}: expected shape {words}{numbers}, got {list(values.shape)}")


def refuse_rows(name: str, is_bad: Array | np.ndarray, what: str) -> None:
    """Refuse an array if any of its rows is bad.

    Raises:
        InputError: says how many rows are bad, of how many, and which are the first.
    """
    bad_rows = np.flatnonzero(processes.whole_on_host(is_bad))
    if len(bad_rows):
        first = ", ".join(str(row) for row in bad_rows[:5])
        raise InputError(f"{name}: {len(bad_rows)} of {len(is_bad)} rows {what}; the first are {first}")
