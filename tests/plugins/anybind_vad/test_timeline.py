"""The timeline's lines, ticks and times."""

from __future__ import annotations

import numpy as np
import pytest

from anybind_vad.segments import Segment
from anybind_vad.timeline import bands, chart, clock, ticks


def corners(points):
    return [tuple(float(number) for number in point.split(",")) for point in points.split()]


def test_a_line_has_a_step_for_each_value_that_lasts_until_the_next():
    drawn = chart(np.array([0, 250_000, 500_000]), 1_000_000, np.array([1.0, 4.0, 2.0]))
    assert corners(drawn.line) == [(0, 75), (250, 75), (250, 0), (500, 0), (500, 50), (1000, 50)]
    assert (drawn.low, drawn.high) == (0, 4)
    assert corners(drawn.area)[0] == (0, 100)
    assert corners(drawn.area)[-1] == (1000, 100)


def test_a_peak_of_one_frame_in_hours_is_drawn():
    values = np.zeros(200_000)
    values[123_456] = 1
    drawn = chart(40_000 * np.arange(200_000), 8_000_000_000, values)
    assert min(y for _, y in corners(drawn.line)) == 0
    assert len(corners(drawn.line)) <= 6


def test_values_that_are_all_the_same_and_films_of_no_duration_are_drawn():
    assert corners(chart(np.array([0]), 0, np.array([0.0])).line) == [(0, 100), (1000, 100)]
    assert chart(np.array([0, 1]), 2, np.array([-1.0, -1.0])).height_of(-1) == 100


def test_the_threshold_fits_into_the_chart():
    drawn = chart(np.array([0]), 10, np.array([0.5]), at_least=2.0)
    assert drawn.height_of(2.0) == 0


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0, "0:00"), (7.9, "0:07"), (60, "1:00"), (3599.99, "59:59"), (3723, "1:02:03"), (0.3, "0:00")],
)
def test_times_read_as_people_write_them(seconds, told):
    assert clock(seconds) == told


def test_times_with_tenths_are_rounded():
    assert [clock(each, True) for each in (0.04, 59.96, 3723.46)] == ["0:00.0", "1:00.0", "1:02:03.5"]


@pytest.mark.parametrize("end_us", [0, 40_000, 700_000, 12_800_000, 7_200_000_000, 10**12])
def test_ticks_are_few_and_inside_the_film(end_us):
    found = ticks(end_us)
    assert 1 <= len(found) <= 9
    assert found[0][0] == 0
    assert all(0 <= place < 95 for place, _ in found)
    assert len({told for _, told in found}) == len(found)


def test_a_segment_of_one_frame_in_hours_can_be_seen():
    segment = Segment(9, 9, 3600.0, 3600.04, 9, 3600.0, 1.0)
    assert bands([segment], 7_200_000_000) == [(500.0, 2.0)]
