"""`undistort`: move events to where a lens without distortion would have put them."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

import numpy as np

from anybind.plugin import BadInput, BadOption
from anybind_events.filter import Filter, FilterRun
from anybind_events.filters.blocks import append_mapped
from anybind_events.filters.camera import FISHEYE, PINHOLE, Camera, read_camera
from anybind_events.filters.kernels import map_pixels
from anybind_events.stream import EventStream

ITERATIONS = 30
MAX_ERROR = 0.01
"""Largest distance of a solution from its pixel, in pixels; where the iteration does not get there, there is none."""


class Undistort(Filter):
    """A filter that undoes the distortion of the lens, by a camera file or by its numbers.

    Each event moves to the pixel nearest to the undistorted position of its pixel's centre, under the same camera
    matrix, as OpenCV's `undistort` does with images; events that leave the sensor are dropped. Models and order of the
    coefficients are OpenCV's ("Camera calibration and 3D reconstruction", "Fisheye camera model"; Kannala and Brandt,
    TPAMI 2006). The inverse is found by Newton's method.
    """

    def __init__(
        self,
        camera: str = "",
        *,
        model: str = PINHOLE,
        focal: Sequence[float] = (),
        centre: Sequence[float] = (),
        distortion: Sequence[float] = (),
        size: Sequence[int] = (),
    ) -> None:
        """Set the camera.

        Args:
            camera: a camera file in OpenCV's layout, YAML or JSON, instead of all others; see `read_camera`.
            model: `pinhole` or `fisheye`.
            focal, centre: focal lengths and principal point, in x and y, in pixels.
            distortion: coefficients of the model in OpenCV's order.
            size: width and height of the sensor, in pixels.

        Raises:
            BadInput: the file is not a valid camera file, or the numbers do not describe one.
            BadOption: neither a file nor numbers, or both.
        """
        if bool(camera) == bool(focal or centre or distortion or size):
            raise BadOption("undistort: expected a camera file (camera=camera.yaml) or focal, centre and size")
        self.camera = (
            read_camera(camera)
            if camera
            else Camera(model, tuple(focal), tuple(centre), tuple(distortion), tuple(size))  # pyright: ignore[reportArgumentType]
        )

    @property
    def settings(self) -> Mapping[str, object]:
        return {name: list(value) if isinstance(value, tuple) else value for name, value in vars(self.camera).items()}

    def start(self, width: int, height: int) -> FilterRun:
        if self.camera.size != (width, height):
            raise BadInput(
                f"undistort: the camera file is of a sensor of {self.camera.size[0]}x{self.camera.size[1]} pixels,"
                f" expected {width}x{height} as the recording's"
            )
        columns, rows = compute_map(self.camera)

        def move(block: EventStream, x: np.ndarray, y: np.ndarray, marks: np.ndarray) -> None:
            map_pixels(block.x, block.y, width, columns, rows, x, y, marks)

        return lambda stream: append_mapped(stream, move)


@functools.lru_cache(maxsize=4)
def compute_map(camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """Return the undistorted column and row of each pixel, (width * height,) int32; -1 outside the sensor."""
    width, height = camera.size
    rows, columns = np.divmod(np.arange(width * height), width)
    points = np.stack([columns, rows]).astype(np.float64)
    focal, centre = np.array(camera.focal)[:, None], np.array(camera.centre)[:, None]
    undistorted = undistort_points((points - centre) / focal, camera) * focal + centre
    with np.errstate(invalid="ignore"):
        x, y = np.rint(undistorted)
        inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)  # False for NaN
    return np.where(inside, x, -1).astype(np.int32), np.where(inside, y, -1).astype(np.int32)


def undistort_points(points: np.ndarray, camera: Camera) -> np.ndarray:
    """Return points without distortion, (2, n), in units of the focal length; NaN where there is no solution."""
    if not any(camera.distortion):
        return points
    solve = _undistort_fisheye if camera.model == FISHEYE else _undistort_pinhole
    with np.errstate(all="ignore"):
        solution, error = solve(points, camera)
        return np.where(np.hypot(*(error * np.array(camera.focal)[:, None])) <= MAX_ERROR, solution, np.nan)


def distort_points(points: np.ndarray, camera: Camera) -> np.ndarray:
    """Return points, (2, n) in units of the focal length, with the distortion of the lens."""
    x, y = points
    if camera.model == FISHEYE:
        radius = np.hypot(x, y)
        angle = np.arctan(radius)
        return points * np.where(radius > 0, _bend(angle, camera.distortion) / np.maximum(radius, 1e-12), 1)
    k1, k2, p1, p2, k3, k4, k5, k6, s1, s2, s3, s4, *_ = (*camera.distortion, *[0.0] * 14)
    r2 = x * x + y * y
    radial = (1 + r2 * (k1 + r2 * (k2 + r2 * k3))) / (1 + r2 * (k4 + r2 * (k5 + r2 * k6)))
    return np.stack(
        [
            x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x) + r2 * (s1 + r2 * s2),
            y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y + r2 * (s3 + r2 * s4),
        ]
    )


def _undistort_pinhole(points: np.ndarray, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """Solve by Newton's method with a numerical Jacobian; return the solution and its error."""
    guess, step = points.copy(), 1e-6
    for _ in range(ITERATIONS):
        value = distort_points(guess, camera)
        error = value - points
        if np.abs(error).max() < 1e-9:
            break
        x, y = guess
        dx = (distort_points(np.stack([x + step, y]), camera) - value) / step
        dy = (distort_points(np.stack([x, y + step]), camera) - value) / step
        determinant = dx[0] * dy[1] - dy[0] * dx[1]
        move = np.stack([dy[1] * error[0] - dy[0] * error[1], dx[0] * error[1] - dx[1] * error[0]]) / determinant
        guess = np.where(np.isfinite(move), guess - move, points)
    return guess, distort_points(guess, camera) - points


def _bend(angle: np.ndarray, k: Sequence[float]) -> np.ndarray:
    """Return the distorted angle of the equidistant model."""
    a2 = angle * angle
    return angle * (1 + a2 * (k[0] + a2 * (k[1] + a2 * (k[2] + a2 * k[3]))))


def _undistort_fisheye(points: np.ndarray, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    distorted = np.hypot(*points)
    angle, step = distorted.copy(), 1e-6
    for _ in range(ITERATIONS):
        value = _bend(angle, camera.distortion)
        angle = angle - (value - distorted) * step / (_bend(angle + step, camera.distortion) - value)
    angle = np.where((angle >= 0) & (angle < np.pi / 2), angle, np.nan)  # light from behind has no place
    scale = np.where(distorted > 0, np.tan(angle) / np.maximum(distorted, 1e-12), 1)
    solution = points * scale
    return solution, distort_points(solution, camera) - points
