"""Convert pretrained weights to jaxal's own names and order, as a safetensors file; PyTorch is not needed.

python scripts/convert_weights.py efficientnet_b0-7f5810bc.pth b0.safetensors --model efficientnet_b0

IN is a .pth, .pt or .bin file of torch.save, or a .safetensors file, with the names of timm, torchvision or
efficientnet_pytorch. OUT is read again and compared before it gets its name; an existing one is never replaced.
"""

import argparse
import hashlib
import os
import sys
from pathlib import Path

import jax
import numpy as np
from safetensors.numpy import save

sys.path.insert(0, str(Path(__file__).parents[1]))

import msgspec

from jaxal.config.models import MODEL_WORDS, ModelConfig
from jaxal.errors import DataError, JaxalError
from jaxal.models.registry import make_model
from jaxal.models.weight_names import STEM_KERNEL, find_naming, map_names
from jaxal.models.weights import LoadReport, load_weights, named_leaves, parse_weights, to_variables

IMAGENET_CLASSES = 1000


def convert(source: Path, target: Path, word: str) -> LoadReport:
    """Write the weights of the model that the word stands for; return what was found.

    Raises:
        DataError: the source is no such weights, or the target exists.
    """
    if target.exists():
        raise DataError(f"{target} exists; give another name or remove it")
    named = load_weights(source)
    config = msgspec.convert(MODEL_WORDS[word], ModelConfig)
    channels, num_classes = widths(named)
    model = make_model(
        config,
        image_shape=(224, 224, channels),
        num_classes=num_classes,
        mean=(0.5,) * channels,
        std=(0.5,) * channels,
    )
    shapes = jax.eval_shape(model.init, jax.random.key(0))
    template = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)
    variables, report = to_variables(named, template, config)
    arrays = {name: np.asarray(leaf) for name, leaf in named_leaves(variables).items() if name not in report.fresh}
    data = save(arrays, metadata={"format": "jaxal", "model": word})
    part = target.with_name(target.name + ".part")
    part.write_bytes(data)
    again = parse_weights(part.read_bytes(), str(part))
    if again.keys() != arrays.keys() or not all(np.array_equal(again[name], arrays[name]) for name in arrays):
        part.unlink()
        raise DataError(f"{target}: what was written is not what is read back; the disk may be full or failing")
    os.replace(part, target)
    return report._replace(source=str(source), sha256=hashlib.sha256(source.read_bytes()).hexdigest())


def widths(named: dict[str, np.ndarray]) -> tuple[int, int]:
    """Return the channels and the classes that the weights are of; 3 and 1000 where they do not say."""
    naming = find_naming(named)
    paths = {path: named[name] for name, path in (map_names(naming, named) if naming else {}).items()}
    stem, bias = paths.get(STEM_KERNEL), paths.get(("classifier", "bias"))
    is_own = naming is not None and naming.title == "jaxal"
    channels = stem.shape[2 if is_own else 1] if stem is not None and stem.ndim == 4 else 3
    return channels, len(bias) if bias is not None and bias.ndim == 1 else IMAGENET_CLASSES


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", metavar="IN", type=Path)
    parser.add_argument("target", metavar="OUT.safetensors", type=Path)
    parser.add_argument("--model", required=True, choices=[word for word in MODEL_WORDS if word != "organ_cnn"])
    given = parser.parse_args()
    try:
        report = convert(given.source, given.target, given.model)
    except JaxalError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    digest = hashlib.sha256(given.target.read_bytes()).hexdigest()
    print(f"{given.source}: {report.num_loaded} arrays with {report.names}' names, SHA-256 {report.sha256}")
    for name in report.fresh:
        print(f"left out, since the file has none: {name}")
    print(f"{given.target}: read again and compared, {given.target.stat().st_size} bytes, SHA-256 {digest}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
