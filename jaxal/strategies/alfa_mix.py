"""ALFA-Mix: of the samples that a small mix with an anchor flips, one of each cluster (Parvaneh et al., CVPR 2022)."""

import functools

import jax
import jax.numpy as jnp

from jaxal.config.strategies import ALFAMixConfig
from jaxal.kernels.cached_blocks import rows_per_cached_block
from jaxal.kernels.k_means import k_means, nearest_to_centers
from jaxal.kernels.masking import lowest, pick_mask, picked_values
from jaxal.kernels.ray_test import candidate_cap, flipping_cap
from jaxal.kernels.scalar_mixing import anchor_gaps, anchor_logits, smallest_flipping_alpha
from jaxal.kernels.unit_rows import unit_scale
from jaxal.pool import Query, is_selectable
from jaxal.strategies.anchors import class_anchors
from jaxal.strategies.random import row_bits
from jaxal.strategies.strategy import AcquisitionInfo, AcquisitionInputs, Strategy, needed, num_to_pick, stateless
from jaxal.typing import Array, Bool, Float, Int32, PRNGKey

__all__ = ["alfa_mix"]

REASONS = ("feature_mixing", "empty_cluster", "random")
NEAREST_TO_CENTER, EMPTY_CLUSTER, RANDOM = range(3)
# The gradient, the ray and two temporaries are alive at once, each a float32 row of width D.
LIVE_ROW_ARRAYS = 4


def smallest_flip(config: ALFAMixConfig, inputs: AcquisitionInputs, num_classes: int) -> Float[Array, " N"]:
    """Measure by how much mixing each row's prediction flips: the smallest cap, or the smallest scalar α."""
    num_rows, width = inputs.embeddings.shape
    logits, head = needed(inputs.logits, "logits"), needed(inputs.head, "head")
    # The mean of all labeled samples, a missing class's anchor, lies among the other anchors: it is never the farthest,
    # and it favors no class over another by more than one of them does. So it changes nothing and is left out.
    anchors, is_anchor = class_anchors(inputs, num_classes, "skip")
    if config.alpha == "fixed":
        gaps = anchor_gaps(anchor_logits(anchors, *head), is_anchor)
        return smallest_flipping_alpha(logits, jnp.argmax(logits, axis=1).astype(jnp.int32), gaps)
    block_size = rows_per_cached_block(LIVE_ROW_ARRAYS * 4 * (width + num_classes), num_rows)
    return flipping_cap(inputs.embeddings, logits, head.weight, anchors, is_anchor, block_size=block_size)


def one_per_cluster(
    key: PRNGKey,
    inputs: AcquisitionInputs,
    is_candidate: Bool[Array, " N"],
    num_wanted: Int32[Array, ""],
    query_size: int,
) -> Bool[Array, " N"]:
    """Mark the candidate nearest each center of k-means on unit embeddings; all of them where no more are wanted."""
    num_rows = inputs.sample_ids.shape[0]
    embeddings, scale = inputs.embeddings, unit_scale(inputs.embeddings)
    num_clusters = min(query_size, num_rows)
    found = k_means(key, embeddings, inputs.sample_ids, is_candidate, num_wanted, num_clusters, row_scale=scale)
    chosen = pick_mask(nearest_to_centers(embeddings, is_candidate, *found, row_scale=scale), num_rows)
    return jnp.where(jnp.sum(is_candidate, dtype=jnp.int32) > num_wanted, chosen, is_candidate)


@functools.cache
def alfa_mix(config: ALFAMixConfig, *, num_classes: int) -> Strategy:
    """Choose from the samples whose prediction a small mix with a class anchor flips, one of each k-means cluster.

    Candidates, with the pseudo-label ŷ for the unknown label and the mean of all labeled samples as the anchor of a
    class without labels (with a linear head it turns out never to matter):
    * alpha = "closed_form": α = ε‖μ_c - z‖·(∇/‖∇‖) ⊘ (μ_c - z), ε = cap/√D, with the cap growing by cap_step, up to 1,
      until more samples flip than are picked; all anchors and caps are one ray test (`kernels/ray_test.py`).
    * alpha = "fixed": some anchor flips the prediction at the scalar fixed_alpha; cap_step means nothing here.

    K-means then makes as many clusters as there are picks on the candidates' original embeddings, scaled to length 1,
    and the member nearest each center is picked; the order is that of the score. The score is how little mixing is
    enough: the smallest cap, or the smallest scalar α, that flips the prediction; in [0, 1], smaller is closer to a
    decision boundary. Ties go to the lowest row. As many candidates as picks or fewer: all are taken.

    What is left open goes to the remaining candidates by score where clusters stayed empty because candidates coincide
    (reason empty_cluster), then to samples drawn by chance without replacement (random, no score), as in the authors'
    code; both are counted in num_fallback. Without any label there is no anchor, no candidate, and all is by chance.
    """

    def acquire(
        key: PRNGKey, state: tuple[()], inputs: AcquisitionInputs, query_size: int
    ) -> tuple[Query, tuple[()], AcquisitionInfo]:
        cluster_key, fill_key = jax.random.split(key)
        selectable = is_selectable(inputs.pool)
        num_wanted = num_to_pick(inputs, query_size)
        flip = smallest_flip(config, inputs, num_classes)
        if config.alpha == "fixed":
            is_candidate = selectable & (flip <= config.fixed_alpha)
        else:
            is_candidate = selectable & (flip <= candidate_cap(flip, selectable, num_wanted, config.cap_step))
        is_chosen = one_per_cluster(cluster_key, inputs, is_candidate, num_wanted, query_size)
        reason = jnp.where(is_chosen, NEAREST_TO_CENTER, jnp.where(is_candidate, EMPTY_CLUSTER, RANDOM))
        by_chance = tuple(jnp.where(is_candidate, 0, bits) for bits in row_bits(fill_key, inputs.sample_ids))
        keys = (reason, jnp.where(is_candidate, flip, 0), *by_chance)
        query = Query(*lowest(keys, selectable, num_wanted, query_size))
        picked_reason = jnp.where(query.is_valid, reason.at[query.indices].get(mode="fill", fill_value=0), 0)
        info = AcquisitionInfo(
            score=picked_values(jnp.where(is_candidate, flip, jnp.nan), query.indices, query.is_valid),
            reason=picked_reason.astype(jnp.int32),
            num_fallback=jnp.sum(picked_reason != NEAREST_TO_CENTER, dtype=jnp.int32),
        )
        return query, state, info

    return Strategy("alfa_mix", frozenset({"logits", "head"}), REASONS, stateless, acquire)
