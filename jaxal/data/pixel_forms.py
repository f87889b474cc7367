"""Decoded pictures of every form that files come in, brought to 8 bits, gray or RGB, without transparency."""

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

__all__ = ["UnknownForm", "to_gray_or_rgb"]

# Tags of TIFF.
BITS_PER_SAMPLE, PHOTOMETRIC = 258, 262
WHITE_IS_ZERO = 0
GRAY_16 = ("I;16", "I;16B", "I;16L", "I;16N")
# Forms that Pillow turns into RGB without a choice to be made.
PLAIN = ("RGB", "P", "YCbCr", "RGBX")


class UnknownForm(Exception):
    """Pixels that no rule here covers; the message is a short kind."""


def to_gray_or_rgb(image: Image.Image, num_bits: int) -> tuple[Image.Image, list[str]]:
    """Bring a loaded picture to mode "L" or "RGB" and say which of it a user may not expect.

    Gray of more than 8 bits is scaled, round(255 · value / largest), never clipped: contrast in a few of the bits is
    not stretched. Transparency is laid over white. CMYK becomes RGB as (1 - C) · (1 - K), without a color profile.

    Args:
        image: loaded.
        num_bits: per sample in the file.

    Raises:
        UnknownForm: 32-bit or float pixels, or a color space such as LAB.
    """
    said = ["16 bits to 8"] if num_bits > 8 else []
    if image.mode in GRAY_16 or (image.mode == "I" and image.format == "PPM"):
        # Pillow gives gray of 16-bit PPM as 32 bits, already scaled to 0 … 65535.
        return _gray_16_to_8(image, num_bits if 8 < num_bits < 16 else 16), ["16 bits to 8"]
    if image.mode in ("I", "F"):
        raise UnknownForm("32-bit or float pixels")
    if image.has_transparency_data:
        return _over_white(image, said)
    if image.mode in ("1", "L"):
        return image.convert("L"), said
    if image.mode == "CMYK":
        return image.convert("RGB"), [*said, "CMYK to RGB"]
    if image.mode in PLAIN:
        return image.convert("RGB"), said
    raise UnknownForm(f"{image.mode} colors")


def _gray_16_to_8(image: Image.Image, num_bits: int) -> Image.Image:
    largest = 2**num_bits - 1
    values = np.asarray(image).astype(np.uint32)
    if isinstance(image, TiffImageFile) and image.tag_v2.get(PHOTOMETRIC) == WHITE_IS_ZERO:
        values = largest - values  # Pillow inverts these at 8 bits, but not at 16
    return Image.fromarray(((values * 255 + largest // 2) // largest).astype(np.uint8))


def _over_white(image: Image.Image, said: list[str]) -> tuple[Image.Image, list[str]]:
    if image.mode == "La":
        image = image.convert("LA")
    image = image.convert("RGBA")
    lowest, _ = image.getchannel("A").getextrema()
    if lowest == 255:
        return image.convert("RGB"), said
    white = Image.new("RGBA", image.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, image).convert("RGB"), [*said, "transparency to white"]
