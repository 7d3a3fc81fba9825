"""Files of depth: units are given and not guessed, holes stay holes, damage and colours are refused."""

from __future__ import annotations

import struct
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
        path.write_bytes(b"P5\n# made here\n%d %d\n65535\n" % (width, height) + units.astype(">u2").tobytes())
    else:
        PIL.Image.fromarray(units).save(path)
    return path


def in_metres(units: np.ndarray, scale: float) -> np.ndarray:
    metres = units.astype(np.float64) * scale
    metres[units == 0] = np.nan
    return metres


@pytest.mark.parametrize("suffix", [".png", ".tiff", ".pgm", ".npy"])
def test_whole_numbers_are_units_of_the_scale_and_0_is_not_known(tmp_path: Path, suffix: str) -> None:
    path = save(tmp_path / f"depth{suffix}")
    np.testing.assert_allclose(read(path, scale=0.001), in_metres(UNITS, 0.001), rtol=1e-6)
    np.testing.assert_allclose(read(path, preset="tum"), in_metres(UNITS, 1 / 5000), rtol=1e-6)
    np.testing.assert_allclose(read(path, preset="tum", scale=1.0), in_metres(UNITS, 1.0), rtol=1e-6)


@pytest.mark.parametrize("suffix", [".png", ".tiff", ".pgm", ".npy"])
def test_whole_numbers_without_a_unit_are_refused_and_told_what_to_give(tmp_path: Path, suffix: str) -> None:
    message = r"does not say their unit; give scale= \(metres of one unit\) or preset= \(tum, nyu, .*sun-rgbd\)"
    with pytest.raises(BadInput, match=message):
        read(save(tmp_path / f"depth{suffix}"))


@given(millimetres=st.lists(st.integers(0, 65_535), min_size=1, max_size=20))
def test_the_bits_of_sun_rgbd_are_turned_back(tmp_path_factory: pytest.TempPathFactory, millimetres: list[int]) -> None:
    stored = np.array([[(depth << 3 | depth >> 13) & 0xFFFF for depth in millimetres]], dtype=np.uint16)
    path = save(tmp_path_factory.getbasetemp() / "sun.png", stored)
    expected = [min(depth / 1000, 8.0) if depth else float("nan") for depth in millimetres]
    np.testing.assert_allclose(read(path, preset="sun-rgbd")[0], expected, rtol=1e-6)


def test_turned_bits_are_sixteen(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="int32; depths that are stored with their bits turned are of 16 bits"):
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
def test_a_preset_knows_the_camera_as_far_as_the_name_tells(
    tmp_path: Path, preset: str, fx: float | None, baseline: float | None
) -> None:
    path = save(tmp_path / "depth.png")
    sample = anybind.read(path, reader="depth", preset=preset)
    assert (sample.fx, sample.baseline) == (fx, baseline)
    given = anybind.read(path, reader="depth", preset=preset, fx=600.0, baseline=0.2)
    assert (given.fx, given.baseline) == (600.0, 0.2)
    assert set(PRESETS) >= {preset}


def test_an_unknown_preset_and_numbers_without_sense_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "depth.png")
    with pytest.raises(BadOption, match="no preset 'nyuu' of depth; did you mean 'nyu'"):
        read(path, preset="nyuu")
    for options in ({"scale": 0}, {"scale": -1.0}, {"scale": 1, "fx": float("nan")}, {"scale": 1, "baseline": 0.0}):
        with pytest.raises(BadOption, match="must be a number above 0"):
            read(path, **options)


@pytest.mark.parametrize("suffix", [".npy", ".tiff"])
def test_floating_point_numbers_are_metres_and_what_is_not_finite_is_not_known(tmp_path: Path, suffix: str) -> None:
    metres = np.array([[0.5, 0.0, np.inf], [np.nan, 2.25, 1e-3]], dtype=np.float32)
    path = save(tmp_path / f"depth{suffix}", metres)
    expected = np.where(np.isfinite(metres) & (metres > 0), metres, np.nan)
    np.testing.assert_array_equal(read(path), expected)
    np.testing.assert_allclose(read(path, scale=0.01), expected * 0.01, rtol=1e-6)
    np.testing.assert_array_equal(read(path, preset="nyu"), expected)


