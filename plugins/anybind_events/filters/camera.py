"""Camera files in OpenCV's layout (YAML or JSON), as its calibration and that of ROS write them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anybind.plugin import BadInput

MAX_BYTES = 1 << 20
"""Largest camera file; real ones have a few kilobytes, with all corners of a calibration tens of them."""
MAX_NUMBER = 1e12
"""Largest number in a camera file; a whole number of hundreds of digits fits no float."""
PINHOLE, FISHEYE = "pinhole", "fisheye"
MODELS = {
    "plumb_bob": PINHOLE, "radtan": PINHOLE, "rational_polynomial": PINHOLE, "pinhole": PINHOLE,
    "equidistant": FISHEYE, "fisheye": FISHEYE,
}  # fmt: skip
"""Names of the distortion models in files."""
COEFFICIENTS = {PINHOLE: (0, 4, 5, 8, 12, 14), FISHEYE: (0, 4)}
"""Numbers of coefficients of the models; OpenCV's order: k1, k2, p1, p2, k3 to k6, s1 to s4, tilt; k1 to k4."""
MATRIX_NAMES = ("camera_matrix", "cameraMatrix", "K")
DISTORTION_NAMES = ("distortion_coefficients", "distCoeffs", "dist_coeffs", "D")
_LINE = re.compile(r"( *)([A-Za-z_][\w.-]*) *:(?: +(.*))?")


@dataclass(frozen=True)
class Camera:
    """A calibrated camera.

    Attributes:
        model: `pinhole` (with radial, tangential and thin-prism distortion) or `fisheye` (equidistant).
        focal: focal lengths in x and y, in pixels.
        centre: principal point, column and row, in pixels.
        distortion: coefficients in OpenCV's order; see `COEFFICIENTS`.
        size: width and height in pixels.

    Raises:
        BadInput: a number that is not finite, or no valid camera.
    """

    model: str
    focal: tuple[float, float]
    centre: tuple[float, float]
    distortion: tuple[float, ...]
    size: tuple[int, int]

    def __post_init__(self) -> None:
        for name, count in (("focal", 2), ("centre", 2), ("size", 2), ("distortion", None)):
            object.__setattr__(self, name, _check_numbers(name, getattr(self, name), count))
        if self.model not in COEFFICIENTS:
            raise BadInput(f"model: expected {PINHOLE} or {FISHEYE}, got {self.model!r}")
        if min(self.focal) <= 0:
            raise BadInput(
                f"camera matrix: expected focal lengths above 0, got {self.focal[0]:g} and {self.focal[1]:g}"
            )
        if min(self.size) < 1 or any(side != int(side) for side in self.size):
            raise BadInput(f"image size: expected whole numbers of pixels, got {self.size[0]:g}x{self.size[1]:g}")
        object.__setattr__(self, "size", tuple(map(int, self.size)))
        counts = COEFFICIENTS[self.model]
        if len(self.distortion) not in counts:
            expected = ", ".join(map(str, counts))
            raise BadInput(f"distortion: expected {expected} coefficients for {self.model}, got {len(self.distortion)}")
        if any(self.distortion[12:]):
            raise BadInput("distortion: a tilted sensor (coefficients 13 and 14) is not supported")


