"""What can be derived for a strategy from the rest, and whether all of it agrees."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxal.acquisition.pool_inputs import ReadPool
from jaxal.errors import InputError
from jaxal.pool import EXCLUDED
from jaxal.strategies.inputs import check_inputs, refuse_rows
from jaxal.strategies.strategy import AcquisitionInputs, Strategy
from jaxal.typing import Array, Bool, Float, Int32, LinearHead

__all__ = ["complete_inputs", "head_logits"]

# Logits and head may differ by so much of the largest logit, or by the spacing of the coarsest type that was given.
TOLERANCE = 1e-3
# With fewer rows or numbers XLA on a CPU chooses another product; several times as many, for devices may share them.
FEWEST_ROWS, FEWEST_NUMBERS = 64, 8192
# Probabilities of 16 bits sum to 1 within so much.
SUM_TOLERANCE = 1e-2
HOW_TO_GIVE = {
    "head": "the last linear layer, head=(weight [D, C], bias [C]); in a file head_weight and head_bias",
    "logits": "the model's outputs, logits=[N, C]; or its last linear layer, head=(weight [D, C], bias [C]) (in a file"
    " head_weight and head_bias), from which they are computed",
    "mc_logits": "the outputs of M passes with dropout on, mc_logits=[M, N, C]",
    "source_logits": "the outputs of the source model over its own classes, source_logits=[N, S]; or the model's own,"
    " logits=[N, C] or head=(weight [D, C], bias [C])",
}


def complete_inputs(strategy: Strategy, pool: ReadPool) -> tuple[AcquisitionInputs, tuple[str, ...]]:
    """Complete what can be derived for a strategy, and check all values.

    Missing logits are computed from the head. Missing source logits are replaced by the model's own, with a note; what
    looks like probabilities is noted too.

    Returns:
        (inputs, notes).

    Raises:
        InputError: something is missing, is not finite, or logits and head contradict each other.
    """
    inputs, notes = pool.inputs, ()
    missing = {name for name in strategy.needs if getattr(inputs, name) is None}
    if inputs.head is not None and missing & {"logits", "source_logits"} and inputs.logits is None:
        inputs = inputs._replace(logits=head_logits(inputs.embeddings, inputs.head))
    if "source_logits" in missing and inputs.logits is not None:
        inputs = inputs._replace(source_logits=inputs.logits)
        notes = (
            f"source_logits: not given; {strategy.name} uses the model's own logits instead, {pool.num_classes} classes"
            " of the target and not those of a source model.",
        )
    still_missing = [name for name in HOW_TO_GIVE if name in missing and getattr(inputs, name) is None]
    for name in still_missing[:1]:  # with a head, logits follow
        raise InputError(f"{name}: {strategy.name} needs it, but it is not given. Give {HOW_TO_GIVE[name]}.")
    is_computed = pool.inputs.logits is None and inputs.logits is not None
    given = inputs._replace(logits=None, source_logits=pool.inputs.source_logits) if is_computed else inputs
    check_inputs(strategy._replace(needs=frozenset()), given, pool.num_classes)
    if inputs.logits is not None and is_computed:
        is_bad = (inputs.pool.labels != EXCLUDED) & ~jnp.all(jnp.isfinite(inputs.logits), axis=1)
        refuse_rows("head", is_bad, "give logits that are not finite in float32 (embeddings @ weight + bias)")
    elif inputs.logits is not None and inputs.head is not None:
        _check_agreement(inputs, inputs.logits, inputs.head, max(TOLERANCE, pool.spacing))
    return inputs, notes + _probability_notes(pool.inputs)


def _probability_notes(given: AcquisitionInputs) -> tuple[str, ...]:
    """Warn of given logits that look like probabilities: their softmax, and so every rule, would be another."""
    is_used = given.pool.labels != EXCLUDED
    arrays = {name: getattr(given, name) for name in ("logits", "mc_logits", "source_logits")}
    return tuple(
        f"{name}: every row lies in 0 … 1 and sums to 1, as probabilities do. Logits are expected: give their logarithm"
        " if they are probabilities."
        for name, values in arrays.items()
        if values is not None and _sums_to_one(values, is_used)
    )


@jax.jit
def _sums_to_one(values: Float[Array, "*M N C"], is_used: Bool[Array, " N"]) -> Bool[Array, ""]:
    is_share = jnp.all(values >= 0, axis=-1) & (jnp.abs(jnp.sum(values, axis=-1) - 1) < SUM_TOLERANCE)
    return jnp.all(is_share | ~jnp.broadcast_to(is_used, is_share.shape))


@jax.jit
def head_logits(embeddings: Float[Array, "N D"], head: LinearHead) -> Float[Array, "N C"]:
    """Compute the outputs of the last layer, in full float32 precision.

    On a CPU equal rows have equal outputs however many come with them: few are filled up.

    Cost: O(NCD); a copy of the rows where they are fewer than FEWEST_ROWS or hold fewer than FEWEST_NUMBERS.
    """
    num_rows, width = embeddings.shape
    filling = max(FEWEST_ROWS - num_rows, FEWEST_NUMBERS // width - num_rows, 0)
    rows = jnp.pad(embeddings, ((0, filling), (0, 0)))
    return jnp.matmul(rows, head.weight, precision="highest")[:num_rows] + head.bias[None]


@jax.jit
def _gaps(
    embeddings: Float[Array, "N D"], head: LinearHead, logits: Float[Array, "N C"], labels: Int32[Array, " N"]
) -> tuple[Float[Array, " N"], Float[Array, ""]]:
    """Compare given logits with the head's: the largest difference of each used row, and the largest logit of all."""
    is_used = labels != EXCLUDED
    gaps = jnp.max(jnp.abs(head_logits(embeddings, head) - logits), axis=1)
    scale = jnp.max(jnp.where(is_used[:, None], jnp.abs(logits), 0))
    # A difference of numbers beyond float32 may be NaN: it must count as the largest.
    return jnp.where(is_used, jnp.where(jnp.isnan(gaps), jnp.inf, gaps), 0), scale


def _check_agreement(inputs: AcquisitionInputs, logits: Array, head: LinearHead, tolerance: float) -> None:
    labels = inputs.pool.labels
    gaps, scale = jax.device_get(_gaps(inputs.embeddings, head, logits, labels))
    is_bad = gaps > tolerance * scale
    if not is_bad.any():
        return
    width, num_classes = head.weight.shape
    if width == num_classes:  # no shape could tell
        turned_gaps, _ = _gaps(inputs.embeddings, head._replace(weight=head.weight.T), logits, labels)
        if not np.any(np.asarray(turned_gaps) > tolerance * scale):
            raise InputError(
                "head.weight: not as it is, but with its transpose embeddings @ weight + bias gives the logits: give"
                " weight.T (PyTorch's Linear keeps [C, D])"
            )
    of_scale = f"{float(gaps.max() / scale):.2g} of the largest logit" if scale > 0 else "where all logits given are 0"
    what = f"contradict the head: embeddings @ weight + bias differs by up to {float(gaps.max()):.3g}, {of_scale}"
    refuse_rows("logits", is_bad, f"{what} ({tolerance:g} of it is allowed)")
