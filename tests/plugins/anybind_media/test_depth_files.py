"""Depth files: units, unknown depths, damaged files and colours."""

from __future__ import annotations

import struct
import subprocess
import sys
import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st

import anybind
from anybind import BadInput
from anybind.errors import BadOption, MissingExtra
from anybind.reader import find_reader
from anybind_media.depth import DepthMap
from anybind_media.depth_files import PRESETS, DepthReader

UNITS = np.array([[0, 1, 1000, 5000], [8191, 40_000, 65_535, 2]], dtype=np.uint16)


def read(path: Path, **options: object) -> np.ndarray:
    return anybind.read(path, reader="depth", **options).metres


def save(path: Path, units: np.ndarray = UNITS) -> Path:
    if path.suffix == ".npy":
        np.save(path, units)
    elif path.suffix == ".pgm":
        height, width = units.shape
        path.write_bytes(b"P5\n# comment\n%d %d\n65535\n" % (width, height) + units.astype(">u2").tobytes())
    else:
        PIL.Image.fromarray(units).save(path)
    return path


def convert_to_metres(units: np.ndarray, scale: float) -> np.ndarray:
    metres = units.astype(np.float64) * scale
    metres[units == 0] = np.nan
    return metres


@pytest.mark.parametrize("suffix", [".png", ".tiff", ".pgm", ".npy"])
def test_integers_are_scaled_and_0_is_unknown(tmp_path: Path, suffix: str) -> None:
    path = save(tmp_path / f"depth{suffix}")
    np.testing.assert_allclose(read(path, scale=0.001), convert_to_metres(UNITS, 0.001), rtol=1e-6)
    np.testing.assert_allclose(read(path, preset="tum"), convert_to_metres(UNITS, 1 / 5000), rtol=1e-6)
    np.testing.assert_allclose(read(path, preset="tum", scale=1.0), convert_to_metres(UNITS, 1.0), rtol=1e-6)


@pytest.mark.parametrize("suffix", [".png", ".tiff", ".pgm", ".npy"])
def test_integers_without_unit_are_rejected(tmp_path: Path, suffix: str) -> None:
    message = r"unknown unit; set scale= \(metres per unit\) or preset= \(tum, nyu, .*sun-rgbd\)"
    with pytest.raises(BadInput, match=message):
        read(save(tmp_path / f"depth{suffix}"))


@given(millimetres=st.lists(st.integers(0, 65_535), min_size=1, max_size=20))
def test_sun_rgbd_bits_are_rotated_back(tmp_path_factory: pytest.TempPathFactory, millimetres: list[int]) -> None:
    stored = np.array([[(depth << 3 | depth >> 13) & 0xFFFF for depth in millimetres]], dtype=np.uint16)
    path = save(tmp_path_factory.getbasetemp() / "sun.png", stored)
    expected = [min(depth / 1000, 8.0) if depth else float("nan") for depth in millimetres]
    np.testing.assert_allclose(read(path, preset="sun-rgbd")[0], expected, rtol=1e-6)


def test_rotated_bits_require_16_bits(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="rotated bits, got int32"):
        read(save(tmp_path / "depth.npy", UNITS.astype(np.int32)), preset="sun-rgbd")


@pytest.mark.parametrize(
    ("preset", "fx", "baseline"),
    [
        ("tum", 525.0, 0.075),
        ("nyu", 518.857901, 0.075),
        ("kinect-v1", None, 0.075),
        ("kinect-v2", None, 0.075),
        ("realsense", None, 0.095),
        ("xtion", None, 0.095),
        ("sun-rgbd", None, None),
    ],
)
def test_presets_set_camera_parameters(tmp_path: Path, preset: str, fx: float | None, baseline: float | None) -> None:
    path = save(tmp_path / "depth.png")
    sample = anybind.read(path, reader="depth", preset=preset)
    assert (sample.fx, sample.baseline) == (fx, baseline)
    given = anybind.read(path, reader="depth", preset=preset, fx=600.0, baseline=0.2)
    assert (given.fx, given.baseline) == (600.0, 0.2)
    assert set(PRESETS) >= {preset}


