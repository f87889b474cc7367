"""What Auto-FM is to find in a pool, by its kind of α, in float64."""

from typing import NamedTuple

import jax
import numpy as np
from reference import feature_mixing, scalar_mixing
from reference.closed_form_mixing import closed_form_mixing
from reference.mixing_anchors import mixing_anchors
from reference.mixing_start import clipped_normal


class Expected(NamedTuple):
    """`clearance`: how far each sample stayed from a decision that rounding could turn over."""

    norm: np.ndarray
    loss_change: np.ndarray
    clearance: np.ndarray


def starting_alpha(config, sample_ids, seed, shape):
    """[N C D]: a half, or clip(N(0.5, 0.5), 0, 1) at quantiles of 16 bits, two to a number drawn for id and anchor."""
    if config.alpha_init == "half":
        return np.full(shape, 0.5)
    _, num_classes, dim = shape
    key = jax.random.key(seed)
    alpha = np.empty(shape)
    for i, sample_id in enumerate(sample_ids.tolist()):
        for c in range(num_classes):
            noise_key = jax.random.fold_in(jax.random.fold_in(key, sample_id), c)
            bits = np.asarray(jax.random.bits(noise_key, (-(-dim // 2),), np.uint32))
            alpha[i, c] = clipped_normal(np.concatenate([bits % 65536, bits // 65536])[:dim])
    return alpha


def expected_of(config, inputs, seed=0):
    """Norm and loss change of every sample."""
    embeddings, logits = np.asarray(inputs.embeddings), np.asarray(inputs.logits)
    (num_rows, dim), num_classes = embeddings.shape, logits.shape[1]
    labels, (weight, bias) = np.asarray(inputs.pool.labels), (np.asarray(part) for part in inputs.head)
    anchors, is_anchor = mixing_anchors(embeddings, labels, num_classes, config.missing_anchor)
    if config.alpha == "fixed":
        arrays = (embeddings, weight, bias, anchors, is_anchor)
        norm = scalar_mixing.smallest_flipping_alpha(*arrays, config.fixed_alphas)
        return Expected(norm, scalar_mixing.loss_change(norm, *arrays), np.full(num_rows, np.inf))
    if config.alpha == "closed_form":
        mixing = closed_form_mixing(embeddings, logits, weight, anchors, is_anchor)
        by_norm = config.rank == "mixing_norm"  # which of two rivals is nearer matters to their loss change alone
        return Expected(mixing.norm, mixing.loss_change, np.full(num_rows, np.inf) if by_norm else mixing.clearance)
    start = starting_alpha(config, inputs.sample_ids, seed, (num_rows, num_classes, dim))
    steps = (config.num_steps, config.step_size, config.penalty_weight)
    return Expected(*feature_mixing.mix_features(embeddings, logits, weight, anchors, is_anchor, start, *steps))
