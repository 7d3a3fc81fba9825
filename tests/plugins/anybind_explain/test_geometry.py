"""What a tower sees of a frame, and maps laid over it."""

from __future__ import annotations

import numpy as np
import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anybind_explain.geometry import Seen, lay_over, probe, seen_part


def cropping(picture: np.ndarray, box: tuple[float, float, float, float], side: int = 32) -> np.ndarray:
    """A part of a picture (pixels; beyond its edges black), scaled, standardised channel by channel."""
    part = PIL.Image.fromarray(picture).crop(tuple(map(round, box))).resize((side, side), PIL.Image.Resampling.BICUBIC)
    return (np.asarray(part).transpose(2, 0, 1) / 255 - 0.4) / np.array([0.2, 0.3, 0.25])[:, None, None]


@pytest.mark.parametrize(
    "box", [(0, 0, 200, 100), (50, 0, 150, 100), (60, 10, 140, 90), (0, -50, 200, 150), (120, 30, 180, 90)]
)
def test_the_part_that_is_seen_is_found_for_crops_squeezes_and_padding(box):
    seen = probe(lambda picture: cropping(picture, box), 100, 200)
    found = (seen.left * 200, seen.top * 100, seen.right * 200, seen.bottom * 100)
    np.testing.assert_allclose(found, box, atol=1.5)


def test_towers_see_the_middle_square_of_pictures_and_of_events(tiny, mini, two_objects):
    import anybind

    seen = seen_part(tiny.encoder("image"), two_objects)
    np.testing.assert_allclose([seen.left, seen.top, seen.right, seen.bottom], [0.25, 0, 0.75, 1], atol=0.01)
    events = anybind.derive("event", two_objects, seed=0)
    margin = 0.5 - 0.5 * 224 / 256  # mini crops 224 pixels of 256
    for of, sample in (("image", two_objects), ("event", events)):
        seen = seen_part(mini.encoder(of), sample)
        wanted = [0.25 + margin / 2, margin, 0.75 - margin / 2, 1 - margin]
        np.testing.assert_allclose([seen.left, seen.top, seen.right, seen.bottom], wanted, atol=0.01)


def test_a_tower_of_events_that_goes_another_way_sees_all():
    class Other:
        modality = "event"

    assert seen_part(Other(), None) == Seen()


def test_a_map_is_laid_over_what_is_seen_and_nothing_else():
    over = lay_over(np.array([[0.0, 1.0], [2.0, 3.0]]), Seen(0.25, 0.0, 0.75, 1.0), 4, 16)
    assert np.isnan(over[:, :4]).all()
    assert np.isnan(over[:, 12:]).all()
    np.testing.assert_allclose(over[0, 4:12], [0, 0, 0.125, 0.375, 0.625, 0.875, 1, 1])
    np.testing.assert_allclose(over[:, 4], [0, 0.5, 1.5, 2])
    assert Seen(0.25, 0.0, 0.75, 1.0).box(4, 16) == (4, 0, 12, 4)
    assert Seen(-0.2, 0.0, 1.2, 1.0).box(4, 16) == (0, 0, 16, 4)


@given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 10**6))
def test_a_map_over_all_keeps_its_bounds_and_its_cells(rows, columns, seed):
    grid = np.random.default_rng(seed).random((rows, columns))
    over = lay_over(grid, Seen(), 3 * rows, 3 * columns)
    assert over.min() >= grid.min() - 1e-12
    assert over.max() <= grid.max() + 1e-12
    np.testing.assert_allclose(over[1::3, 1::3], grid)
