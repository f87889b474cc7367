"""Settings of the random changes that training images go through."""

from typing import Annotated, Literal

from msgspec import Meta

from jaxal.config.struct import ConfigStruct

__all__ = ["AugmentationConfig"]


class AugmentationConfig(ConfigStruct, frozen=True):
    """Random changes of every training image, drawn anew each time that it is trained on; by default none.

    Fields:
        flips: over which axes an image is flipped with probability 1/2 each: "horizontal" swaps left and right.
        rotation: the largest angle in degrees; an image is turned by one drawn uniformly within ±rotation.
    """

    flips: Literal["none", "horizontal", "vertical", "both"] = "none"
    rotation: Annotated[float, Meta(ge=0, le=180)] = 0.0

    @property
    def is_none(self) -> bool:
        """Whether images are left as they are."""
        return self.flips == "none" and self.rotation == 0
