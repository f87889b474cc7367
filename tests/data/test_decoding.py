import hashlib
import os
import tracemalloc
import warnings
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from image_fixtures import RED, bomb, encoded, gradient, put, quarters, stored, with_exif
from PIL import Image, ImageFile
from PIL.PngImagePlugin import PngInfo

from jaxal.data.decoding import BadImageError, Decoded, decode_image


def decoded(
    tmp_path, data: bytes, *, name: str = "x.png", size: int = 32, color: Literal["rgb", "gray"] = "rgb"
) -> Decoded:
    return decode_image(put(tmp_path / name, data), size=size, color=color)


def kind_of(path, size: int = 8) -> str:
    with pytest.raises(BadImageError) as caught:
        decode_image(str(path), size=size, color="rgb")
    assert caught.value.kind == str(caught.value)
    return caught.value.kind


LOSSLESS = [("PNG", {}), ("BMP", {}), ("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"}), ("PPM", {})]
LOSSLESS += [("WEBP", {"lossless": True})]


@pytest.mark.parametrize(("kind", "options"), LOSSLESS)
def test_a_picture_of_the_right_size_keeps_its_pixels(tmp_path, kind, options):
    data = encoded(quarters(), kind, **options)
    result = decoded(tmp_path, data, name="picture")
    np.testing.assert_array_equal(result.pixels, quarters())
    assert result.pixels.dtype == np.uint8
    assert result.sha256 == hashlib.sha256(data).hexdigest()
    assert result.conversions == ()


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}])
def test_a_jpeg_is_what_pillow_sees(tmp_path, options):
    data = encoded(quarters(), "JPEG", quality=95, **options)
    path = put(tmp_path / "x.jpg", data)
    result = decode_image(path, size=32, color="rgb")
    with Image.open(path) as image:
        np.testing.assert_allclose(result.pixels.astype(int), np.asarray(image).astype(int), atol=3)
    assert result.conversions == ()


def test_a_picture_is_stretched_to_a_square_antialiased(tmp_path):
    stripes = np.tile(np.array([0, 255], np.uint8), (40, 100))  # finer than the result can show: all gray
    for kind in ("PNG", "JPEG"):
        pixels = decoded(tmp_path, encoded(stripes, kind), name=f"x.{kind}", size=10).pixels
        assert pixels.shape == (10, 10, 3)
        assert 120 <= pixels[2:-2, 2:-2].min() <= pixels[2:-2, 2:-2].max() <= 135
    wide = np.repeat(np.repeat(quarters(2), 20, 0), 50, 1)
    pixels = decoded(tmp_path, encoded(wide, "PNG"), size=8).pixels.astype(int)
    np.testing.assert_allclose(pixels[[0, 0, -1, -1], [0, -1, 0, -1]], quarters(2).reshape(4, 3), atol=1)


def test_reduced_decoding_is_close_to_resizing_at_once(tmp_path):
    rng = np.random.default_rng(0)
    rough = Image.fromarray(rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)).resize((640, 480))
    data = encoded(rough, "JPEG", quality=95)
    pixels = decoded(tmp_path, data, name="x.jpg").pixels.astype(int)
    with Image.open(tmp_path / "x.jpg") as image:
        at_once = np.asarray(image.resize((32, 32), Image.Resampling.HAMMING)).astype(int)
    assert np.abs(pixels - at_once).mean() < 1.5


def test_gray_and_colors_become_one_another(tmp_path):
    gray = gradient(16, 16)
    result = decoded(tmp_path, encoded(gray, "PNG"), size=16)
    np.testing.assert_array_equal(result.pixels, np.repeat(gray[..., None], 3, 2))
    assert result.conversions == ("gray to RGB",)
    for data in (encoded(gray, "JPEG", quality=100), encoded(gray, "PNG")):
        result = decoded(tmp_path, data, size=16, color="gray", name="x")
        assert result.pixels.shape == (16, 16, 1)
        np.testing.assert_allclose(result.pixels[..., 0].astype(int), gray.astype(int), atol=2)
        assert result.conversions == ()
    luma = decoded(tmp_path, encoded(quarters(), "PNG"), color="gray").pixels[..., 0]
    assert [luma[0, 0], luma[0, -1], luma[-1, 0], luma[-1, -1]] == [75, 117, 21, 255]  # .299 R + .587 G + .114 B


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_16_bits_are_scaled_and_never_clipped(tmp_path, kind):
    values = np.array([[0, 128, 129], [257, 30000, 40000], [65278, 65407, 65535]], np.uint16)
    result = decoded(tmp_path, encoded(values, kind), size=3, color="gray", name="x")
    np.testing.assert_array_equal(result.pixels[..., 0], np.floor(values * (255 / 65535) + 0.5).astype(np.uint8))
    assert result.conversions == ("16 bits to 8",)


