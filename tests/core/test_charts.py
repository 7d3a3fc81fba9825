"""Charts: valid SVG, axes, and positions of lines and marks."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from anybind import BadInput, charts
from anybind.charts import Axis, Mark

SVG = "{http://www.w3.org/2000/svg}"


def points(svg, tag="polyline"):
    """Parse the points of each line."""
    match = ElementTree.fromstring(svg).iter(f"{SVG}{tag}")
    return [[tuple(map(float, pair.split(","))) for pair in each.attrib["points"].split()] for each in match]


def texts(svg):
    return [each.text for each in ElementTree.fromstring(svg).iter(f"{SVG}text")]


@pytest.mark.parametrize(
    "values", [[0.0], [5.0, 5.0], [99.1, 99.45], [0.1, 87.3], [-3.0, 12.0], [1e-6, 2e-6], [870.0, 1.0]]
)
def test_an_axis_contains_its_values_between_few_round_ticks(values):
    axis = Axis.around(values, margin=3)
    assert all(3 <= axis.place(value) <= 97 for value in values)
    assert 2 <= len(axis.ticks) <= 6
    assert len({text for _, text in axis.ticks}) == len(axis.ticks)


@pytest.mark.parametrize("end_s", [0, 0.04, 0.7, 12.8, 7200, 10**6])
def test_time_ticks_are_few_and_inside_of_the_axis(end_s):
    axis = Axis.of_time(end_s)
    assert 1 <= len(axis.ticks) <= 9
    assert axis.ticks[0][0] == 0
    assert all(0 <= axis.place(value) < 95 for value, _ in axis.ticks)
    assert len({text for _, text in axis.ticks}) == len(axis.ticks)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00"), (7.9, "0:07"), (60, "1:00"), (3599.99, "59:59"), (3723, "1:02:03"), (0.3, "0:00")],
)
def test_times_are_formatted_in_minutes_and_hours(seconds, text):
    assert charts.format_time(seconds) == text


def test_times_with_tenths_are_rounded():
    assert [charts.format_time(each, 1) for each in (0.04, 59.96, 3723.46)] == ["0:00.0", "1:00.0", "1:02:03.5"]
    assert [charts.format_time(each, 3) for each in (0.04, 59.9996)] == ["0:00.040", "1:00.000"]


def test_ticks_of_a_short_recording_have_different_labels():
    for duration_s in (0.01, 0.1, 0.3):
        labels = [label for _, label in charts.Axis.of_time(duration_s).ticks]
        assert len(set(labels)) == len(labels) > 2


def test_lines_go_up_with_their_values_and_have_a_legend():
    svg = charts.draw_lines({"a <b>": [(0, 0), (10, 1)], "c": [(0, 1), (10, 1)]}, x="epoch", y="loss", height=100)
    assert points(svg) == [[(0, 100), (100, 0)], [(0, 0), (100, 0)]]
    assert {"epoch", "loss", "a <b>", "c"} <= set(texts(svg))


def test_one_line_needs_no_legend():
    assert "alone" not in texts(charts.draw_lines({"alone": [(0, 0), (1, 1)]}, x="x", y="y"))


def test_marks_show_where_values_and_intervals_are():
    tracks = [("theirs", [Mark("theirs", 40, "40", "hollow")]), ("ours", [Mark("ours", 60, "60.0", interval=(50, 70))])]
    svg = charts.draw_marks(tracks, Axis(0, 100, ((0, "0"), (100, "100"))))
    assert re.findall(r'<svg x="([\d.]+)%"', svg) == ["40.0", "60.0"]
    assert 'x1="50.0%" x2="70.0%"' in svg
    assert {"theirs", "ours", "40", "60.0", "0", "100"} <= set(texts(svg))


def test_several_marks_on_a_track_have_a_legend():
    tracks = [("AUC", [Mark("a", 1, "1", "hollow", 3), Mark("b", 2, "2", "reference")])]
    svg = charts.draw_marks(tracks, Axis.around([1, 2]), legend=True)
    assert {"AUC", "a", "b"} <= set(texts(svg))


def test_steps_last_until_the_next_value():
    svg = charts.draw_steps(np.array([0, 0.25, 0.5]), 1.0, np.array([1.0, 4.0, 2.0]), label="score", height=100)
    assert points(svg) == [[(0, 75), (250, 75), (250, 0), (500, 0), (500, 50), (1000, 50)]]
    [area] = points(svg, "polygon")
    assert (area[0], area[-1]) == ((0, 100), (1000, 100))


def test_a_short_peak_of_a_long_recording_is_drawn():
    values = np.zeros(200_000)
    values[123_456] = 1
    [line] = points(charts.draw_steps(0.04 * np.arange(200_000), 8000, values, label="score"))
    assert min(y for _, y in line) == 0
    assert len(line) <= 6


def test_equal_values_and_recordings_of_no_duration_are_drawn():
    [line] = points(charts.draw_steps(np.array([0]), 0, np.array([0.0]), label="score", height=100))
    assert line == [(0, 100), (1000, 100)]


def test_a_threshold_above_all_values_is_inside_of_the_chart():
    svg = charts.draw_steps(np.array([0]), 10, np.array([0.5]), label="score", threshold=2.0)
    assert '<line class="threshold" x1="0" x2="1000" y1="0.0" y2="0.0"/>' in svg


def test_a_short_band_of_a_long_recording_is_visible():
    svg = charts.draw_steps(np.array([0]), 7200, np.array([0.5]), label="score", bands=[(3600.0, 3600.04)])
    assert 'x="500.0" y="0" width="2.0"' in svg


def test_a_chart_is_saved_as_a_file_of_its_own(tmp_path):
    charts.save_chart(charts.draw_steps(np.array([0]), 1.0, np.array([1.0]), label="score"), tmp_path / "steps.svg")
    assert ElementTree.parse(tmp_path / "steps.svg").getroot().tag == f"{SVG}svg"
    with pytest.raises(BadInput, match="there is no folder"):
        charts.save_chart("", tmp_path / "no" / "bars.svg")
