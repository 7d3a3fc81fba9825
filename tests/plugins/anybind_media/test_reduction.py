"""Reduced decoding of large images: equal to the mean of blocks of all pixels, in every format and mode."""

from __future__ import annotations

import sys

import numpy as np
import PIL.Image
import pytest

import anybind
from anybind.plugin import BadInput, BadOption
from anybind_media import reduction

SIZE = (123, 77)


@pytest.fixture(autouse=True)
def _small_limits(monkeypatch):
    monkeypatch.setattr(reduction, "LARGE_PIXELS", 1000)
    monkeypatch.setattr(reduction, "BAND_PIXELS", 1000)  # about 8 rows, not a multiple of the factor


def make_image(mode: str) -> PIL.Image.Image:
    """Make an image of smooth colours with some noise, and of varying transparency where the mode has it."""
    x, y = np.meshgrid(np.linspace(0, 1, SIZE[0]), np.linspace(0, 1, SIZE[1]))
    noise = np.random.default_rng(0).integers(0, 20, (SIZE[1], SIZE[0], 4))
    levels = np.stack([200 * x, 200 * y, 100 * (x + y), 230 * (1 - x)], axis=2)
    image = PIL.Image.fromarray((levels + noise).astype(np.uint8), "RGBA")
    if mode == "I;16":
        return PIL.Image.fromarray((levels[..., 0] * 250 + noise[..., 0]).astype(np.uint16))
    return image.convert("RGB").quantize(200) if mode == "P" else image.convert(mode)


def reduce_whole(path, factor):
    """Reduce all pixels, as read without `min_side`."""
    return np.asarray(PIL.Image.fromarray(anybind.read(path, reader="image")).reduce(factor))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
@pytest.mark.parametrize("suffix", ["png", "tif", "bmp", "gif"])
def test_a_reduced_image_equals_the_mean_of_blocks_of_all_pixels(tmp_path, mode, suffix):
    if (suffix, mode) in {("bmp", "LA"), ("bmp", "RGBA"), ("bmp", "I;16"), ("gif", "I;16")}:
        pytest.skip("the format has no such pixels")
    path = tmp_path / f"a.{suffix}"
    make_image(mode).save(path, **({"compression": "tiff_lzw", "strip_size": 1500} if suffix == "tif" else {}))
    reduced = anybind.read(path, reader="image", min_side=15)
    assert reduced.shape == (16, 25, 3)
    np.testing.assert_array_equal(reduced, reduce_whole(path, 5))


@pytest.mark.parametrize("compression", ["raw", "packbits", "tiff_adobe_deflate", "tiff_lzw", "jpeg"])
def test_strips_of_a_tiff_file_are_decoded_a_few_at_a_time(tmp_path, compression):
    path = tmp_path / "a.tif"
    make_image("RGB").save(path, compression=compression, strip_size=3000)
    np.testing.assert_array_equal(anybind.read(path, min_side=25), reduce_whole(path, 3))


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_png_images_of_few_bits_and_with_a_transparent_colour(tmp_path, bits):
    path = tmp_path / "a.png"
    make_image("RGB").quantize(2**bits).save(path, bits=bits, transparency=0)
    np.testing.assert_array_equal(anybind.read(path, min_side=25), reduce_whole(path, 3))


def test_all_filters_of_png(tmp_path):
    path = tmp_path / "a.png"
    make_image("RGB").resize((400, 300)).save(path, optimize=True)  # chooses the filter of each row
    np.testing.assert_array_equal(anybind.read(path, min_side=100), reduce_whole(path, 3))


@pytest.mark.parametrize("suffix", ["png", "tif", "jpg", "webp"])
def test_a_reduced_image_is_upright(tmp_path, suffix):
    exif = PIL.Image.Exif()
    exif[reduction.ORIENTATION] = 6
    make_image("RGB").save(tmp_path / f"a.{suffix}", exif=exif)
    reduced = anybind.read(tmp_path / f"a.{suffix}", min_side=15)
    assert reduced.shape[0] > reduced.shape[1] >= 15
    whole = PIL.Image.fromarray(anybind.read(tmp_path / f"a.{suffix}"))
    same_size = np.asarray(whole.resize(reduced.shape[1::-1], PIL.Image.Resampling.BOX))
    assert np.abs(reduced.astype(int) - same_size).mean() < 8


@pytest.mark.parametrize(("suffix", "options"), [("jpg", {}), ("jpg", {"progressive": True}), ("webp", {})])
def test_scaled_decoding_is_near_the_mean_of_blocks(tmp_path, suffix, options):
    path = tmp_path / f"a.{suffix}"
    make_image("RGB").resize((984, 616), PIL.Image.Resampling.BICUBIC).save(path, quality=90, **options)
    reduced, whole = anybind.read(path, min_side=77).astype(int), reduce_whole(path, 8).astype(int)
    assert reduced.shape == whole.shape
    assert np.abs(reduced - whole).mean() < 2
    np.testing.assert_array_equal(anybind.read(path, min_side=77), reduced)  # deterministic


@pytest.mark.parametrize("cut", [0.3, 0.9])
@pytest.mark.parametrize("suffix", ["png", "tif", "jpg", "webp", "gif"])
def test_a_truncated_image_is_an_error(tmp_path, suffix, cut):
    whole, path = tmp_path / f"whole.{suffix}", tmp_path / f"a.{suffix}"
    make_image("RGB").save(whole)
    path.write_bytes(whole.read_bytes()[: int(cut * whole.stat().st_size)])
    with pytest.raises(BadInput, match=r"a\.\w+"):
        anybind.read(path, reader="image", min_side=15)


def test_an_image_is_reduced_without_optional_packages(tmp_path, monkeypatch):
    for name in ("av", "numba"):
        monkeypatch.setitem(sys.modules, name, None)
    for suffix in ("png", "webp"):
        path = tmp_path / f"a.{suffix}"
        make_image("RGBA").save(path)
        np.testing.assert_array_equal(anybind.read(path, min_side=15), reduce_whole(path, 5))


def test_small_images_and_crops_are_not_reduced(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    make_image("RGB").save(path)
    assert anybind.read(path, min_side=70).shape == (77, 123, 3)
    assert anybind.read(path, min_side=15, box=(0, 0, 100, 50)).shape == (50, 100, 3)
    monkeypatch.setattr(reduction, "LARGE_PIXELS", 123 * 77)
    assert anybind.read(path, min_side=15).shape == (77, 123, 3)
    with pytest.raises(BadOption, match="min_side: expected at least 1, got 0"):
        anybind.read(path, min_side=0)
