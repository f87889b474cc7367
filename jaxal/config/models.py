"""Settings of the networks, and the words that stand for them."""

from typing import Annotated, Any, Literal

from msgspec import Meta

from jaxal.config.struct import ConfigStruct

__all__ = [
    "MODEL_WORDS",
    "EfficientNetConfig",
    "ModelConfig",
    "OrganCNNConfig",
    "ResNetConfig",
    "with_default_kind",
]

Share = Annotated[float, Meta(ge=0, lt=1)]
# Share of the batch in each renewal of a running statistic: PyTorch's momentum, one minus Flax's and TensorFlow's.
Momentum = Annotated[float, Meta(gt=0, le=1)]
Own = Literal["own"]
Side = Annotated[int, Meta(ge=0, le=4096)]
Init = Literal["random", "imagenet", "imagenet_else_random"]
Trunk = Literal["fine_tuned", "frozen"]
Compute = Literal["float32", "bfloat16"]
Stem = Literal["repeat", "sum"]
Convention = Literal["efficientnet", "tf_efficientnet"]


class OrganCNNConfig(ConfigStruct, frozen=True, tag_field="kind", tag="organ_cnn"):
    """The small convolutional network of the OrganSMNIST study.

    Fields:
        width: feature maps of the first block, f; the blocks have f, 2f, 4f, the dense layers 8f, 2f.
    """

    width: Annotated[int, Meta(ge=1)] = 16


class EfficientNetConfig(ConfigStruct, frozen=True, tag_field="kind", tag="efficientnet"):
    """EfficientNet B0 to B7 (Tan and Le 2019), or Lite 0 to 2.

    Fields:
        variant: which one.
        convention: "efficientnet" pads evenly, with batch-norm epsilon 1e-5 and momentum 0.1, as PyTorch-trained
            weights need; "tf_efficientnet" pads as TensorFlow's "SAME", with epsilon 1e-3 and momentum 0.01, as
            Google's weights need. A Lite is as the latter, whatever stands here.
        init: "random"; "imagenet" for pretrained weights; or "imagenet_else_random" for these where there are any (a
            file is named, or a package with them installed), else random ones, and a warning that says so.
        weights: file of pretrained weights; where empty, those of an installed package.
        trunk: "fine_tuned", or "frozen" to train the last layer alone.
        dropout: rate before the last layer; "own": the variant's.
        drop_path: rate at which the last residual block is left out of a sample's way in training, growing linearly
            from zero at the first block (stochastic depth).
        batch_norm_momentum: share of a batch in the running statistics; "own": the convention's.
        compute: type of activations; parameters, statistics and the last layer are float32 in both.
        stem: how pretrained weights of three channels take images of another number of them.
        image_size: side in pixels that images are resized to inside the network, on the device, by linear
            interpolation; 0: they are taken as they come.
    """

    variant: Literal["b0", "b1", "b2", "b3", "b4", "b5", "b6", "b7", "lite0", "lite1", "lite2"]
    convention: Convention = "efficientnet"
    init: Init = "random"
    weights: str = ""
    trunk: Trunk = "fine_tuned"
    dropout: Share | Own = "own"
    drop_path: Share = 0.2
    batch_norm_momentum: Momentum | Own = "own"
    compute: Compute = "float32"
    stem: Stem = "repeat"
    image_size: Side = 0


class ResNetConfig(ConfigStruct, frozen=True, tag_field="kind", tag="resnet"):
    """ResNet-18 or -34 (He et al. 2016), as torchvision has them.

    Fields:
        depth: number of layers with weights.
        init, weights, trunk, batch_norm_momentum, compute, stem, image_size: as of EfficientNetConfig; the momentum's
            own is 0.1.
    """

    depth: Literal[18, 34]
    init: Init = "random"
    weights: str = ""
    trunk: Trunk = "fine_tuned"
    batch_norm_momentum: Momentum | Own = "own"
    compute: Compute = "float32"
    stem: Stem = "repeat"
    image_size: Side = 0


ModelConfig = OrganCNNConfig | EfficientNetConfig | ResNetConfig

_VARIANTS = ("b0", "b1", "b2", "b3", "b4", "b5", "b6", "b7", "lite0", "lite1", "lite2")
# Every word says all that its name says, so that an arm's word leaves nothing of it to the study's table.
MODEL_WORDS: dict[str, dict[str, Any]] = {
    "organ_cnn": {"kind": "organ_cnn"},
    **{
        f"{'' if convention == 'efficientnet' else 'tf_'}efficientnet_{variant}": {
            "kind": "efficientnet",
            "variant": variant,
            "convention": convention,
        }
        for convention in ("efficientnet", "tf_efficientnet")
        for variant in _VARIANTS
    },
    **{f"resnet{depth}": {"kind": "resnet", "depth": depth} for depth in (18, 34)},
}


def with_default_kind(model: Any) -> Any:
    """Take a table without `kind` as one of the default model, unless it sets what only another model knows."""
    others = {*EfficientNetConfig.__struct_fields__, *ResNetConfig.__struct_fields__}
    if isinstance(model, dict) and "kind" not in model and not others & set(model):
        return {"kind": "organ_cnn", **model}
    return model
