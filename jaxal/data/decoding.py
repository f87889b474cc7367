"""One image file to pixels of one size: strict about damage, one rule for each form, nothing changed in silence."""

import errno
import hashlib
import io
import os
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePath
from typing import Literal, NamedTuple

import numpy as np
import simplejpeg
from PIL import ExifTags, Image, ImageFile
from PIL.TiffImagePlugin import TiffImageFile

from jaxal.data.pixel_forms import BITS_PER_SAMPLE, UnknownForm, to_gray_or_rgb
from jaxal.data.stored_image import StoredImage

__all__ = ["CANNOT_BE_READ", "MAX_PIXELS", "BadImageError", "Decoded", "decode_file", "decode_image", "strict_pillow"]

# Refused from the header alone, before anything is allocated (Pillow's own limit).
MAX_PIXELS = 89_478_485
MAX_BYTES = 2**30
# A picture more than so many times as large as asked for is first reduced by whole factors (JPEG: while decoding), at
# least to that, and then resized: several times as fast, and not to be told from resizing at once.
REDUCING_GAP = 3
# Both antialiased. Hamming reduces as well as bicubic at the cost of bilinear, Lanczos takes twice as long; enlarging,
# Hamming would show the pixels.
REDUCING, ENLARGING = Image.Resampling.HAMMING, Image.Resampling.LANCZOS
LEVELS = np.arange(256, dtype=np.int64)
# Kinds with this start are of the machine, not of the file: another time they may be gone.
CANNOT_BE_READ = "cannot be read: "
DAMAGED = "truncated or damaged"

