"""Depth maps in memory: disparity, invalid maps, rendering."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anybind import BadInput
from anybind.errors import BadOption
from anybind.modality import find_modality, infer_modality
from anybind_media.depth import UNKNOWN_COLOUR, DepthMap

NAN = float("nan")


@given(
    metres=st.lists(st.floats(2**-10, 100, width=32) | st.just(NAN), min_size=1, max_size=12),
    fx=st.floats(100, 2000),
    baseline=st.floats(0.01, 1),
)
def test_disparity_is_baseline_times_focal_length_over_depth(metres: list[float], fx: float, baseline: float) -> None:
    disparity = DepthMap(np.array([metres], np.float32), fx=fx, baseline=baseline).disparity()
    expected = [baseline * fx / min(max(depth, 0.01), 50.0) if depth == depth else NAN for depth in metres]
    assert disparity.dtype == np.float32
    np.testing.assert_allclose(disparity[0], expected, rtol=1e-6)


def test_given_parameters_override_the_maps() -> None:
    depth_map = DepthMap(np.array([[2.0, 20.0]]), fx=500.0, baseline=0.1)
    assert depth_map.disparity(fx=1000.0).tolist() == [[50.0, 5.0]]
    assert depth_map.disparity(baseline=0.2, farthest=10.0).tolist() == [[50.0, 10.0]]


@pytest.mark.parametrize(("parameters", "missing"), [({"fx": 500.0}, "baseline"), ({"baseline": 0.1}, "fx")])
def test_disparity_without_camera_is_rejected(parameters: dict[str, float], missing: str) -> None:
    with pytest.raises(BadInput, match=f"needs {missing}, which is unknown for this depth map; set {missing}="):
        DepthMap(np.ones((2, 2)), **parameters).disparity()


@pytest.mark.parametrize("options", [{"nearest": 0.0}, {"nearest": 5.0, "farthest": 5.0}, {"fx": -1.0}])
def test_invalid_disparity_options_are_rejected(options: dict[str, float]) -> None:
    with pytest.raises(BadOption):
        DepthMap(np.ones((2, 2)), fx=1.0, baseline=1.0).disparity(**options)


def test_depth_map_requires_two_axes() -> None:
    assert DepthMap(np.ones((2, 3), np.float64)).metres.dtype == np.float32
    with pytest.raises(BadInput, match=r"an array \(height, width\) in metres, got float64 \(2, 3, 1\)"):
        DepthMap(np.ones((2, 3, 1)))
    with pytest.raises(BadOption, match="fx: expected a positive number, got 0"):
        DepthMap(np.ones((2, 3)), fx=0)


@pytest.mark.parametrize(
    ("metres", "message"),
    [
        (np.ones((0, 5)), r"empty depth map \(shape \(0, 5\)\)"),
        (np.ones((1, 101)), "101x1 pixels: expected an aspect ratio"),
        (np.zeros((4, 4)), "without known depths"),
        (np.full((4, 4), NAN), "without known depths"),
        (np.array([[1.0, -1.0]]), "negative or infinite"),
        (np.array([[1.0, np.inf]]), "negative or infinite"),
    ],
)
def test_invalid_samples_are_rejected(metres: np.ndarray, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        find_modality("depth").check(DepthMap(metres))


def test_one_known_depth_is_enough() -> None:
    sample = DepthMap(np.array([[NAN, 1.0], [NAN, NAN]]))
    find_modality("depth").check(sample)
    assert infer_modality(sample) == "depth"


def test_rendering_of_near_far_and_unknown_depth() -> None:
    metres = np.linspace(1, 5, 50, dtype=np.float32).reshape(5, 10)
    metres[2, 3] = NAN
    image = find_modality("depth").show(DepthMap(metres))
    assert image.shape == (5, 10, 3)
    assert image.dtype == np.uint8
    assert image[2, 3].tolist() == list(UNKNOWN_COLOUR)
    brightness = image.sum(axis=2)[np.isfinite(metres)].astype(int)
    assert (np.diff(brightness) <= 0).all()
    assert brightness[0] > 600
    assert brightness[-1] < 100


def test_constant_depth_map_is_rendered() -> None:
    assert find_modality("depth").show(DepthMap(np.full((3, 3), 2.0))).shape == (3, 3, 3)


def test_integer_depths_in_memory_have_no_known_unit() -> None:
    with pytest.raises(BadInput, match=r"uint16\) of unknown unit; multiply"):
        DepthMap(np.full((4, 5), 1500, np.uint16))
    assert DepthMap(np.full((4, 5), 1500, np.uint16) * 0.001, fx=np.int64(500)).metres[0, 0] == np.float32(1.5)