@pytest.mark.parametrize("array", [np.array([[1e300, 2.0]]), np.array([[0x7F800001, 0x40000000]], "u4").view("f4")])
def test_what_is_beyond_float32_or_no_number_is_not_known_and_no_warning(tmp_path: Path, array: np.ndarray) -> None:
    np.save(tmp_path / "far.npy", array)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        metres = anybind.read(tmp_path / "far.npy", reader="depth").metres
    np.testing.assert_array_equal(metres, np.array([[np.nan, 2.0]], np.float32))


def test_an_array_of_one_channel_is_a_map(tmp_path: Path) -> None:
    metres = np.arange(1, 7, dtype=np.float64).reshape(2, 3)
    assert np.array_equal(read(save(tmp_path / "a.npy", metres[None])), metres)
    assert np.array_equal(read(save(tmp_path / "b.npy", metres[..., None])), metres)
    assert np.array_equal(read(save(tmp_path / "c.npy", np.asfortranarray(metres))), metres)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.ones((2, 3, 4)), r"holds float64 \(2, 3, 4\); a depth map is one number a pixel"),
        (np.ones(5), r"holds float64 \(5,\)"),
        (np.ones((0, 5)), r"holds float64 \(0, 5\)"),
        (np.ones((2, 2), bool), r"holds bool"),
        (np.array([[1.0, -2.5]]), r"negative depths, down to -2\.5"),
    ],
)
def test_arrays_of_another_kind_are_refused(tmp_path: Path, array: np.ndarray, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        read(save(tmp_path / "depth.npy", array))


def test_negative_whole_numbers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="negative depths"):
        read(save(tmp_path / "depth.npy", np.array([[1, -1]], np.int32)), scale=0.001)


@pytest.mark.parametrize("suffix", [".png", ".tiff", ".npy", ".pgm"])
def test_depths_of_8_bits_are_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"depth{suffix}"
    if suffix == ".pgm":
        path.write_bytes(b"P5 2 2 255\n" + bytes([1, 2, 3, 4]))
    else:
        save(path, np.full((2, 2), 7, np.uint8))
    with pytest.raises(BadInput, match="holds depths of 8 bits"):
        read(path, scale=0.01)


def test_a_picture_in_colour_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "colour.png"
    PIL.Image.new("RGB", (4, 4)).save(path)
    with pytest.raises(BadInput, match=r"holds colours \(RGB\), not depths"):
        read(path, scale=0.001)


def test_objects_are_never_unpickled(tmp_path: Path) -> None:
    path = tmp_path / "evil.npy"
    np.save(path, np.array([[{"a": 1}]], dtype=object), allow_pickle=True)
    with pytest.raises(BadInput, match=r"evil\.npy is no complete depth map"):
        read(path)


def test_levels_of_a_smaller_range_stay_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "depth.pgm"
    path.write_bytes(b"P5\n2 1\n# a comment\n2047\n" + struct.pack(">2H", 2047, 100))
    np.testing.assert_allclose(read(path, scale=0.001), [[2.047, 0.1]], rtol=1e-6)


