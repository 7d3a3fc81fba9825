"""Filters as texts: names and options, and their settings."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anybind.errors import BadOption, UnknownName
from anybind.filtering import format_filters, parse_filters
from anybind.plugin import windows

VALUES = st.one_of(
    st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(), st.lists(st.integers())
)
OPTIONS = st.dictionaries(st.from_regex(r"[a-z_][a-z0-9_]*", fullmatch=True), VALUES, max_size=3)
NAMES = st.from_regex(r"[a-z][a-z0-9-]*", fullmatch=True)


def test_names_are_separated_by_commas_and_options_by_colons():
    assert parse_filters("background-activity:duration_us=2000:same_polarity=false, hot-pixel") == [
        ("background-activity", {"duration_us": 2000, "same_polarity": False}),
        ("hot-pixel", {}),
    ]
    assert parse_filters("") == []


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("undistort:camera=C:/cameras/left.yaml", "C:/cameras/left.yaml"),
        ('undistort:camera="left,right:1.yaml"', "left,right:1.yaml"),
        ("undistort:camera=[1, 2.5,-3]", [1, 2.5, -3]),
        ("undistort:camera=on", "on"),
    ],
)
def test_a_value_may_contain_separators(text: str, value: object):
    assert parse_filters(text) == [("undistort", {"camera": value})]


@given(st.lists(st.tuples(NAMES, OPTIONS), max_size=3))
def test_a_formatted_text_is_parsed_to_the_same_filters(filters: list[tuple[str, dict[str, object]]]):
    assert parse_filters(format_filters(filters)) == filters


@pytest.mark.parametrize("text", ["hot-pixel,", ",hot-pixel", "hot-pixel,,refractory", "hot-pixel:10"])
def test_a_text_of_another_form_is_an_error(text: str):
    with pytest.raises(BadOption, match="--filter: expected"):
        parse_filters(text)


def test_resolved_options_have_all_settings_and_stay_the_same():
    options = windows.WindowOptions(filters="refractory").resolve_filters()
    assert options.filters == "refractory:period_us=1000"
    assert options.resolve_filters() == options
    assert windows.WindowOptions().resolve_filters() == windows.WindowOptions()


def test_an_unknown_filter_is_reported_with_the_nearest_name():
    with pytest.raises(UnknownName, match="refractory"):
        windows.WindowOptions(filters="refractoy").resolve_filters()
