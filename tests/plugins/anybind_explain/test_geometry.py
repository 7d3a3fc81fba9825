"""Input regions of encoders, and maps projected onto frames."""

from __future__ import annotations

import numpy as np
import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anybind_explain.geometry import InputRegion, find_input_region, measure_input_region, project_map


def crop_and_normalize(image: np.ndarray, box: tuple[float, float, float, float], side: int = 32) -> np.ndarray:
    """Crop a box in pixels (black beyond the edges), resize it and normalise its channels."""
    crop = PIL.Image.fromarray(image).crop(tuple(map(round, box))).resize((side, side), PIL.Image.Resampling.BICUBIC)
    return (np.asarray(crop).transpose(2, 0, 1) / 255 - 0.4) / np.array([0.2, 0.3, 0.25])[:, None, None]


@pytest.mark.parametrize(
    "box", [(0, 0, 200, 100), (50, 0, 150, 100), (60, 10, 140, 90), (0, -50, 200, 150), (120, 30, 180, 90)]
)
def test_the_input_region_is_measured_for_crops_squeezes_and_padding(box):
    region = measure_input_region(lambda image: crop_and_normalize(image, box), 100, 200)
    pixels = (region.left * 200, region.top * 100, region.right * 200, region.bottom * 100)
    np.testing.assert_allclose(pixels, box, atol=1.5)


def test_encoders_crop_the_central_square_of_images_and_event_frames(tiny, mini, two_objects):
    import anybind

    region = find_input_region(tiny.encoder("image"), two_objects)
    np.testing.assert_allclose([region.left, region.top, region.right, region.bottom], [0.25, 0, 0.75, 1], atol=0.01)
    events = anybind.derive("event", two_objects, seed=0)
    margin = 0.5 - 0.5 * 224 / 256  # mini crops 224 pixels of 256
    region = find_input_region(mini.encoder("image"), two_objects)
    expected = [0.25 + margin / 2, margin, 0.75 - margin / 2, 1 - margin]
    np.testing.assert_allclose([region.left, region.top, region.right, region.bottom], expected, atol=0.01)
    left, top, right, bottom = mini.encoder("event").frame.find_region(events)  # mini's frames show what moves
    assert (right - left) * events.width == pytest.approx((bottom - top) * events.height)
    region = find_input_region(mini.encoder("event"), events)
    width, height = right - left, bottom - top
    expected = [left + margin * width, top + margin * height, right - margin * width, bottom - margin * height]
    np.testing.assert_allclose([region.left, region.top, region.right, region.bottom], expected, atol=0.01)


def test_other_event_encoders_have_the_complete_frame_as_input_region():
    class UnknownEncoder:
        modality = "event"

    assert find_input_region(UnknownEncoder(), None) == InputRegion()


def test_a_map_is_projected_onto_its_region_only():
    projected = project_map(np.array([[0.0, 1.0], [2.0, 3.0]]), InputRegion(0.25, 0.0, 0.75, 1.0), 4, 16)
    assert np.isnan(projected[:, :4]).all()
    assert np.isnan(projected[:, 12:]).all()
    np.testing.assert_allclose(projected[0, 4:12], [0, 0, 0.125, 0.375, 0.625, 0.875, 1, 1])
    np.testing.assert_allclose(projected[:, 4], [0, 0.5, 1.5, 2])
    assert InputRegion(0.25, 0.0, 0.75, 1.0).to_pixels(4, 16) == (4, 0, 12, 4)
    assert InputRegion(-0.2, 0.0, 1.2, 1.0).to_pixels(4, 16) == (0, 0, 16, 4)


@given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 10**6))
def test_a_projected_map_keeps_its_bounds_and_cell_values(rows, columns, seed):
    grid = np.random.default_rng(seed).random((rows, columns))
    projected = project_map(grid, InputRegion(), 3 * rows, 3 * columns)
    assert projected.min() >= grid.min() - 1e-12
    assert projected.max() <= grid.max() + 1e-12
    np.testing.assert_allclose(projected[1::3, 1::3], grid)
