"""Auto-FM: the samples whose prediction the smallest feature mix flips (Lin et al., MICCAI 2024, Eq. 1-4)."""

import functools

import jax
import jax.numpy as jnp

from jaxal.config.strategies import AutoFMConfig
from jaxal.kernels.blocks import rows_per_block
from jaxal.kernels.cached_blocks import rows_per_cached_block
from jaxal.kernels.closed_form_mixing import closed_form_mixing
from jaxal.kernels.feature_mixing import Mixing, mix_features
from jaxal.kernels.masking import lowest, picked_values
from jaxal.kernels.scalar_mixing import anchor_logits, scalar_mixing
from jaxal.kernels.taylor import log_error
from jaxal.kernels.uncertainty import margin, margin_log_odds
from jaxal.pool import Query, is_selectable
from jaxal.strategies.anchors import class_anchors
from jaxal.strategies.spread import ranks, spread_turns
from jaxal.strategies.strategy import AcquisitionInfo, AcquisitionInputs, Strategy, needed, num_to_pick, stateless
from jaxal.typing import Array, Float, PRNGKey

__all__ = ["auto_fm"]

REASONS = ("feature_mixing", "smallest_margin")
# α, its difference to the anchor, the slope and two temporaries are alive at once, each a float32 row of width D.
LIVE_ROW_ARRAYS = 5
# What a step reads and writes of these, which is to stay in the cache: α, the difference, and their product.
STEP_ROW_ARRAYS = 3
# Folds the key of k-means' seeds away from those of the samples' noise, whose ids are non-negative int32.
SPREAD_FOLD = 2**31


def mixing_of(config: AutoFMConfig, key: PRNGKey, inputs: AcquisitionInputs, num_classes: int) -> Mixing:
    """Measure, for every row, the smallest flipping mix and its loss change by the config's kind of α."""
    num_rows, width = inputs.embeddings.shape
    logits, head = needed(inputs.logits, "logits"), needed(inputs.head, "head")
    anchors, is_anchor = class_anchors(inputs, num_classes, config.missing_anchor)
    if config.alpha == "fixed":
        alphas = jnp.asarray(config.fixed_alphas, logits.dtype)
        return scalar_mixing(logits, anchor_logits(anchors, *head), is_anchor, alphas)
    row_bytes = 4 * (width + num_classes)
    block_size = min(
        rows_per_block(LIVE_ROW_ARRAYS * row_bytes, num_rows),
        rows_per_cached_block(STEP_ROW_ARRAYS * row_bytes, num_rows),
    )
    if config.alpha == "closed_form":
        return closed_form_mixing(inputs.embeddings, logits, head.weight, anchors, is_anchor, block_size=block_size)
    return mix_features(
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
        block_size=block_size,
    )


def ascending_keys(
    config: AutoFMConfig, mixing: Mixing, log_errors: Float[Array, " N"]
) -> tuple[Float[Array, " N"], ...]:
    """Return what candidates are ordered by before their margins, the smallest first.

    A loss change is ordered by its sign and the logarithm of its size: many of saturated predictions are no float32.
    """
    if config.rank == "loss_change":
        sign = jnp.sign(mixing.relative_change)
        size = jnp.abs(mixing.relative_change)
        log_size = jnp.where(size > 0, log_errors + jnp.log(jnp.where(size > 0, size, 1)), 0)
        return -sign, -sign * log_size
    return () if config.alpha == "fixed" else (mixing.norm,)


@functools.cache
def auto_fm(config: AutoFMConfig, *, num_classes: int) -> Strategy:
    """Choose candidates (samples that some mix flips) by rank, then the smallest margins among the rest.

    By `alpha`, what makes a sample a candidate, and its mixing norm, smaller first:
    * "learned" (Eq. 1-4): some iterate flips the prediction; the smallest t·mean|α|, in [0, 1].
    * "closed_form": some anchor lies apart from the sample; the smallest ‖α‖₂ that flips, without a box, 0 or more.
    * "fixed": one of fixed_alphas flips the prediction with some anchor; the smallest that does. Samples that the same
      scalar flips tie, so candidates go by margin, and the scalar is only shown as their score.
    alpha_init, num_steps, step_size and penalty_weight belong to "learned" alone, fixed_alphas to "fixed", and
    candidates_per_pick to diversify; elsewhere they are ignored.

    rank = "loss_change" orders the candidates by Eq. 3's Taylor change instead, largest first: the largest over the
    anchors at that anchor's α, which is the last iterate, the shortest flipping α, or the smallest flipping scalar. The
    order is that of its logarithm, so it holds where a saturated prediction's change, the score, is 0 in float32.

    The score of a candidate is its mixing norm or its loss change, by rank; that of a filled place is its margin
    p₁ - p₂, and such places are counted in num_fallback. Ties go by margin, then to the lowest row. Without any label
    there is no anchor, and everything goes by margin.

    diversify: of the best candidates_per_pick·picks candidates, those are chosen that lie apart (see `spread_turns`):
    by k_means, ordered by rank, or by k_center, in the order of the greedy choice. What these leave open (too few
    candidates, coinciding samples) is filled by rank. Scores and reasons stay those of the rank.
    """

    def acquire(
        key: PRNGKey, state: tuple[()], inputs: AcquisitionInputs, query_size: int
    ) -> tuple[Query, tuple[()], AcquisitionInfo]:
        num_rows = inputs.sample_ids.shape[0]
        logits = needed(inputs.logits, "logits")
        mixing = mixing_of(config, key, inputs, num_classes)
        is_candidate = jnp.isfinite(mixing.norm)
        log_errors = log_error(logits, jnp.argmax(logits, axis=1).astype(jnp.int32))
        score = mixing.norm if config.rank == "mixing_norm" else mixing.relative_change * jnp.exp(log_errors)
        ascending = (jnp.where(is_candidate, each, 0) for each in ascending_keys(config, mixing, log_errors))
        keys: tuple[Array, ...] = (~is_candidate, *ascending, margin_log_odds(logits))
        selectable = is_selectable(inputs.pool)
        num_wanted = num_to_pick(inputs, query_size)
        if config.diversify != "none":
            rank = ranks(keys, selectable)
            per_pick = config.candidates_per_pick
            num_spread = jnp.minimum(num_wanted, num_rows // per_pick + 1) * per_pick  # beyond N it could overflow
            is_spread = selectable & is_candidate & (rank < num_spread)
            spread_key = jax.random.fold_in(key, SPREAD_FOLD)
            turns = spread_turns(config.diversify, spread_key, inputs, rank, is_spread, num_wanted, query_size)
            keys = (turns, rank)
        query = Query(*lowest(keys, selectable, num_wanted, query_size))
        is_filled = query.is_valid & ~is_candidate.at[query.indices].get(mode="fill", fill_value=True)
        shown = jnp.where(is_candidate, score, margin(logits))
        info = AcquisitionInfo(
            score=picked_values(shown, query.indices, query.is_valid),
            reason=is_filled.astype(jnp.int32),
            num_fallback=jnp.sum(is_filled, dtype=jnp.int32),
        )
        return query, state, info

    return Strategy("auto_fm", frozenset({"logits", "head"}), REASONS, stateless, acquire)