SIGNATURES = (
    ("JPEG", b"\xff\xd8\xff"),
    ("PNG", b"\x89PNG\r\n\x1a\n"),
    ("GIF", b"GIF8"),
    ("BMP", b"BM"),
    *(("TIFF", start) for start in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")),
    *(("PPM", b"P%d" % digit) for digit in range(1, 7)),
)
EXTENSIONS = {".jpg": "JPEG", ".jpeg": "JPEG", ".jpe": "JPEG", ".png": "PNG", ".bmp": "BMP", ".gif": "GIF"}
EXTENSIONS |= {".tif": "TIFF", ".tiff": "TIFF", ".webp": "WEBP", ".ppm": "PPM", ".pgm": "PPM"}

TRANSPOSE = Image.Transpose
# What makes a picture upright, by its EXIF orientation.
UPRIGHT = {
    2: TRANSPOSE.FLIP_LEFT_RIGHT,
    3: TRANSPOSE.ROTATE_180,
    4: TRANSPOSE.FLIP_TOP_BOTTOM,
    5: TRANSPOSE.TRANSPOSE,
    6: TRANSPOSE.ROTATE_270,
    7: TRANSPOSE.TRANSVERSE,
    8: TRANSPOSE.ROTATE_90,
}
QUARTER_TURNS = (5, 6, 7, 8)  # width and height change places
ROTATED, EXIF_IGNORED = "turned upright by EXIF", "damaged EXIF, taken as upright"


class BadImageError(Exception):
    """A file that cannot be used as an image.

    Attributes:
        kind: why, in a few words that are the same for all files of a sort.
    """

    def __init__(self, kind: str):
        super().__init__(kind)
        self.kind = kind


class Decoded(NamedTuple):
    """An image file, decoded."""

    pixels: np.ndarray  # uint8 [size, size, channels]
    sha256: str  # of the file's bytes
    conversions: tuple[str, ...]  # what was changed on the way that a user may not expect, besides the size
    width: int  # of the upright picture before it was resized
    height: int
    sums: tuple[int, ...]  # of the pixels, per channel
    squares: tuple[int, ...]  # of the squares of the pixels, per channel


def decode_image(path: str, *, size: int, color: Literal["rgb", "gray"]) -> Decoded:
    """Decode an image file, turn it upright, stretch it to a square, and bring it to RGB or gray, 8 bits each.

    The content says which format it is, not the name: JPEG, PNG, BMP, GIF, TIFF, WebP, PPM. JPEG is decoded strictly
    (a zeroed sector is refused), PNG with its checksums; the other formats have none that would tell. EXIF orientation
    is applied in every format that has one. The width and the height are resized independently, once, antialiased
    (Hamming; Lanczos where a side grows); a picture of the right size keeps its pixels. Gray is ITU-R 601 luma; gray to
    RGB repeats the channel. Color profiles are ignored.

    Not for several threads at once, as Python's warning filters are one for all: they call `decode_file` within one
    `strict_pillow`.

    Args:
        path: of the file, read once.
        size: side of the square in pixels, at least 1.
        color: "rgb" for three channels, "gray" for one.

    Raises:
        BadImageError: the file is missing, unreadable, empty, no image, damaged, of more than MAX_PIXELS, smaller than
            2 pixels a side, animated or of several pages, or has pixels of 32 bits.
    """
    with strict_pillow():
        return decode_file(path, size=size, color=color)


@contextmanager
def strict_pillow() -> Iterator[None]:
    """Keep Pillow from warning and from filling up truncated files, whatever was set elsewhere in the process."""
    Image.init()  # not from several threads at once
    tolerant = ImageFile.LOAD_TRUNCATED_IMAGES
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        ImageFile.LOAD_TRUNCATED_IMAGES = False
        try:
            yield
        finally:
            ImageFile.LOAD_TRUNCATED_IMAGES = tolerant


def decode_file(path: str | StoredImage, *, size: int, color: Literal["rgb", "gray"]) -> Decoded:
    """Decode as `decode_image` does, within a `strict_pillow` that the caller has entered."""
    try:
        data = path.read() if isinstance(path, StoredImage) else _read(path)
        name = _format_of(data)
        image, said, (width, height) = _open_jpeg(data, size) if name == "JPEG" else _open_other(data, name)
        suffix = "" if isinstance(path, StoredImage) else PurePath(path).suffix.lower()
        named = EXTENSIONS.get(suffix, name)
        if named != name:
            said.append(f"named as {named} but {name}")
        image, shades = _resized(image, size, color)
        pixels, sums, squares = np.array(image).reshape(size, size, -1), *_sums(image)
    except MemoryError as error:
        raise BadImageError(f"{CANNOT_BE_READ}out of memory") from error
    return Decoded(pixels, hashlib.sha256(data).hexdigest(), tuple(said + shades), width, height, sums, squares)


def _read(path: str) -> bytes:
    try:
        status = os.stat(path)
        if stat.S_ISDIR(status.st_mode):
            raise BadImageError("a folder, not a file")
        if not stat.S_ISREG(status.st_mode):
            raise BadImageError("not a regular file")  # a pipe would wait for ever
        if status.st_size > MAX_BYTES:
            raise BadImageError(f"larger than {MAX_BYTES // 2**20} MiB")
        with open(path, "rb") as file:
            data = file.read()
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:
        raise BadImageError("broken link" if os.path.islink(path) else "missing") from error
    except OSError as error:
        kind = {errno.ELOOP: "broken link", errno.ENAMETOOLONG: "missing"}.get(error.errno or 0)
        raise BadImageError(kind or f"{CANNOT_BE_READ}{error.strerror or error}") from error
    if not data:
        raise BadImageError("empty file")
    return data


def _format_of(data: bytes) -> str:
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    for name, start in SIGNATURES:
        if data.startswith(start):
            return name
    raise BadImageError("not an image of a known format")


def _open_jpeg(data: bytes, size: int) -> tuple[Image.Image, list[str], tuple[int, int]]:
    try:
        height, width, colors, _ = simplejpeg.decode_jpeg_header(data, strict=True)
    except ValueError as error:
        raise BadImageError("damaged, or JPEG of an unusual form") from error
    _check_size(int(width), int(height))
    header = _open_header(data, "JPEG")
    orientation, said = _orientation(header)
    is_cmyk = colors in ("CMYK", "YCCK")
    least = 0 if (width, height) == (size, size) else REDUCING_GAP * size
    try:
        pixels = simplejpeg.decode_jpeg(
            data,
            colorspace="CMYK" if is_cmyk else "GRAY" if colors == "Gray" else "RGB",
            min_height=least,
            min_width=least,
            strict=True,
        )
    except ValueError as error:
        raise BadImageError(DAMAGED) from error
    if is_cmyk:
        # Adobe's files hold 255 - ink, and say that they are Adobe's.
        inks = 255 - pixels if "adobe" in header.info else pixels
        image = Image.frombytes("CMYK", (pixels.shape[1], pixels.shape[0]), inks.tobytes()).convert("RGB")
        said.insert(0, "CMYK to RGB")
    else:
        image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    # Decoding may have reduced the picture already, so its size is that of the header, turned as the picture is.
    whole = (int(height), int(width)) if orientation in QUARTER_TURNS else (int(width), int(height))
    return _upright(image, orientation), said, whole


def _open_other(data: bytes, name: str) -> tuple[Image.Image, list[str], tuple[int, int]]:
    image = _open_header(data, name)
    _check_size(*image.size)
    try:
        if name == "PNG":
            image.verify()  # the checksums, which loading skips
            image = _open_header(data, name)
        if getattr(image, "is_animated", False):
            raise BadImageError("animated, or of several pages")
        # Pillow turns TIFF upright while loading, and forgets the orientation then.
        before = image.tag_v2.get(ExifTags.Base.Orientation) if isinstance(image, TiffImageFile) else None
        image.load()
    except (BadImageError, MemoryError):
        raise
    except Exception as error:  # Pillow raises whatever its parsers run into
        raise BadImageError(DAMAGED) from error
    orientation, rotated = (1, [ROTATED] * (before in UPRIGHT)) if name == "TIFF" else _orientation(image)
    try:
        plain, said = to_gray_or_rgb(image, _bits_of(image, data))
    except UnknownForm as error:
        raise BadImageError(str(error)) from error
    upright = _upright(plain, orientation)
    return upright, said + rotated, upright.size


def _open_header(data: bytes, name: str) -> ImageFile.ImageFile:
    try:
        return Image.open(io.BytesIO(data), formats=(name,))
    except MemoryError:
        raise
    except Image.DecompressionBombError as error:
        raise BadImageError(f"more than {MAX_PIXELS // 10**6} megapixels") from error
    except Exception as error:
        raise BadImageError(f"damaged, or {name} of an unusual form") from error


def _check_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise BadImageError(f"more than {MAX_PIXELS // 10**6} megapixels")
    if min(width, height) < 2:
        raise BadImageError("smaller than 2 pixels a side")


def _bits_of(image: ImageFile.ImageFile, data: bytes) -> int:
    if image.format == "PNG":
        return data[24]  # of the header, which comes first
    bits = image.tag_v2.get(BITS_PER_SAMPLE, 8) if isinstance(image, TiffImageFile) else 8
    return max(bits) if isinstance(bits, tuple) else bits


def _orientation(image: ImageFile.ImageFile) -> tuple[int, list[str]]:
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except MemoryError:
        raise
    except Exception:  # the pixels are whole; as with an orientation outside 1 … 8, nothing can be known
        return 1, [EXIF_IGNORED]
    return (orientation, [ROTATED]) if isinstance(orientation, int) and orientation in UPRIGHT else (1, [])


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    return image.transpose(UPRIGHT[orientation]) if orientation in UPRIGHT else image


def _resized(image: Image.Image, size: int, color: Literal["rgb", "gray"]) -> tuple[Image.Image, list[str]]:
    if color == "gray":
        image = image.convert("L")
    if image.size != (size, size):
        is_reduced = min(image.size) >= size
        image = image.resize((size, size), REDUCING if is_reduced else ENLARGING, reducing_gap=REDUCING_GAP)
    if color == "rgb" and image.mode == "L":
        return image.convert("RGB"), ["gray to RGB"]
    return image, []


def _sums(image: Image.Image) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Add up the pixels and their squares per channel, exactly, from the counts of the 256 levels."""
    counts = np.array(image.histogram(), np.int64).reshape(-1, len(LEVELS))
    return tuple((counts @ LEVELS).tolist()), tuple((counts @ LEVELS**2).tolist())