def test_16_bit_tiff_with_white_as_zero_is_inverted(tmp_path):
    values = np.array([[0, 65535], [257, 514]], np.uint16)
    data = encoded(values, "TIFF", tiffinfo={262: 0})
    with Image.open(put(tmp_path / "check.tif", data)) as image:
        assert image.tag_v2[262] == 0  # type: ignore[attr-defined]
    pixels = decoded(tmp_path, data, size=2, color="gray", name="x.tif").pixels[..., 0]
    np.testing.assert_array_equal(pixels, [[255, 0], [254, 253]])


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_is_laid_over_white(tmp_path, mode):
    image = Image.new("RGBA", (4, 4), (100, 100, 100, 255))
    image.putpixel((0, 0), (100, 100, 100, 0))
    options = {}
    if mode == "P":
        image, options = Image.new("P", (4, 4), 1), {"transparency": 0}
        image.putpalette([9, 9, 9, 100, 100, 100])
        image.putpixel((0, 0), 0)
    result = decoded(tmp_path, encoded(image if mode == "P" else image.convert(mode), "PNG", **options), size=4)
    assert result.pixels[0, 0].tolist() == [255, 255, 255]
    assert result.pixels[1, 1].tolist() == [100, 100, 100]
    assert "transparency to white" in result.conversions


def test_an_alpha_channel_without_transparency_and_a_palette_change_nothing(tmp_path):
    opaque = np.dstack([quarters(), np.full((32, 32), 255, np.uint8)])
    for data in (encoded(opaque, "PNG"), encoded(Image.fromarray(quarters()).quantize(16), "GIF")):
        result = decoded(tmp_path, data, name="x")
        np.testing.assert_allclose(result.pixels.astype(int), quarters().astype(int), atol=4)
        assert result.conversions == ()


def without_adobe_marker(data: bytes) -> bytes:
    start = data.index(b"\xff\xee")
    return data[:start] + data[start + 2 + int.from_bytes(data[start + 2 : start + 4], "big") :]


def test_cmyk_has_the_right_colors_with_and_without_adobes_inversion(tmp_path):
    inks = Image.new("CMYK", (8, 8), (0, 255, 255, 0))  # magenta and yellow: red
    result = decoded(tmp_path, encoded(inks, "JPEG", quality=95), size=8, name="x.jpg")
    np.testing.assert_allclose(result.pixels[4, 4].astype(int), (255, 0, 0), atol=3)
    assert result.conversions == ("CMYK to RGB",)
    # Pillow writes 255 - ink and Adobe's marker; without it the numbers in the file are inks.
    plain = without_adobe_marker(encoded(Image.new("CMYK", (8, 8), (255, 0, 0, 255)), "JPEG", quality=95))
    result = decoded(tmp_path, plain, size=8, name="x.jpg")
    np.testing.assert_allclose(result.pixels[4, 4].astype(int), (255, 0, 0), atol=3)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_gives_the_same_upright_picture(tmp_path, kind, orientation):
    upright = np.repeat(quarters(16), 2, 1)  # 16 × 32
    options = {"TIFF": {"tiffinfo": {274: orientation}}, "WEBP": {"lossless": True}}.get(kind, {})
    options |= {} if kind == "TIFF" else {"exif": with_exif(orientation)}
    result = decoded(tmp_path, encoded(stored(orientation, upright), kind, **options), size=16, name="x")
    np.testing.assert_allclose(
        result.pixels[[3, 3, -4, -4], [3, -4, 3, -4]].astype(int), quarters(2).reshape(4, 3), atol=8
    )
    assert result.conversions == (("turned upright by EXIF",) if orientation > 1 else ())


