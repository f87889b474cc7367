"""The axis legend and the array types that every docstring and signature uses.

Axes: N pool rows · L labeled · U unlabeled · Q query size · C classes · S source-model classes · D embedding width ·
A mixing weights · M Monte-Carlo draws · B SGD batch (or rows of a block).
"""

from typing import NamedTuple

from jax import Array
from jaxtyping import Bool, Float, Int, Int32, Key, Shaped, UInt8

__all__ = ["Array", "Bool", "Float", "Int", "Int32", "Key", "LinearHead", "PRNGKey", "Shaped", "UInt8"]

PRNGKey = Key[Array, ""]


class LinearHead(NamedTuple):
    """A model's last affine layer: logits = z @ weight + bias[None]."""

    weight: Float[Array, "D C"]
    bias: Float[Array, " C"]
