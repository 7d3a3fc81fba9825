"""Undistortion of events by camera files in OpenCV's layout, and invalid camera files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import anybind
from anybind.errors import BadInput, BadOption
from anybind_events.filters.camera import Camera, read_camera
from anybind_events.filters.undistort import compute_map, distort_points, undistort_points
from anybind_events.stream import EventStream
from helpers.streams import list_contents

OPENCV = """%YAML:1.0
---
calibration_time: "Mon 01 Jan 2024 10:00:00 AM"
nframes: 12
image_width: 64
image_height: 48
board_width: 9
# flags: +fix_aspect_ratio
flags: 2
fisheye_model: 0
camera_matrix: !!opencv-matrix
   rows: 3
   cols: 3
   dt: d
   data: [ 5.0e+01, 0., 31.5, 0., 50., 23.5, 0.,
       0., 1. ]
distortion_coefficients: !!opencv-matrix
   rows: 5
   cols: 1
   dt: d
   data: [ -3.0e-01, 1.0e-01, 1.0e-03, -2.0e-03, 0. ]
avg_reprojection_error: 1.2e-01
"""
ROS = """image_width: 64
image_height: 48
camera_name: davis
camera_matrix:
  rows: 3
  cols: 3
  data: [50.0, 0.0, 31.5, 0.0, 50.0, 23.5, 0.0, 0.0, 1.0]
distortion_model: plumb_bob
distortion_coefficients:
  rows: 1
  cols: 5
  data: [-0.3, 0.1, 0.001, -0.002, 0.0]