def test_damaged_exif_is_told_and_the_picture_taken_as_it_is(tmp_path):
    text = PngInfo()
    text.add_text("Raw profile type exif", "\nexif\n8\nno digits")
    result = decoded(tmp_path, encoded(quarters(), "PNG", pnginfo=text))
    np.testing.assert_array_equal(result.pixels, quarters())
    assert result.conversions == ("damaged EXIF, taken as upright",)


@pytest.mark.parametrize("orientation", [0, 9, 60000])
def test_an_orientation_that_does_not_exist_is_upright(tmp_path, orientation):
    result = decoded(tmp_path, encoded(quarters(), "PNG", exif=with_exif(orientation)))
    np.testing.assert_array_equal(result.pixels, quarters())
    assert result.conversions == ()


def test_the_content_says_what_a_file_is(tmp_path):
    result = decoded(tmp_path, encoded(quarters(), "PNG"), name="x.JPG")
    np.testing.assert_array_equal(result.pixels, quarters())
    assert result.conversions == ("named as JPEG but PNG",)


def test_odd_names_are_opened(tmp_path):
    for name in ("with space.png", "ünïcode 図.png", "new\nline.png", "-dash.png", "com,ma.png", "quo'te\".png"):
        np.testing.assert_array_equal(decoded(tmp_path, encoded(quarters(), "PNG"), name=name).pixels, quarters())


def animation(kind: str) -> bytes:
    frames = [Image.new("RGB", (8, 8), (level, 0, 0)) for level in (0, 100, 200)]
    return encoded(frames[0], kind, save_all=True, append_images=frames[1:])


BAD = {
    "empty.jpg": (b"", "empty file"),
    "page.jpg": (b"<html><body>404</body></html>", "not an image of a known format"),
    "half.jpg": (encoded(gradient(), "JPEG")[:-200], "truncated or damaged"),
    "stub.jpg": (encoded(gradient(), "JPEG")[:30], "damaged, or JPEG of an unusual form"),
    "half.png": (encoded(gradient(), "PNG")[:-60], "truncated or damaged"),
    "half.bmp": (encoded(gradient(), "BMP")[:-200], "truncated or damaged"),
    "half.gif": (encoded(gradient(), "GIF")[:-1000], "truncated or damaged"),
    "half.webp": (encoded(gradient(), "WEBP")[:-100], "damaged, or WEBP of an unusual form"),
    "stub.png": (encoded(gradient(), "PNG")[:20], "damaged, or PNG of an unusual form"),
    "bomb.jpg": (bomb(), "more than 89 megapixels"),
    "animated.gif": (animation("GIF"), "animated, or of several pages"),
    "animated.webp": (animation("WEBP"), "animated, or of several pages"),
    "animated.png": (animation("PNG"), "animated, or of several pages"),
    "pages.tif": (animation("TIFF"), "animated, or of several pages"),
    "dot.png": (encoded(gradient(1, 1), "PNG"), "smaller than 2 pixels a side"),
    "line.jpg": (encoded(gradient(1, 9), "JPEG"), "smaller than 2 pixels a side"),
    "float.tif": (encoded(np.zeros((4, 4), np.float32), "TIFF"), "32-bit or float pixels"),
    "int.tif": (encoded(np.zeros((4, 4), np.int32), "TIFF"), "32-bit or float pixels"),
    "lab.tif": (encoded(Image.new("LAB", (4, 4)), "TIFF"), "LAB colors"),
}


@pytest.mark.parametrize("name", list(BAD))
def test_a_bad_file_is_named_for_what_it_is(tmp_path, name):
    data, kind = BAD[name]
    assert kind_of(put(tmp_path / name, data)) == kind


