"""Small image files of every kind that turns up, good and bad."""

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

RED, GREEN, BLUE, WHITE = (250, 0, 0), (0, 200, 0), (0, 0, 180), (255, 255, 255)


def quarters(side: int = 32) -> np.ndarray:
    """Make a picture whose four quarters differ: no two orientations of it are alike."""
    pixels = np.zeros((side, side, 3), np.uint8)
    half = side // 2
    pixels[:half, :half], pixels[:half, half:] = RED, GREEN
    pixels[half:, :half], pixels[half:, half:] = BLUE, WHITE
    return pixels


def gradient(height: int = 48, width: int = 64) -> np.ndarray:
    """Make a smooth gray picture with some texture."""
    rows, columns = np.mgrid[:height, :width]
    return ((rows * 3 + columns * 2 + (rows * columns) % 7) % 256).astype(np.uint8)


def encoded(image: Image.Image | np.ndarray, kind: str, **options: Any) -> bytes:
    """Encode an image as the bytes of a file."""
    out = io.BytesIO()
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(out, kind, **options)
    return out.getvalue()


def put(path: Path, data: bytes) -> str:
    """Write a file and its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return str(path)


def put_flat(path: Path, value: int, side: int = 4) -> str:
    """Write a PNG of one gray level."""
    return put(path, encoded(np.full((side, side), value, np.uint8), "PNG"))


def bomb() -> bytes:
    """Make a small JPEG whose header claims 60000 × 60000."""
    data = bytearray(encoded(gradient(16, 16), "JPEG"))
    start = data.index(b"\xff\xc0")
    data[start + 5 : start + 9] = struct.pack(">HH", 60000, 60000)
    return bytes(data)


def with_exif(orientation: int) -> Image.Exif:
    """Make EXIF data with an orientation."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


# What a camera stores so that the orientation makes it upright again.
STORED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def stored(orientation: int, pixels: np.ndarray) -> Image.Image:
    """Turn an upright picture into what is stored with an orientation."""
    image = Image.fromarray(pixels)
    turn = STORED[orientation]
    return image if turn is None else image.transpose(turn)
