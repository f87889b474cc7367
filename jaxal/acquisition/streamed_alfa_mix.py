"""ALFA-Mix from a pool on the disk: one pass finds the candidates, and the strategy chooses among these alone."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from jaxal.acquisition.completion import head_logits
from jaxal.acquisition.streamed_rows import StreamedQuery, Winners, faults_of, read_rows
from jaxal.acquisition.streamed_scores import score_rows
from jaxal.acquisition.streamed_tournament import choose_among, inputs_of
from jaxal.config.strategies import ALFAMixConfig
from jaxal.errors import InputError
from jaxal.kernels.masking import lowest
from jaxal.kernels.ray_test import candidate_cap
from jaxal.pool import EXCLUDED, UNLABELED
from jaxal.strategies.alfa_mix import smallest_flip
from jaxal.strategies.random import row_bits
from jaxal.strategies.strategy import Strategy
from jaxal.typing import Array, LinearHead, PRNGKey

__all__ = ["streamed_alfa_mix"]

# Of candidates that are held in memory.
CANDIDATE_BYTES = 2**31


def streamed_alfa_mix(
    strategy: Strategy, config: ALFAMixConfig, query: StreamedQuery, *, candidate_bytes: int = CANDIDATE_BYTES
) -> Winners:
    """Choose by ALFA-Mix: the picks of `alfa_mix`.

    Args:
        strategy: made of the config.
        config: of the strategy.
        query: its pool has a head.
        candidate_bytes: of candidates that may be held.

    Raises:
        InputError: rows in use hold what cannot be ranked, or there are too many candidates.
        DataError: a file of the embeddings is not the one that was written.

    Cost: one pass over the disk, the candidates in memory, and the strategy on them; 5 bytes a row.
    """
    pool, num_rows = query.pool, query.pool.rows.num_images
    labeled = np.flatnonzero(pool.labels >= 0)
    labeled_rows = jnp.asarray(read_rows(query, labeled, "labeled rows"))

    def measure(block: Array) -> tuple[Array, Array]:
        labels = pool.labels[labeled]
        return _flips(config, pool.num_classes, labeled_rows, labels, block, pool.head, query.block_bytes)

    (flips,) = score_rows(query, ("flips",), measure)
    ids = pool.sample_ids()
    rows = _candidates(config, query.key, flips, pool.labels == UNLABELED, ids, query.num_picks)
    if rows.size * 4 * pool.rows.image_shape[0] > candidate_bytes:
        raise InputError(
            f"strategy: {len(rows)} of {num_rows} rows are candidates of alfa_mix, which are held in memory; there is"
            f" room for {candidate_bytes // (4 * pool.rows.image_shape[0])}. Choose a smaller cap_step (fixed_alpha"
            ' with alpha = "fixed"), or another strategy.'
        )
    seats = np.concatenate([labeled, rows])
    parts = (labeled_rows, jnp.asarray(read_rows(query, rows, "candidates")))
    places, _, scores, reasons, num_fallback = choose_among(
        strategy, query.key, parts, pool.labels[seats], ids[seats], pool.head, query.num_picks, query.block_bytes
    )
    return Winners(seats[np.asarray(places)], np.asarray(scores), np.asarray(reasons), int(num_fallback))


@functools.partial(jax.jit, static_argnums=(0, 1, 6))
def _flips(
    config: ALFAMixConfig,
    num_classes: int,
    labeled_rows: Array,
    labels: Array,
    block: Array,
    head: LinearHead,
    block_bytes: int,
) -> tuple[Array, Array]:
    """Measure by how much mixing flips each row of a block, and mark the faults of its rows."""
    known = jnp.concatenate([labels, jnp.full(block.shape[0], EXCLUDED, labels.dtype)])
    inputs = inputs_of((labeled_rows, block), known, jnp.zeros_like(known), head, 0)
    flips = smallest_flip(config, inputs, num_classes)[labels.shape[0] :]
    return flips, faults_of(block, head_logits(block, head))


def _candidates(
    config: ALFAMixConfig,
    key: PRNGKey,
    flips: np.ndarray,
    is_selectable: np.ndarray,
    ids: np.ndarray,
    num_picks: int,
) -> np.ndarray:
    """List the rows that may be picked: all candidates, and where these are too few, those that fill up by chance."""
    cap = config.fixed_alpha
    if config.alpha == "closed_form":
        cap = float(
            candidate_cap(jnp.asarray(flips), jnp.asarray(is_selectable), jnp.int32(num_picks), config.cap_step)
        )
    is_candidate = is_selectable & (flips <= np.float32(cap))
    num_open = num_picks - int(is_candidate.sum())
    rows = np.flatnonzero(is_candidate)
    if num_open <= 0:
        return rows
    _, fill_key = jax.random.split(key)
    bits = row_bits(fill_key, jnp.asarray(ids))
    filled, _ = lowest(bits, jnp.asarray(is_selectable & ~is_candidate), jnp.int32(num_open), num_open)
    return np.sort(np.append(rows, np.asarray(filled)))
