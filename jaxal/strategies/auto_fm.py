"""Auto-FM: the samples whose prediction the smallest feature mix flips (Lin et al., MICCAI 2024, Eq. 1-4)."""

import functools

import jax.numpy as jnp

from jaxal.config.strategies import AutoFMConfig
from jaxal.kernels.blocks import rows_per_block
from jaxal.kernels.centroids import class_centroids
from jaxal.kernels.feature_mixing import mix_features
from jaxal.kernels.masking import lowest, picked_values
from jaxal.kernels.uncertainty import margin, margin_log_odds
from jaxal.pool import Query, is_selectable
from jaxal.strategies.strategy import AcquisitionInfo, AcquisitionInputs, Strategy, needed, num_to_pick, stateless
from jaxal.typing import Array, Bool, Float, PRNGKey

__all__ = ["auto_fm"]

REASONS = ("feature_mixing", "smallest_margin")
# α, its difference to the anchor, the slope and two temporaries are alive at once, each a float32 row of width D.
LIVE_ROW_ARRAYS = 5


def anchors_of(
    config: AutoFMConfig, inputs: AcquisitionInputs, num_classes: int
) -> tuple[Float[Array, "C D"], Bool[Array, " C"]]:
    """Return the anchor of each class, and which classes have one."""
    centroids, counts = class_centroids(inputs.embeddings, inputs.pool.labels, num_classes=num_classes)
    if config.missing_anchor == "skip":
        return centroids, counts > 0
    any_label = jnp.where(inputs.pool.labels >= 0, 0, -1)
    overall, num_labeled = class_centroids(inputs.embeddings, any_label, num_classes=1)
    return jnp.where((counts > 0)[:, None], centroids, overall), jnp.broadcast_to(num_labeled > 0, counts.shape)


@functools.cache
def auto_fm(config: AutoFMConfig, *, num_classes: int) -> Strategy:
    """Choose candidates (samples that some mix flips) by rank, then the smallest margins among the rest.

    The score of a candidate is its mixing norm (or its Taylor loss change, by config.rank); that of a filled place is
    its margin p₁ - p₂, and such places are counted in num_fallback. Ties go by margin, then to the lowest row.
    """

    def acquire(
        key: PRNGKey, state: tuple[()], inputs: AcquisitionInputs, query_size: int
    ) -> tuple[Query, tuple[()], AcquisitionInfo]:
        num_rows, width = inputs.embeddings.shape
        logits, head = needed(inputs.logits, "logits"), needed(inputs.head, "head")
        anchors, is_anchor = anchors_of(config, inputs, num_classes)
        mixing = mix_features(
            key,
            inputs.embeddings,
            inputs.sample_ids,
            logits,
            head.weight,
            anchors,
            is_anchor,
            alpha_init=config.alpha_init,
            num_steps=config.num_steps,
            step_size=config.step_size,
            penalty_weight=config.penalty_weight,
            block_size=rows_per_block(LIVE_ROW_ARRAYS * 4 * (width + num_classes), num_rows),
        )
        is_candidate = jnp.isfinite(mixing.norm)
        score = mixing.norm if config.rank == "mixing_norm" else mixing.loss_change
        ascending = score if config.rank == "mixing_norm" else -score
        keys = (~is_candidate, jnp.where(is_candidate, ascending, 0), margin_log_odds(logits))
        query = Query(*lowest(keys, is_selectable(inputs.pool), num_to_pick(inputs, query_size), query_size))
        is_filled = query.is_valid & ~is_candidate.at[query.indices].get(mode="fill", fill_value=True)
        shown = jnp.where(is_candidate, score, margin(logits))
        info = AcquisitionInfo(
            score=picked_values(shown, query.indices, query.is_valid),
            reason=is_filled.astype(jnp.int32),
            num_fallback=jnp.sum(is_filled, dtype=jnp.int32),
        )
        return query, state, info

    return Strategy("auto_fm", frozenset({"logits", "head"}), REASONS, stateless, acquire)
