"""IDX files, the form of MNIST and of what was made in its shape, such as Fashion-MNIST."""

import gzip
import hashlib
import math
import os
import zlib
from pathlib import Path

import numpy as np

from jaxal.config.data import FashionMNISTConfig, IDXConfig
from jaxal.data.source import TEST, TRAIN, ImageSource
from jaxal.errors import DataError

__all__ = ["read_fashion_mnist", "read_idx", "read_idx_file"]

FASHION_CLASSES = (
    "T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
# Where Fashion-MNIST is looked for: one's own folder, torchvision's, Debian's package.
FASHION_PLACES = ("data/fashion-mnist", "data/FashionMNIST/raw", "/usr/share/datasets/fashion-mnist")
FASHION_HELP = (
    "Get it by `apt install dataset-fashion-mnist`, or put the four files from"
    " https://github.com/zalandoresearch/fashion-mnist into a folder and give it as data.source.folder."
)

PREFIXES = {TRAIN: "train", TEST: "t10k"}
UNSIGNED_BYTE = 0x08
# Far above any such set; a header that claims more is damaged or hostile.
MAX_BYTES = 2**36


def read_fashion_mnist(config: FashionMNISTConfig) -> ImageSource:
    """Read Fashion-MNIST from the folder given, or from the first of the usual places that holds it.

    Raises:
        DataError: it is nowhere (the message says where it was looked for and how to get it), or damaged.
    """
    places = [Path(place).expanduser() for place in ([config.folder] if config.folder else FASHION_PLACES)]
    for place in places:
        if not _missing_files(place):
            return _read_folder(place, FASHION_CLASSES)
    looked = ", ".join(str(place.absolute()) for place in places)
    raise DataError(f"data.source: Fashion-MNIST is not there; looked in {looked}. {FASHION_HELP}")


def read_idx(config: IDXConfig) -> ImageSource:
    """Read four IDX files: train and t10k, images and labels, gzipped or not.

    Raises:
        DataError: a file is missing or damaged, or a label has no class name.
    """
    folder = Path(config.folder).expanduser()
    missing = _missing_files(folder)
    if missing:
        raise DataError(
            f"data.source.folder: {folder.absolute()} lacks {', '.join(missing)} (plain or with .gz). IDX sets have"
            " four files, named as MNIST's."
        )
    return _read_folder(folder, config.class_names)


def _missing_files(folder: Path) -> list[str]:
    names = [f"{prefix}-{rest}" for prefix in PREFIXES.values() for rest in ("images-idx3-ubyte", "labels-idx1-ubyte")]
    return [name for name in names if _find(folder / name) is None]


def _find(path: Path) -> Path | None:
    candidates = (path, path.with_name(f"{path.name}.gz"))
    return next((each for each in candidates if os.path.isfile(each)), None)


def _read_folder(folder: Path, class_names: tuple[str, ...]) -> ImageSource:
    images, labels = [], []
    for prefix in PREFIXES.values():
        images.append(_read(folder, f"{prefix}-images-idx3-ubyte", 3))
        labels.append(_read(folder, f"{prefix}-labels-idx1-ubyte", 1).astype(np.int32))
        if len(images[-1]) != len(labels[-1]):
            raise DataError(f"{folder}: {prefix} has {len(images[-1])} images but {len(labels[-1])} labels")
    if images[0].shape[1:] != images[1].shape[1:] or len(labels[0]) == 0:
        raise DataError(f"{folder}: train images are {images[0].shape}, test images {images[1].shape}")
    pixels, truth = np.concatenate(images)[..., None], np.concatenate(labels)
    names = class_names or tuple(str(number) for number in range(int(truth.max()) + 1))
    if len(set(names)) < len(names):
        raise DataError(f"data.source.class_names: names must differ, got {', '.join(names)}")
    if truth.max() >= len(names):
        number = int((truth >= len(names)).sum())
        raise DataError(f"{folder}: {number} labels are up to {truth.max()}, but only {len(names)} class names given")
    parts = zip(PREFIXES, labels, strict=True)
    ids = np.array([f"{part}-{row:05d}" for part, rows in parts for row in range(len(rows))])
    digest = hashlib.sha256(pixels.tobytes() + truth.tobytes())
    digest.update("\n".join((*names, *ids)).encode())
    scaled = images[0].astype(np.float32) / 255
    return ImageSource(
        ids=ids,
        labels=truth,
        class_names=names,
        image_shape=pixels.shape[1:],
        mean=(round(float(scaled.mean(dtype=np.float64)), 3),),
        std=(max(round(float(scaled.std(dtype=np.float64)), 3), 1e-3),),
        fingerprint=digest.hexdigest(),
        read=lambda indices: pixels[indices],
        parts=np.repeat(list(PREFIXES), [len(rows) for rows in labels]),
    )


def _read(folder: Path, name: str, num_axes: int) -> np.ndarray:
    path = _find(folder / name)
    if path is None:
        raise DataError(f"{folder / name}: no such file, plain or with .gz")
    array = read_idx_file(path)
    if array.ndim != num_axes:
        raise DataError(f"{path}: {array.ndim} axes, expected {num_axes}")
    return array


def read_idx_file(path: Path) -> np.ndarray:
    """Read one IDX file of unsigned bytes; gzipped where its name ends in .gz.

    Layout: two zero bytes, the type (0x08), the number of axes, their lengths as big-endian 32-bit numbers, the data.

    Raises:
        DataError: not such a file, cut short, with bytes left over, or larger than any such set.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
            start = file.read(4)
            if len(start) < 4 or start[:2] != b"\0\0" or start[2] != UNSIGNED_BYTE:
                found = start.hex(" ") or "nothing"
                raise DataError(f"{path}: not an IDX file of unsigned bytes (it begins with {found})")
            shape = tuple(int(length) for length in np.frombuffer(file.read(4 * start[3]), ">u4"))
            expected = math.prod(shape)
            if len(shape) != start[3] or expected > MAX_BYTES:
                raise DataError(f"{path}: damaged header: {start[3]} axes, lengths {shape}")
            data = file.read(expected)
            rest = file.read(1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read: {error}. Get the file again.") from error
    except ValueError as error:  # a header cut within a number
        raise DataError(f"{path}: damaged header: {error}") from error
    if len(data) < expected or rest:
        wrong = "more" if rest else f"only {len(data)}"
        raise DataError(f"{path}: the header promises {expected} bytes {shape}, the file holds {wrong}. Get it again.")
    return np.frombuffer(data, np.uint8).reshape(shape)
