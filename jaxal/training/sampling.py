"""How often each labeled row comes up in an epoch: once, or so that rare classes come up as often as common ones."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from jaxal.config.training import Sampling
from jaxal.training.batches import epoch_batches
from jaxal.typing import Array, Int32, PRNGKey

__all__ = ["epoch_size", "largest_epoch_size", "sampled_batches"]


def epoch_size(sampling: Sampling, class_counts: np.ndarray) -> int:
    """Count the rows of an epoch, from the labels of each class, n_c: L of them, or C₊·max n_c where oversampled.

    >>> epoch_size("oversample", np.array([90, 10, 0]))
    180
    """
    counts = np.asarray(class_counts)
    if sampling == "oversample":
        return int(np.sum(counts > 0) * np.max(counts, initial=0))
    return int(np.sum(counts))


def largest_epoch_size(sampling: Sampling, max_labeled: int, num_classes: int) -> int:
    """Bound `epoch_size` over all ways in which up to max_labeled labels may fall on the classes.

    Oversampling is longest where k classes have labels and all but one of these have a single one: k·(L - k + 1).
    """
    if sampling != "oversample":
        return max_labeled
    # The product grows up to k = (L + 1) / 2; classes that have no label yet are not repeated.
    num_known = max(1, min(num_classes, (max_labeled + 1) // 2))
    return num_known * (max_labeled - num_known + 1)


def sampled_batches(
    sampling: Sampling,
    key: PRNGKey,
    labels: Int32[Array, " N"],
    class_counts: Int32[Array, " C"],
    *,
    num_steps: int,
    batch_size: int,
) -> Int32[Array, "num_steps B"]:
    """Lay an epoch's rows out in full batches, which wrap around behind its end.

    * "none": every labeled row once, as `epoch_batches`.
    * "oversample": as many rows of every class with labels as its largest has, T: each row ⌊T / n_c⌋ times, and the
      T mod n_c that are missing drawn anew for each epoch, no row twice; all shuffled together.
    * "class_balanced": each place draws a class with labels, all with the same probability, then a row of it.

    Args:
        sampling: which of them.
        key: of this epoch.
        labels: class of each row, negative where there is none; at least one row must be labeled.
        class_counts: rows of each class, n_c; of a class with none no row is drawn.
        num_steps: batches to lay out, static: those of the largest epoch of the run.
        batch_size: B.

    Cost: a sort of N, and of num_steps·B where oversampled.
    """
    match sampling:
        case "none":
            return epoch_batches(key, labels, num_steps=num_steps, batch_size=batch_size)
        case "oversample":
            rows = _oversampled(key, labels, class_counts, num_places=num_steps * batch_size)
        case "class_balanced":
            rows = _class_balanced(key, labels, class_counts, num_places=num_steps * batch_size)
    return rows.reshape(num_steps, batch_size)


@functools.partial(jax.jit, static_argnames="num_places")
def _oversampled(key: PRNGKey, labels: Array, class_counts: Array, *, num_places: int) -> Int32[Array, " places"]:
    row_key, place_key = jax.random.split(key)
    by_class, first, known = _rows_by_class(row_key, labels, class_counts)
    largest = jnp.max(class_counts)
    size = jnp.maximum(jnp.sum(class_counts > 0, dtype=jnp.int32) * largest, 1)
    # All that there are copies of are shuffled to the front, as `epoch_batches` does with rows.
    places = jnp.arange(num_places, dtype=jnp.int32)
    _, _, shuffled = jax.lax.sort((places >= size, jax.random.bits(place_key, (num_places,)), places), num_keys=3)
    copy = shuffled[places % size]
    class_of = known[jnp.minimum(copy // jnp.maximum(largest, 1), class_counts.shape[0] - 1)]
    # A class's rows are in random order, so that those with a copy more than the others are drawn by chance.
    return by_class[first[class_of] + copy % jnp.maximum(largest, 1) % jnp.maximum(class_counts[class_of], 1)]


@functools.partial(jax.jit, static_argnames="num_places")
def _class_balanced(key: PRNGKey, labels: Array, class_counts: Array, *, num_places: int) -> Int32[Array, " places"]:
    row_key, class_key, member_key = jax.random.split(key, 3)
    by_class, first, known = _rows_by_class(row_key, labels, class_counts)
    num_known = jnp.maximum(jnp.sum(class_counts > 0, dtype=jnp.int32), 1)
    class_of = known[jax.random.randint(class_key, (num_places,), 0, num_known)]
    member = jax.random.randint(member_key, (num_places,), 0, jnp.maximum(class_counts[class_of], 1))
    return by_class[first[class_of] + member]


def _rows_by_class(key: PRNGKey, labels: Array, class_counts: Array) -> tuple[Array, Array, Array]:
    """Return rows sorted by class, shuffled within; where each class begins; and the classes, labeled ones first."""
    rows = jnp.arange(labels.shape[0], dtype=jnp.int32)
    class_or_last = jnp.where(labels >= 0, labels, class_counts.shape[0])
    _, _, by_class = jax.lax.sort((class_or_last, jax.random.bits(key, labels.shape), rows), num_keys=3)
    first = jnp.cumsum(class_counts) - class_counts
    return by_class, first, jnp.argsort(class_counts == 0, stable=True)