@pytest.mark.parametrize("suffix", [".png", ".tiff", ".pgm", ".npy"])
def test_a_map_cut_off_is_refused_and_named(tmp_path: Path, suffix: str) -> None:
    units = np.random.default_rng(0).integers(1, 60_000, (24, 32)).astype(np.uint16)
    whole = save(tmp_path / f"whole{suffix}", units).read_bytes()
    path = tmp_path / f"cut{suffix}"
    for share in range(1, 96, 4):
        path.write_bytes(whole[: max(1, share * len(whole) // 100)])
        with pytest.raises(BadInput, match=rf"cut\{suffix}"):
            read(path, scale=0.001)


def test_a_header_that_claims_gigabytes_allocates_nothing(tmp_path: Path) -> None:
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
def test_what_is_written_comes_back(tmp_path: Path, suffix: str) -> None:
    metres = np.array([[1.5, np.nan], [0.25, 70.0]], np.float32)
    anybind.write(DepthMap(metres, fx=500.0), tmp_path / f"depth{suffix}")
    np.testing.assert_array_equal(read(tmp_path / f"depth{suffix}"), metres)


def test_depth_is_not_written_where_its_unit_would_be_lost(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"depth is written as \.npy or \.tiff"):
        anybind.write(DepthMap(np.ones((2, 2))), tmp_path / "depth.png")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("suffix", "by_itself"), [(".png", "picture"), (".tiff", "picture"), (".npy", "depth"), (".pgm", "depth")]
)
def test_a_picture_is_a_depth_map_only_where_depth_is_wanted(tmp_path: Path, suffix: str, by_itself: str) -> None:
    path = save(tmp_path / f"depth{suffix}", np.ones((6, 5), np.uint16))
    assert find_reader(path).name == by_itself
    assert find_reader(path, modality="depth").name == "depth"


def test_a_picture_in_colour_is_none_even_where_depth_is_wanted(tmp_path: Path) -> None:
    PIL.Image.new("RGB", (40, 40)).save(tmp_path / "colour.png")
    assert find_reader(tmp_path / "colour.png", modality="depth").name == "picture"


def test_events_in_an_array_stay_events(tmp_path: Path) -> None:
    events = np.array([[1, 2, 10, 1], [3, 4, 20, 0]], dtype=np.int64)
    named = np.array([(1, 2, 10, 1)], dtype=[("x", "u2"), ("y", "u2"), ("t", "i8"), ("p", "u1")])
    for array in (events, named):
        np.save(tmp_path / "events.npy", array)
        for wanted in (None, "event", "depth"):
            assert find_reader(tmp_path / "events.npy", wanted).spec.modality == "event"


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
def test_an_array_may_be_a_map_by_its_shape(
    tmp_path: Path, shape: tuple[int, ...], dtype: str, verdict: bool | None
) -> None:
    path = save(tmp_path / "a.npy", np.zeros(shape, dtype))
    assert DepthReader().sniff(path.read_bytes()[:4096]) is verdict


def test_the_package_that_reads_openexr_is_named_where_it_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "OpenEXR", None)
    (tmp_path / "depth.exr").write_bytes(b"\x76\x2f\x31\x01" + bytes(100))
    with pytest.raises(MissingExtra, match=r"pip install 'anybind\[exr\]'"):
        anybind.read(tmp_path / "depth.exr")


@pytest.mark.parametrize("channel", ["Z", "Depth.Z", "V"])
def test_the_channel_of_depth_is_read_of_openexr(tmp_path: Path, channel: str) -> None:
    exr = pytest.importorskip("OpenEXR")
    metres = np.random.default_rng(0).uniform(0.5, 9, (6, 8)).astype(np.float32)
    metres[1, 2] = np.inf
    header = {"compression": exr.ZIP_COMPRESSION, "type": exr.scanlineimage}
    exr.File(header, {channel: metres, "A": np.ones_like(metres)}).write(str(tmp_path / "depth.exr"))
    found = anybind.read(tmp_path / "depth.exr")
    np.testing.assert_array_equal(found.metres, np.where(np.isfinite(metres), metres, np.nan))


def test_colours_and_damage_of_openexr_are_refused(tmp_path: Path) -> None:
    exr = pytest.importorskip("OpenEXR")
    grey = np.ones((6, 8), np.float32)
    path = tmp_path / "depth.exr"
    exr.File({"type": exr.scanlineimage}, {"R": grey, "G": grey, "B": grey}).write(str(path))
    with pytest.raises(BadInput, match="has no channel of depth"):
        anybind.read(path)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(BadInput, match=r"depth\.exr is no complete depth map"):
        anybind.read(path)


def test_real_maps_are_in_metres(test_data: Path) -> None:
    folder = test_data / "rgbd/tum"
    for name, options, middle in (
        ("1_depth.pgm", {"scale": 0.001}, (2.5, 3.5)),
        ("ch7_1_depth.png", {"preset": "tum"}, (1.2, 1.8)),
    ):
        sample = anybind.read(folder / name, reader="depth", **options)
        assert sample.metres.shape == (480, 640)
        assert middle[0] < np.nanmedian(sample.metres) < middle[1]
        assert 0.2 < np.isnan(sample.metres).mean() < 0.4
        with PIL.Image.open(folder / name) as picture:
            units = np.asarray(picture).astype(np.float64)
        known = np.isfinite(sample.metres)
        # Pillow stretches the levels of a PGM to 16 bits; one factor leads from one to the other all the same.
        factors = units[known] / sample.metres[known]
        assert np.ptp(factors) < 0.01 * factors.mean()
    assert 10 < np.nanmedian(sample.disparity()) < 60
    assert DepthReader().sniff((folder / "1_rgb.png").read_bytes()[:4096]) is False
