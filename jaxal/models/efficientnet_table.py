"""EfficientNet's variants as data: one list of stages, scaled in width and depth."""

import math
from typing import NamedTuple

__all__ = ["B_STAGES", "VARIANTS", "BlockShape", "NetShape", "Stage", "Variant", "net_shape"]

DIVISOR = 8  # channels are multiples of it
SQUEEZE_RATIO = 0.25  # of a block's input


class Stage(NamedTuple):
    """Blocks of one output width; the first has the stride and the change of width."""

    num_blocks: int
    kernel_size: int
    stride: int
    expansion: int
    width: int


class Variant(NamedTuple):
    """How the stages are scaled, and what else a variant has of its own."""

    width: float
    depth: float
    image_side: int  # it was published with; any other works
    dropout: float
    is_lite: bool = False  # relu6, no squeeze-excite; stem, head and the depth of the first and last stage unscaled
    stages: tuple[Stage, ...] = ()


class BlockShape(NamedTuple):
    """One inverted residual block."""

    in_maps: int
    expanded: int
    squeezed: int  # 0: no squeeze-excite
    out_maps: int
    kernel_size: int
    stride: int

    @property
    def has_skip(self) -> bool:
        """Whether the block's input is added to its output."""
        return self.stride == 1 and self.in_maps == self.out_maps


class NetShape(NamedTuple):
    """A whole network: maps after the stem, the blocks, maps of the head (D)."""

    stem_maps: int
    blocks: tuple[BlockShape, ...]
    head_maps: int


# Tan and Le 2019, table 1.
B_STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)
STEM_MAPS, HEAD_MAPS = 32, 1280

VARIANTS = {
    "b0": Variant(1.0, 1.0, 224, 0.2),
    "b1": Variant(1.0, 1.1, 240, 0.2),
    "b2": Variant(1.1, 1.2, 260, 0.3),
    "b3": Variant(1.2, 1.4, 300, 0.3),
    "b4": Variant(1.4, 1.8, 380, 0.4),
    "b5": Variant(1.6, 2.2, 456, 0.4),
    "b6": Variant(1.8, 2.6, 528, 0.5),
    "b7": Variant(2.0, 3.1, 600, 0.5),
    "lite0": Variant(1.0, 1.0, 224, 0.2, is_lite=True),
    "lite1": Variant(1.0, 1.1, 240, 0.2, is_lite=True),
    "lite2": Variant(1.1, 1.2, 260, 0.3, is_lite=True),
}


def scaled_maps(maps: int, factor: float) -> int:
    """Scale a number of maps and round it to a multiple of 8, never down by more than a tenth.

    >>> scaled_maps(320, 1.1)
    352
    """
    wanted = maps * factor
    rounded = max(DIVISOR, int(wanted + DIVISOR / 2) // DIVISOR * DIVISOR)
    return rounded + DIVISOR if rounded < 0.9 * wanted else rounded


def net_shape(variant: Variant) -> NetShape:
    """Lay out a variant's network."""
    stages = variant.stages or B_STAGES
    stem_maps = STEM_MAPS if variant.is_lite else scaled_maps(STEM_MAPS, variant.width)
    blocks: list[BlockShape] = []
    in_maps = stem_maps
    for number, stage in enumerate(stages):
        is_fixed = variant.is_lite and number in (0, len(stages) - 1)
        num_blocks = stage.num_blocks if is_fixed else math.ceil(stage.num_blocks * variant.depth)
        out_maps = scaled_maps(stage.width, variant.width)
        for position in range(num_blocks):
            squeezed = 0 if variant.is_lite else max(1, int(in_maps * SQUEEZE_RATIO))
            stride = stage.stride if position == 0 else 1
            blocks.append(BlockShape(in_maps, in_maps * stage.expansion, squeezed, out_maps, stage.kernel_size, stride))
            in_maps = out_maps
    head_maps = HEAD_MAPS if variant.is_lite else scaled_maps(HEAD_MAPS, variant.width)
    return NetShape(stem_maps, tuple(blocks), head_maps)