def test_unknown_preset_and_invalid_numbers_are_rejected(tmp_path: Path) -> None:
    path = save(tmp_path / "depth.png")
    with pytest.raises(BadOption, match="no depth preset 'nyuu'; did you mean 'nyu'"):
        read(path, preset="nyuu")
    for options in ({"scale": 0}, {"scale": -1.0}, {"scale": 1, "fx": float("nan")}, {"scale": 1, "baseline": 0.0}):
        with pytest.raises(BadOption, match="expected a positive number"):
            read(path, **options)


@pytest.mark.parametrize("suffix", [".npy", ".tiff"])
def test_floats_are_metres_and_nonfinite_is_unknown(tmp_path: Path, suffix: str) -> None:
    metres = np.array([[0.5, 0.0, np.inf], [np.nan, 2.25, 1e-3]], dtype=np.float32)
    path = save(tmp_path / f"depth{suffix}", metres)
    expected = np.where(np.isfinite(metres) & (metres > 0), metres, np.nan)
    np.testing.assert_array_equal(read(path), expected)
    np.testing.assert_allclose(read(path, scale=0.01), expected * 0.01, rtol=1e-6)
    np.testing.assert_array_equal(read(path, preset="nyu"), expected)


def test_floats_that_may_be_millimetres_are_doubted(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    np.save(path := tmp_path / "depth.npy", np.linspace(500, 3000, 12, dtype=np.float32).reshape(3, 4))
    assert DepthReader().read(path, scale=0.001).metres.max() == pytest.approx(3)
    assert DepthReader().read(path, scale=1).metres.max() == 3000
    np.save(tmp_path / "far.npy", np.float32([[20, 80, np.nan, 1000]]))  # the sky of a street
    assert DepthReader().read(tmp_path / "far.npy").metres.size == 4
    assert not recwarn.list
    with pytest.warns(anybind.AnybindWarning, match=r"half of them exceed 1,750 m; .* millimetres, set scale=0\.001"):
        DepthReader().read(path)


@pytest.mark.parametrize("array", [np.array([[1e300, 2.0]]), np.array([[0x7F800001, 0x40000000]], "u4").view("f4")])
def test_values_beyond_float32_are_unknown_without_warning(tmp_path: Path, array: np.ndarray) -> None:
    np.save(tmp_path / "far.npy", array)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        metres = anybind.read(tmp_path / "far.npy", reader="depth").metres
    np.testing.assert_array_equal(metres, np.array([[np.nan, 2.0]], np.float32))


def test_array_with_one_channel_is_a_depth_map(tmp_path: Path) -> None:
    metres = np.arange(1, 7, dtype=np.float64).reshape(2, 3)
    assert np.array_equal(read(save(tmp_path / "a.npy", metres[None])), metres)
    assert np.array_equal(read(save(tmp_path / "b.npy", metres[..., None])), metres)
    assert np.array_equal(read(save(tmp_path / "c.npy", np.asfortranarray(metres))), metres)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.ones((2, 3, 4)), r"expected one number per pixel, got float64 \(2, 3, 4\)"),
        (np.ones(5), r"got float64 \(5,\)"),
        (np.ones((0, 5)), r"got float64 \(0, 5\)"),
        (np.ones((2, 2), bool), r"got bool"),
        (np.array([[1.0, -2.5]]), r"got negative values down to -2\.5"),
    ],
)
def test_other_arrays_are_rejected(tmp_path: Path, array: np.ndarray, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        read(save(tmp_path / "depth.npy", array))


def test_negative_integers_are_rejected(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="got negative values"):
        read(save(tmp_path / "depth.npy", np.array([[1, -1]], np.int32)), scale=0.001)


@pytest.mark.parametrize("suffix", [".png", ".tiff", ".npy", ".pgm"])
def test_8_bit_depths_are_rejected(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"depth{suffix}"
    if suffix == ".pgm":
        path.write_bytes(b"P5 2 2 255\n" + bytes([1, 2, 3, 4]))
    else:
        save(path, np.full((2, 2), 7, np.uint8))
    with pytest.raises(BadInput, match="expected at least 16 bits per depth, got 8"):
        read(path, scale=0.01)


def test_colour_image_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "colour.png"
    PIL.Image.new("RGB", (4, 4)).save(path)
    with pytest.raises(BadInput, match=r"expected a gray image of depths, got colours \(RGB\)"):
        read(path, scale=0.001)


def test_pickled_objects_are_never_loaded(tmp_path: Path) -> None:
    path = tmp_path / "evil.npy"
    np.save(path, np.array([[{"a": 1}]], dtype=object), allow_pickle=True)
    with pytest.raises(BadInput, match=r"evil\.npy: incomplete depth map"):
        read(path)


def test_levels_of_a_smaller_range_are_not_rescaled(tmp_path: Path) -> None:
    path = tmp_path / "depth.pgm"
    path.write_bytes(b"P5\n2 1\n# a comment\n2047\n" + struct.pack(">2H", 2047, 100))
    np.testing.assert_allclose(read(path, scale=0.001), [[2.047, 0.1]], rtol=1e-6)


@pytest.mark.parametrize("suffix", [".png", ".tiff", ".pgm", ".npy"])
def test_truncated_depth_map_is_rejected(tmp_path: Path, suffix: str) -> None:
    units = np.random.default_rng(0).integers(1, 60_000, (24, 32)).astype(np.uint16)
    data = save(tmp_path / f"data{suffix}", units).read_bytes()
    path = tmp_path / f"cut{suffix}"
    for share in range(1, 96, 4):
        path.write_bytes(data[: max(1, share * len(data) // 100)])
        with pytest.raises(BadInput, match=rf"cut\{suffix}"):
            read(path, scale=0.001)


def test_oversized_header_does_not_allocate(tmp_path: Path) -> None:
    (tmp_path / "depth.pgm").write_bytes(b"P5\n100000 100000\n65535\n" + bytes(100))
    contents = bytearray(save(tmp_path / "depth.npy", np.ones((10, 10))).read_bytes())
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (99999, 99999), }"
    contents[10 : 10 + len(header)] = header
    (tmp_path / "depth.npy").write_bytes(contents)
    tracemalloc.start()
    for name in ("depth.pgm", "depth.npy"):
        with pytest.raises(BadInput, match=name):
            read(tmp_path / name, scale=0.001)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5_000_000


@pytest.mark.parametrize("suffix", [".npy", ".tif", ".tiff"])
def test_write_and_read_round_trip(tmp_path: Path, suffix: str) -> None:
    metres = np.array([[1.5, np.nan], [0.25, 70.0]], np.float32)
    anybind.write(DepthMap(metres, fx=500.0), tmp_path / f"depth{suffix}")
    np.testing.assert_array_equal(read(tmp_path / f"depth{suffix}"), metres)


def test_formats_without_unit_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"unsupported depth format; supported: \.npy"):
        anybind.write(DepthMap(np.ones((2, 2))), tmp_path / "depth.png")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("suffix", "default_reader"), [(".png", "image"), (".tiff", "image"), (".npy", "depth"), (".pgm", "depth")]
)
def test_image_is_depth_only_on_request(tmp_path: Path, suffix: str, default_reader: str) -> None:
    path = save(tmp_path / f"depth{suffix}", np.ones((6, 5), np.uint16))
    assert find_reader(path).name == default_reader
    assert find_reader(path, modality="depth").name == "depth"


def test_colour_image_is_never_depth(tmp_path: Path) -> None:
    PIL.Image.new("RGB", (40, 40)).save(tmp_path / "colour.png")
    assert find_reader(tmp_path / "colour.png", modality="depth").name == "image"


def test_event_array_is_not_depth(tmp_path: Path) -> None:
    events = np.array([[1, 2, 10, 1], [3, 4, 20, 0]], dtype=np.int64)
    structured = np.array([(1, 2, 10, 1)], dtype=[("x", "u2"), ("y", "u2"), ("t", "i8"), ("p", "u1")])
    for array in (events, structured):
        np.save(tmp_path / "events.npy", array)
        for modality in (None, "event", "depth"):
            assert find_reader(tmp_path / "events.npy", modality).spec.modality == "event"


@pytest.mark.parametrize(
    ("shape", "dtype", "verdict"),
    [
        ((480, 640), "<f4", None),
        ((480, 640), ">u2", None),
        ((1, 480, 640), "<f8", None),
        ((480, 640, 1), "<f8", None),
        ((480, 4), "<f4", False),
        ((480, 640, 3), "<f4", False),
        ((480,), "<f4", False),
        ((480, 640), "?", False),
        ((480, 640), "<c8", False),
    ],
)
def test_array_shape_decides_on_depth(tmp_path: Path, shape: tuple[int, ...], dtype: str, verdict: bool | None) -> None:
    path = save(tmp_path / "a.npy", np.zeros(shape, dtype))
    assert DepthReader().sniff(path.read_bytes()[:4096]) is verdict


def test_missing_openexr_reports_pip_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "OpenEXR", None)
    (tmp_path / "depth.exr").write_bytes(b"\x76\x2f\x31\x01" + bytes(100))
    with pytest.raises(MissingExtra, match=r"pip install 'anybind\[exr\]'"):
        anybind.read(tmp_path / "depth.exr")


@pytest.mark.parametrize("channel", ["Z", "Depth.Z", "V"])
def test_openexr_depth_channel_is_read(tmp_path: Path, channel: str) -> None:
    exr = pytest.importorskip("OpenEXR")
    metres = np.random.default_rng(0).uniform(0.5, 9, (6, 8)).astype(np.float32)
    metres[1, 2] = np.inf
    header = {"compression": exr.ZIP_COMPRESSION, "type": exr.scanlineimage}
    exr.File(header, {channel: metres, "A": np.ones_like(metres)}).write(str(tmp_path / "depth.exr"))
    depth = anybind.read(tmp_path / "depth.exr")
    np.testing.assert_array_equal(depth.metres, np.where(np.isfinite(metres), metres, np.nan))


def test_openexr_colours_and_damage_are_rejected(tmp_path: Path) -> None:
    exr = pytest.importorskip("OpenEXR")
    grey = np.ones((6, 8), np.float32)
    path = tmp_path / "depth.exr"
    exr.File({"type": exr.scanlineimage}, {"R": grey, "G": grey, "B": grey}).write(str(path))
    with pytest.raises(BadInput, match="expected a depth channel"):
        anybind.read(path)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(BadInput, match=r"depth\.exr: incomplete depth map"):
        anybind.read(path)


def test_real_depth_maps_are_in_metres(test_data: Path) -> None:
    folder = test_data / "rgbd/tum"
    for name, options, middle in (
        ("1_depth.pgm", {"scale": 0.001}, (2.5, 3.5)),
        ("ch7_1_depth.png", {"preset": "tum"}, (1.2, 1.8)),
    ):
        sample = anybind.read(folder / name, reader="depth", **options)
        assert sample.metres.shape == (480, 640)
        assert middle[0] < np.nanmedian(sample.metres) < middle[1]
        assert 0.2 < np.isnan(sample.metres).mean() < 0.4
        with PIL.Image.open(folder / name) as image:
            units = np.asarray(image).astype(np.float64)
        is_known = np.isfinite(sample.metres)
        # Pillow rescales the levels of a PGM to 16 bits: compare up to a constant factor.
        factors = units[is_known] / sample.metres[is_known]
        assert np.ptp(factors) < 0.01 * factors.mean()
    assert 10 < np.nanmedian(sample.disparity()) < 60
    assert DepthReader().sniff((folder / "1_rgb.png").read_bytes()[:4096]) is False


def test_postscript_named_as_an_image_is_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    PIL.Image.new("L", (8, 6)).save(tmp_path / "depth.png", "EPS")
    monkeypatch.setattr(subprocess, "Popen", None)  # Ghostscript could not be started
    with pytest.raises(BadInput, match=r"depth\.png: expected an image \(PNG, .*got contents that begin with b'%!PS"):
        anybind.read(tmp_path / "depth.png", reader="depth", scale=0.001)


@pytest.mark.parametrize("suffix", [".png", ".tiff", ".npy", ".pgm", ".exr"])
def test_limit_of_pixels_is_an_option(tmp_path: Path, suffix: str) -> None:
    path, depths = tmp_path / f"a{suffix}", np.ones((60, 80), np.uint16)
    if suffix == ".npy":
        np.save(path, depths)
    elif suffix == ".pgm":
        path.write_bytes(b"P5 80 60 65535\n" + depths.astype(">u2").tobytes())
    elif suffix == ".exr":
        exr = pytest.importorskip("OpenEXR")
        exr.File({"type": exr.scanlineimage}, {"Z": depths.astype(np.float32)}).write(str(path))
    else:
        PIL.Image.fromarray(depths).save(path)
    options = {"reader": "depth", "scale": 0.001}
    assert anybind.read(path, **options, max_pixels=4800).metres.shape == (60, 80)
    with pytest.raises(BadInput, match=r"a\.\w+: 80x60 pixels exceed the limit of 4799"):
        anybind.read(path, **options, max_pixels=4799)