def test_what_is_no_file_is_refused(tmp_path):
    assert kind_of(tmp_path / "none.jpg") == "missing"
    assert kind_of("nul\0.jpg") == "missing"
    assert kind_of(tmp_path / ("x" * 400)) == "missing"
    (tmp_path / "folder.jpg").mkdir()
    assert kind_of(tmp_path / "folder.jpg") == "a folder, not a file"
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    (tmp_path / "broken.jpg").symlink_to("none.jpg")
    assert kind_of(tmp_path / "loop.jpg") == kind_of(tmp_path / "broken.jpg") == "broken link"
    os.mkfifo(tmp_path / "pipe.jpg")
    assert kind_of(tmp_path / "pipe.jpg") == "not a regular file"


def test_a_file_that_the_system_will_not_read_says_why(tmp_path, monkeypatch):
    path = put(tmp_path / "x.png", encoded(quarters(), "PNG"))

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)
    assert kind_of(path) == "cannot be read: Permission denied"


def test_a_bomb_is_refused_before_anything_is_allocated(tmp_path):
    path = put(tmp_path / "bomb.jpg", bomb())
    assert os.path.getsize(path) < 1000
    tracemalloc.start()
    try:
        assert "megapixels" in kind_of(path)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("size", [8, 400])  # decoded reduced, and whole
def test_zeroed_sectors_are_refused(tmp_path, size):
    rng = np.random.default_rng(1)
    data = encoded(rng.integers(0, 256, (300, 400, 3), dtype=np.uint8), "JPEG")
    refused = 0
    starts = range(2048, len(data) - 2048, 8 * 512)
    for start in starts:
        damaged = data[:start] + bytes(1024) + data[start + 1024 :]
        try:
            decoded(tmp_path, damaged, name="x.jpg", size=size)
        except BadImageError as error:
            refused += error.kind == "truncated or damaged"
    assert len(starts) > 10
    assert refused >= 0.9 * len(starts)


def test_a_flipped_bit_in_a_png_is_found_by_its_checksum(tmp_path):
    data = bytearray(encoded(gradient(), "PNG"))
    data[len(data) // 2] ^= 4
    assert kind_of(put(tmp_path / "x.png", bytes(data))) == "truncated or damaged"


def test_settings_of_others_do_not_make_it_tolerant_and_are_left_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    assert kind_of(put(tmp_path / "x.bmp", BAD["half.bmp"][0])) == "truncated or damaged"
    assert ImageFile.LOAD_TRUNCATED_IMAGES
    filters = list(warnings.filters)
    decoded(tmp_path, encoded(quarters(), "PNG"))
    assert warnings.filters == filters


SEEDS = [encoded(quarters(16), "JPEG"), encoded(quarters(16), "PNG"), encoded(gradient(16, 16), "GIF")]
SEEDS += [encoded(quarters(16), kind) for kind in ("TIFF", "WEBP", "BMP", "PPM")]
SEEDS += [encoded(quarters(16), "JPEG", exif=with_exif(6)), encoded(Image.new("CMYK", (9, 9), RED), "JPEG")]
EDITS = st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 255)), max_size=6)


@settings(max_examples=250, deadline=None)
@given(seed=st.sampled_from(SEEDS), edits=EDITS, end=st.integers(1, 5000), tail=st.binary(max_size=20))
def test_mutated_files_give_pixels_or_a_refusal(tmp_path_factory, seed, edits, end, tail):
    data = bytearray(seed)
    for position, value in edits:
        data[position % len(data)] = value
    check_any_bytes(tmp_path_factory, bytes(data[:end]) + tail)


@settings(max_examples=100, deadline=None)
@given(start=st.sampled_from([b"", *{seed[:12] for seed in SEEDS}]), rest=st.binary(max_size=200))
def test_random_bytes_give_pixels_or_a_refusal(tmp_path_factory, start, rest):
    check_any_bytes(tmp_path_factory, start + rest)


def check_any_bytes(tmp_path_factory, data: bytes) -> None:
    path = put(tmp_path_factory.getbasetemp() / "any.jpg", data)
    try:
        result = decode_image(path, size=6, color="rgb")
    except BadImageError:
        return
    assert result.pixels.shape == (6, 6, 3)
    assert result.pixels.dtype == np.uint8
