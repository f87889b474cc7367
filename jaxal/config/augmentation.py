"""Settings of the random changes that images of the pool go through."""

from typing import Annotated, Literal

from msgspec import Meta

from jaxal.config.struct import ConfigStruct

__all__ = ["AugmentationConfig"]


class AugmentationConfig(ConfigStruct, frozen=True):
    """Random changes of images; by default none.

    Fields:
        flips: over which axes an image is flipped with probability 1/2 each: "horizontal" swaps left and right.
        rotation: the largest angle in degrees; an image is turned by one drawn uniformly within ±rotation.
        elastic: the standard deviation, in pixels, of how far a pixel is moved along each axis, by a smooth random
            field.
        elastic_smoothness: of that field: standard deviation of the Gaussian that it is smoothed by, in pixels.
        blur: the largest standard deviation, in pixels, of a Gaussian blur; an image's is drawn uniformly from 0 on.
        mode: "train" changes training images alone, anew each time that they are trained on; "pool_once" each image of
            the pool once, from the outset, for choosing and training alike. Evaluation sets stay as they are.
    """

    flips: Literal["none", "horizontal", "vertical", "both"] = "none"
    rotation: Annotated[float, Meta(ge=0, le=180)] = 0.0
    elastic: Annotated[float, Meta(ge=0, le=1000)] = 0.0
    elastic_smoothness: Annotated[float, Meta(gt=0, le=100)] = 4.0
    blur: Annotated[float, Meta(ge=0, le=100)] = 0.0
    mode: Literal["train", "pool_once"] = "train"

    @property
    def is_none(self) -> bool:
        """Whether images are left as they are."""
        return self.flips == "none" and not (self.rotation or self.elastic or self.blur)