def read_camera(path: Path | str) -> Camera:
    """Read a camera file: OpenCV's `camera_matrix`, `distortion_coefficients`, `image_width` and `image_height`.

    `distortion_model` (of ROS) or `fisheye_model` (of OpenCV) select the model. [default: pinhole]

    Raises:
        BadInput: the file cannot be read, is neither YAML nor JSON in that layout, or has no valid camera.
    """
    path = Path(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise BadInput(f"{path}: expected a camera file of at most {MAX_BYTES >> 20} MiB")
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise BadInput(f"cannot read the camera file {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BadInput(f"{path}: expected a camera file as UTF-8 text, OpenCV's YAML or JSON") from error
    try:
        fields = json.loads(text) if text.lstrip().startswith("{") else _parse_yaml(text)
        return _make_camera(fields)
    except (BadInput, ValueError, RecursionError) as error:
        raise BadInput(f"{path}: not a valid camera file: {error}") from error


def _make_camera(fields: Mapping[str, Any]) -> Camera:
    matrix = _get_numbers(fields, MATRIX_NAMES)
    if len(matrix) != 9:
        raise BadInput(f"{MATRIX_NAMES[0]}: expected 3x3 numbers, got {len(matrix)}")
    if matrix[1] or list(matrix[3:9:3]) != [0, 0] or list(matrix[7:]) != [0, 1]:
        raise BadInput(f"{MATRIX_NAMES[0]}: expected [fx, 0, cx, 0, fy, cy, 0, 0, 1], got {list(matrix)}")
    for name in ("image_width", "image_height"):
        if name not in fields:
            raise BadInput(f"no {name}: add the sensor size of the calibration, in pixels")
    name = str(fields.get("distortion_model") or (FISHEYE if fields.get("fisheye_model") else PINHOLE))
    if name not in MODELS:
        raise BadInput(f"distortion_model: expected {', '.join(MODELS)}, got {name!r}")
    return Camera(
        MODELS[name],
        (matrix[0], matrix[4]),
        (matrix[2], matrix[5]),
        tuple(_get_numbers(fields, DISTORTION_NAMES)),
        (fields["image_width"], fields["image_height"]),
    )


def _get_numbers(fields: Mapping[str, object], names: Sequence[str]) -> Sequence[float]:
    """Return the numbers of the first field that is there: of a matrix, or a list of numbers or rows."""
    name = next((name for name in names if name in fields), None)
    if name is None:
        raise BadInput(f"no {names[0]}")
    value = fields[name]
    if isinstance(value, Mapping):
        rows, columns, value = value.get("rows", 1), value.get("cols"), value.get("data")
        shaped = isinstance(rows, int) and isinstance(columns, int)
        if not isinstance(value, list) or (columns is not None and not (shaped and rows * columns == len(value))):
            raise BadInput(f"{name}: expected data of {rows}x{columns} numbers")
    if isinstance(value, list) and value and all(isinstance(row, list) for row in value):
        value = [number for row in value for number in row]
    return _check_numbers(name, value)


def _check_numbers(name: str, values: object, count: int | None = None) -> tuple[float, ...]:
    valid = isinstance(values, list | tuple) and all(
        isinstance(each, int | float) and not isinstance(each, bool) and abs(each) <= MAX_NUMBER for each in values
    )
    if not valid or (count is not None and len(values) != count):  # pyright: ignore[reportArgumentType]
        raise BadInput(f"{name}: expected {'' if count is None else f'{count} '}finite numbers, got {str(values)[:80]}")
    return tuple(values)  # pyright: ignore[reportArgumentType]


def _parse_yaml(text: str) -> dict[str, object]:
    """Parse the YAML that OpenCV writes: numbers, names and matrices; other entries are skipped."""
    fields: dict[str, object] = {}
    inner: dict[str, object] | None = None
    text = re.sub(r"\[[^\]]*\]?", lambda match: " ".join(match.group().split()), text)  # data on one line
    for number, line in enumerate(text.splitlines(), 1):
        line = re.sub(r"(^|\s)#.*", "", line).rstrip()
        if not line or line.startswith(("%YAML", "---", "...")):
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            if line.lstrip().startswith(("-", "[")):  # lists of points, and the like
                continue
            raise BadInput(f"line {number}: expected NAME: VALUE as OpenCV writes it, got {line.strip()[:40]!r}")
        indent, name, value = match.groups()
        value = re.sub(r"^!!\S+ *", "", value or "")
        if not indent:
            inner = None
        target = fields if inner is None else inner
        if value:
            target[name] = _parse_scalar(value)
        elif not indent:
            fields[name] = inner = {}
    return fields


def _parse_scalar(text: str) -> object:
    text = re.sub(r"(?<=\d)\.(?=[\s,\]e]|$)", ".0", text.strip())  # OpenCV writes 1. for 1.0
    try:
        return json.loads(text)
    except ValueError:
        return text.strip("\"'")
