"""Settings of the data: where images come from, how they are split, how skewed the pool is made."""

from typing import Annotated, Literal

from msgspec import Meta

from jaxal.config.struct import LARGEST, ConfigStruct

__all__ = ["DataConfig", "DigitsConfig", "RatioImbalanceConfig", "SplitConfig"]

Fraction = Annotated[float, Meta(gt=0, lt=1)]


class DigitsConfig(ConfigStruct, frozen=True, tag_field="kind", tag="digits"):
    """The 1,797 gray 8×8 digits that scikit-learn ships."""


class SplitConfig(ConfigStruct, frozen=True):
    """A random split, stratified by class; what is neither validation nor test is the pool."""

    validation_fraction: Fraction = 0.1
    test_fraction: Fraction = 0.1


class RatioImbalanceConfig(ConfigStruct, frozen=True, tag_field="kind", tag="ratio"):
    """Keep every other sample, and of the minority class one for each `ratio` of them.

    Fields:
        ratio: samples of all other classes together per minority sample; a class that is already rarer stays whole.
        parts: "pool" prunes the pool alone, "pool_and_validation" both alike. The test part is never pruned.
    """

    ratio: Annotated[float, Meta(ge=1, le=LARGEST)]
    parts: Literal["pool", "pool_and_validation"] = "pool_and_validation"


class DataConfig(ConfigStruct, frozen=True):
    """The data of a study.

    Fields:
        source: where images come from.
        one_vs_rest: a class name; its images against all others make a problem of two classes.
        minority_class: name of the class whose finding is counted; where empty, that of one_vs_rest, else the rarest
            of the whole pool.
        split: the split.
        imbalance: how the pool is made imbalanced; as it is where absent.
    """

    source: DigitsConfig
    one_vs_rest: str = ""
    minority_class: str = ""
    split: SplitConfig = SplitConfig()
    imbalance: RatioImbalanceConfig | None = None