"""
MATRIX = [50.0, 0.0, 31.5, 0.0, 50.0, 23.5, 0.0, 0.0, 1.0]
COEFFICIENTS = [-0.3, 0.1, 0.001, -0.002, 0.0]
FIELDS = {
    "camera_matrix": {"type_id": "opencv-matrix", "rows": 3, "cols": 3, "dt": "d", "data": MATRIX},
    "distortion_coefficients": {"type_id": "opencv-matrix", "rows": 5, "cols": 1, "dt": "d", "data": COEFFICIENTS},
    "image_width": 64,
    "image_height": 48,
}
LISTS = {"K": [MATRIX[:3], MATRIX[3:6], MATRIX[6:]], "D": COEFFICIENTS, "image_width": 64, "image_height": 48}
CAMERA = Camera("pinhole", (50.0, 50.0), (31.5, 23.5), tuple(COEFFICIENTS), (64, 48))
CAMERAS = [
    CAMERA,
    Camera("pinhole", (50.0, 52.0), (30.0, 25.0), (0.1, -0.05, 0.0, 0.0, 0.01, 0.2, 0.01, 0.0), (64, 48)),
    Camera("pinhole", (80.0, 80.0), (31.5, 23.5), (-0.1, 0.0, 0.0, 0.0, *[0.0] * 4, 0.01, 0.0, -0.01, 0.0), (64, 48)),
    Camera("fisheye", (30.0, 30.0), (31.5, 23.5), (0.05, -0.01, 0.002, 0.0), (64, 48)),
]


def make_stream(width: int = 64, height: int = 48, events: int = 5_000) -> EventStream:
    random = np.random.default_rng(0)
    x, y = random.integers(0, width, events), random.integers(0, height, events)
    return EventStream(x, y, np.sort(random.integers(0, 10**6, events)), random.random(events) < 0.5, width, height)


@pytest.fixture
def camera_file(tmp_path: Path) -> Path:
    path = tmp_path / "camera.yaml"
    path.write_text(OPENCV)
    return path


@pytest.mark.parametrize("text", [OPENCV, ROS, json.dumps(FIELDS), json.dumps(LISTS, indent=1)])
def test_files_of_opencv_and_ros_describe_the_same_camera(tmp_path: Path, text: str):
    path = tmp_path / "camera"
    path.write_text(text)
    assert read_camera(path) == CAMERA


def test_the_distortion_model_is_that_of_the_file(tmp_path: Path):
    path = tmp_path / "camera.json"
    coefficients = FIELDS["distortion_coefficients"] | {"rows": 4, "data": [0.1, 0.0, 0.0, 0.0]}
    path.write_text(json.dumps(FIELDS | {"distortion_coefficients": coefficients, "fisheye_model": 1}))
    assert read_camera(path).model == "fisheye"
    path.write_text(json.dumps(FIELDS | {"distortion_coefficients": coefficients, "distortion_model": "equidistant"}))
    assert read_camera(path).model == "fisheye"


@pytest.mark.parametrize("camera", CAMERAS)
def test_undistorted_points_are_those_that_the_lens_distorts(camera: Camera):
    points = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 500))
    np.testing.assert_allclose(undistort_points(distort_points(points, camera), camera), points, atol=1e-6)


def test_distortion_is_that_of_the_published_formulas():
    radial = Camera("pinhole", (1.0, 1.0), (0.0, 0.0), (0.2, 0.0, 0.0, 0.0), (8, 8))
    np.testing.assert_allclose(distort_points(np.array([[0.3], [0.4]]), radial), [[0.3 * 1.05], [0.4 * 1.05]])
    tangential = Camera("pinhole", (1.0, 1.0), (0.0, 0.0), (0.0, 0.0, 0.1, 0.0), (8, 8))
    expected = [[0.3 + 2 * 0.1 * 0.12], [0.4 + 0.1 * (0.25 + 2 * 0.16)]]
    np.testing.assert_allclose(distort_points(np.array([[0.3], [0.4]]), tangential), expected)
    fisheye = Camera("fisheye", (1.0, 1.0), (0.0, 0.0), (0.0, 0.0, 0.0, 0.0), (8, 8))
    angle = np.arctan(0.5)
    np.testing.assert_allclose(distort_points(np.array([[0.3], [0.4]]), fisheye), [[0.6 * angle], [0.8 * angle]])


def test_each_event_moves_to_the_nearest_undistorted_pixel(camera_file: Path):
    stream = make_stream()
    moved = stream.filter(f"undistort:camera={camera_file}")
    columns, rows = (each.reshape(48, 64)[stream.y, stream.x] for each in compute_map(CAMERA))
    inside = (columns >= 0) & (rows >= 0)
    expected = [columns[inside], rows[inside], stream.t[inside], stream.p[inside]]
    assert list_contents(moved) == (*(column.tolist() for column in expected), 64, 48)
    assert 0.5 < len(moved) / len(stream) < 1


def test_a_lens_without_distortion_keeps_all_events():
    stream = make_stream()
    same = stream.filter("undistort:focal=[50,50]:centre=[31.5,23.5]:size=[64,48]")
    assert list_contents(same) == list_contents(stream)


def test_the_settings_are_the_camera_and_not_the_file(camera_file: Path):
    before = anybind.plugin.windows.WindowOptions(filters=f"undistort:camera={camera_file}").resolve_filters()
    assert "camera" not in before.filters
    camera_file.write_text(OPENCV.replace("-3.0e-01", "-2.0e-01"))
    after = anybind.plugin.windows.WindowOptions(filters=f"undistort:camera={camera_file}").resolve_filters()
    assert before.filters != after.filters
    assert after.filters == before.filters.replace("-0.3", "-0.2")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no camera_matrix"),
        ("\x00\x01\x02", "expected NAME: VALUE"),
        ("{", "not a valid camera file"),
        ("[" * 100_000, "not a valid camera file"),
        ('{"a":' * 100_000, "not a valid camera file"),
        ("just a text", "line 1: expected NAME: VALUE as OpenCV writes it, got 'just a text'"),
        (OPENCV.replace("image_width", "width"), "no image_width: add the sensor size"),
        (OPENCV.replace("5.0e+01", ".nan"), "camera_matrix: expected data of 3x3 numbers"),
        (json.dumps(LISTS | {"D": [float("nan")] * 5}), "D: expected finite numbers"),
        (OPENCV.replace("5.0e+01", "-5.0e+01"), "expected focal lengths above 0, got -50 and 50"),
        (OPENCV.replace("rows: 3", "rows: 2"), "camera_matrix: expected data of 2x3 numbers"),
        (OPENCV.replace("-3.0e-01, ", ""), "distortion_coefficients: expected data of 5x1 numbers"),
        (ROS.replace("plumb_bob", "division"), "distortion_model: expected plumb_bob"),
        (ROS.replace("0.0, 31.5", "0.7, 31.5"), r"expected \[fx, 0, cx"),
        (json.dumps(FIELDS | {"image_width": "wide"}), "size: expected 2 finite numbers"),
        (json.dumps(FIELDS | {"image_width": 0}), "image size: expected whole numbers"),
        (json.dumps(LISTS | {"D": [1, 2, 3]}), "distortion: expected 0, 4, 5, 8, 12, 14 coefficients"),
        (json.dumps(LISTS | {"D": [0.0] * 13 + [0.1]}), "a tilted sensor"),
        (json.dumps([FIELDS]), "not a valid camera file"),
    ],
)
def test_a_file_that_is_no_camera_is_an_error_of_one_line(tmp_path: Path, text: str, message: str):
    path = tmp_path / "camera.yaml"
    path.write_text(text)
    with pytest.raises(BadInput, match=message) as error:
        read_camera(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", [OPENCV, ROS, json.dumps(FIELDS), json.dumps(LISTS)])
def test_a_damaged_file_is_a_camera_or_an_error_of_one_line(tmp_path: Path, text: str):
    path, random = tmp_path / "camera", np.random.default_rng(0)
    pieces = ["[", "]", "{", "}", ":", ",", "\n", "-", "e", '"', "null", "true", "1e999", "9" * 400, "\0", "#", " "]
    for _ in range(1_500):
        damaged = text
        for _ in range(random.integers(1, 4)):
            first = int(random.integers(len(damaged)))
            last = first + int(random.integers(0, 9))
            damaged = damaged[:first] + str(random.choice(pieces)) + damaged[last:]
        path.write_text(damaged)
        try:
            outcome = read_camera(path)
        except BadInput as error:
            outcome = str(error)
        assert isinstance(outcome, Camera) or "\n" not in outcome
        if isinstance(outcome, Camera) and outcome.size == (64, 48):
            columns, rows = compute_map(outcome)
            assert ((columns == -1) == (rows == -1)).all()
            assert columns.max() < 64
            assert rows.max() < 48


def test_a_camera_file_is_read_to_a_limit_and_as_text(tmp_path: Path):
    with pytest.raises(BadInput, match="cannot read the camera file"):
        read_camera(tmp_path / "missing.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(BadInput, match="expected a camera file as UTF-8"):
        read_camera(tmp_path / "binary.yaml")
    (tmp_path / "large.yaml").write_text("#" * (2 << 20))
    with pytest.raises(BadInput, match="at most 1 MiB"):
        read_camera(tmp_path / "large.yaml")


def test_the_camera_of_another_sensor_is_an_error(camera_file: Path):
    with pytest.raises(BadInput, match="64x48 pixels, expected 32x24 as the recording's"):
        make_stream(32, 24).filter(f"undistort:camera={camera_file}")


def test_a_camera_is_a_file_or_numbers(camera_file: Path):
    for options in ("undistort", f"undistort:camera={camera_file}:focal=[1,1]"):
        with pytest.raises(BadOption, match="expected a camera file"):
            make_stream().filter(options)


def test_a_commands_camera_file_is_checked_before_the_recording_is_read(cli, camera_file: Path, tmp_path: Path):
    anybind.write(make_stream(32, 24), tmp_path / "small.npz")
    error = cli("convert", tmp_path / "small.npz", tmp_path / "out.npz", "--filter", f"undistort:camera={camera_file}")
    assert "64x48" in error.error()
    assert not (tmp_path / "out.npz").exists()
    camera_file.write_text("nonsense")
    error = cli("convert", tmp_path / "small.npz", tmp_path / "out.npz", "--filter", f"undistort:camera={camera_file}")
    assert "not a valid camera file" in error.error()
