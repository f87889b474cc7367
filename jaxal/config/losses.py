"""Settings of the losses, and the words that stand for them."""

from typing import Annotated

from msgspec import Meta

from jaxal.config.struct import LARGEST, ConfigStruct, kind_tables

__all__ = [
    "LOSS_WORDS",
    "APLossConfig",
    "BCEConfig",
    "CrossEntropyConfig",
    "FocalConfig",
    "LDAMConfig",
    "LossConfig",
    "WeightedCrossEntropyConfig",
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

LOSS_WORDS = kind_tables(LossConfig)
