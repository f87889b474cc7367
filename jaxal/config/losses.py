"""Settings of the losses, and the words that stand for them."""

import difflib
import typing
from typing import Annotated, Any

from msgspec import Meta

from jaxal.config.struct import LARGEST, ConfigStruct

__all__ = [
    "LOSS_WORDS",
    "APLossConfig",
    "BCEConfig",
    "CrossEntropyConfig",
    "FocalConfig",
    "LDAMConfig",
    "LossConfig",
    "WeightedCrossEntropyConfig",
    "loss_table",
    "wrong_loss_word",
]

Positive = Annotated[float, Meta(gt=0, le=LARGEST)]


class CrossEntropyConfig(ConfigStruct, frozen=True, tag_field="kind", tag="cross_entropy"):
    """Cross-entropy of the softmax."""


class BCEConfig(ConfigStruct, frozen=True, tag_field="kind", tag="bce"):
    """Binary cross-entropy on l₁ - l₀, for two classes."""


class WeightedCrossEntropyConfig(ConfigStruct, frozen=True, tag_field="kind", tag="weighted_cross_entropy"):
    """Cross-entropy with each class weighted by the inverse of its number of labels."""


class FocalConfig(ConfigStruct, frozen=True, tag_field="kind", tag="focal"):
    """Focal loss (Lin et al. 2017), without class weights.

    Fields:
        gamma: how strongly samples that are predicted well count less; 0 is cross-entropy.
    """

    gamma: Annotated[float, Meta(ge=0, le=100)] = 2.0


class LDAMConfig(ConfigStruct, frozen=True, tag_field="kind", tag="ldam"):
    """Label-distribution-aware margins (Cao et al. 2019) on a normalized last layer, with deferred reweighting.

    Fields:
        max_margin: that of the rarest labeled class, in cosines.
        scale: what cosines are multiplied by, s.
        reweight_from: share of the schedule after which classes are weighted by their effective number; 1: never.
        beta: of the effective number (1 - βⁿ)/(1 - β).
    """

    max_margin: Annotated[float, Meta(ge=0, le=2)] = 0.5
    scale: Annotated[float, Meta(gt=0, le=1000)] = 30.0
    reweight_from: Annotated[float, Meta(ge=0, le=1)] = 0.8
    beta: Annotated[float, Meta(ge=0, lt=1)] = 0.9999


class APLossConfig(ConfigStruct, frozen=True, tag_field="kind", tag="ap_loss"):
    """AP-loss (Chen et al. 2019): the average precision of a batch, moved by errors in its ranking.

    Fields:
        delta: half of the width over which the step of a comparison is made a slope, in logits.
    """

    delta: Positive = 1.0


LossConfig = CrossEntropyConfig | BCEConfig | WeightedCrossEntropyConfig | FocalConfig | LDAMConfig | APLossConfig

LOSS_WORDS = tuple(str(each.__struct_config__.tag) for each in typing.get_args(LossConfig))


def loss_table(loss: Any) -> Any:
    """Turn a loss given as a word into a table; anything else is returned as it is.

    >>> loss_table("focal")
    {'kind': 'focal'}
    """
    return {"kind": loss} if isinstance(loss, str) and loss in LOSS_WORDS else loss


def wrong_loss_word(word: str) -> str:
    """Say that a word is no loss, with the nearest one that is."""
    nearest = difflib.get_close_matches(word.lower(), LOSS_WORDS, n=1, cutoff=0.5)
    hint = f" (did you mean {nearest[0]}?)" if nearest else ""
    return f"unknown loss {word!r}{hint}; known are {', '.join(LOSS_WORDS)}"
