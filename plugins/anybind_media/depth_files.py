"""The reader of depth maps: 16-bit and floating-point images, and arrays."""

from __future__ import annotations

import contextlib
import importlib
import math
import os
import re
import struct
import warnings
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import PIL.Image

from anybind import AnybindWarning
from anybind.plugin import BadInput, BadOption, Reader, errors, files, readers
from anybind_media.depth import DepthMap, check_positive

DECODED_BYTES = 24
"""About the peak memory of a pixel in bytes: stored number, metres, masks, and what an encoder makes of them."""
BAND_PIXELS = 1 << 20
PNG, NPY, EXR = b"\x89PNG\r\n\x1a\n", b"\x93NUMPY", b"\x76\x2f\x31\x01"
TIFF = (b"II*\x00", b"MM\x00*")
PGM = re.compile(rb"P5(?:\s|#[^\n]*\n)+(\d{1,9})(?:\s|#[^\n]*\n)+(\d{1,9})(?:\s|#[^\n]*\n)+(\d{1,9})\s")
NPY_HEADER = re.compile(rb"'descr': '[<>|=][fiu]\d+', [^{}]*'shape': \((?:1, )?\d+, (\d+)(?:, 1)?\)")
"""Header of an NPY array with one number a pixel."""
NPY_FIELDS = re.compile(
    rb"\{'descr': '([<>|=][biufcSU]\d{1,5})', 'fortran_order': (True|False),"
    rb" 'shape': \(((?:\d{1,9}, ?)*\d{0,9})\), ?\}\s*"
)
"""Header of an NPY array of plain values, as NumPy writes it: type, order and sides."""
FARTHEST_MEDIAN = 200.0
"""Median depth in metres above which floats without a scale are doubted: no depth camera and few scenes reach it."""
EVENT_COLUMNS = 4
"""Width of arrays that hold events rather than a depth map."""
HEAD_BYTES = 4096
DEPTH_CHANNELS = ("z", "depth", "v", "y")
"""Names of the depth channel in OpenEXR, case-insensitive, after an optional layer name."""
EXR_TYPES = ("<u4", "<f2", "<f4")
"""Types of OpenEXR's channels by their number."""
MAX_EXR_HEADER_BYTES = 1 << 20


@dataclass(frozen=True)
class DepthPreset:
    """The depth format of a dataset or camera.

    Attributes:
        scale: metres per integer unit.
        fx: focal length in pixels; None if it depends on the camera's mode.
        baseline: stereo baseline in metres; None for datasets with several cameras.
        rotated: the 16 bits of a depth are stored rotated left by three.
        farthest: upper clipping bound of depth in metres; None for no clipping.
    """

    scale: float = 0.001
    fx: float | None = None
    baseline: float | None = None
    rotated: bool = False
    farthest: float | None = None


PRESETS = MappingProxyType(
    {
        "tum": DepthPreset(scale=1 / 5000, fx=525.0, baseline=0.075),
        "nyu": DepthPreset(fx=518.857901, baseline=0.075),
        "kinect-v1": DepthPreset(baseline=0.075),
        "kinect-v2": DepthPreset(baseline=0.075),
        "realsense": DepthPreset(baseline=0.095),
        "xtion": DepthPreset(baseline=0.095),
        "sun-rgbd": DepthPreset(rotated=True, farthest=8.0),
    }
)
"""Presets by name; the focal length of `tum` is that of TUM RGB-D's default camera."""


class DepthReader(Reader):
    """A reader of depth maps; files that may also be images are read as depth only on request."""

    def sniff(self, head: bytes) -> bool | None:
        if head.startswith(PNG):
            return None if len(head) > 25 and head[25] == 0 else False  # a colour image holds no depth
        if head.startswith(NPY):
            shape = NPY_HEADER.search(head)
            return None if shape and int(shape[1]) != EVENT_COLUMNS else False
        if head.startswith(TIFF):
            return None
        return head.startswith(EXR) or PGM.match(head) is not None

    def read(
        self,
        path: Path,
        *,
        preset: str | None = None,
        scale: float | None = None,
        fx: float | None = None,
        baseline: float | None = None,
        max_pixels: int = files.MAX_IMAGE_PIXELS,
    ) -> DepthMap:
        """Read a depth map; 0 and non-finite values are unknown depths.

        Warns of floats without `scale` that would be distances of hundreds of metres: they may be millimetres.
        Disparities cannot be distinguished from depths: reading them exchanges near and far.

        Args:
            path: depth file.
            preset: integer format and camera, one of `PRESETS`; other options take precedence.
            scale: metres per unit; required for integers without a preset. [default: 1 for floats]
            fx: focal length in pixels.
            baseline: stereo baseline in metres.
            max_pixels: largest width times height that the file may declare, checked before decoding.
                [default: 67,108,864]

        Raises:
            BadInput: the file is truncated, corrupt, 8-bit, not one number a pixel, or has negative depths or integers
                of unknown unit.
            BadOption: an unknown preset, `max_pixels` less than 1, or a number that is not positive.
            MissingExtra: an OpenEXR file without the package that reads it.
        """
        depth_preset = _find_preset(preset)
        stored = _read_values(path, max_pixels)
        if stored.dtype.kind == "f":
            with np.errstate(over="ignore", invalid="ignore"):  # values beyond float32 and NaN are unknown depths
                metres = stored.astype(np.float32) * np.float32(check_positive("scale", scale) or 1.0)
            if scale is None:
                _warn_of_millimetres(path, metres)
        else:
            metres = _convert_to_metres(path, stored, depth_preset, check_positive("scale", scale))
        metres[~np.isfinite(metres) | (metres == 0)] = np.nan
        if (metres < 0).any():
            raise BadInput(f"{path}: expected depths in metres, got negative values down to {np.nanmin(metres):g}")
        if depth_preset is not None and depth_preset.farthest is not None:
            np.minimum(metres, np.float32(depth_preset.farthest), out=metres)
        camera = depth_preset or DepthPreset()
        return DepthMap(
            metres, fx=camera.fx if fx is None else fx, baseline=camera.baseline if baseline is None else baseline
        )

    def write(self, sample: DepthMap, path: Path) -> None:
        """Write depth in metres as float32 NPY or TIFF, without intrinsics; other formats lose depth or its unit."""
        if path.suffix.lower() == ".npy":
            with path.open("wb") as file:
                np.save(file, sample.metres, allow_pickle=False)
        elif path.suffix.lower() in (".tif", ".tiff"):
            PIL.Image.fromarray(np.ascontiguousarray(sample.metres)).save(path, compression="tiff_deflate")
        else:
            raise BadInput(f"{path}: unsupported depth format; supported: .npy, .tif, .tiff (float32 metres)")


def _warn_of_millimetres(path: Path, metres: np.ndarray) -> None:
    depths = metres[np.isfinite(metres) & (metres > 0)]
    if depths.size and (median := float(np.median(depths))) > FARTHEST_MEDIAN:
        warnings.warn(
            f"{path}: floats are read as metres, and half of them exceed {median:,.0f} m; if they are millimetres, set"
            " scale=0.001",
            AnybindWarning,
            stacklevel=4,
        )


def _find_preset(name: str | None) -> DepthPreset | None:
    if name is None:
        return None
    if name not in PRESETS:
        raise BadOption(f"there is no depth preset {name!r}{errors.suggest_names(str(name), PRESETS)}")
    return PRESETS[name]


def _convert_to_metres(path: Path, stored: np.ndarray, preset: DepthPreset | None, scale: float | None) -> np.ndarray:
    """Convert integers to metres."""
    if stored.dtype.itemsize == 1:
        raise BadInput(
            f"{path}: expected at least 16 bits per depth, got 8 (too coarse, often a colour image); save it in 16 bits"
        )
    if preset is None and scale is None:
        raise BadInput(
            f"{path}: integer depths of unknown unit; set scale= (metres per unit) or preset="
            f" ({', '.join(PRESETS)}), as in anybind.read({os.fspath(path)!r}, reader='depth', scale=0.001)"
        )
    if preset is not None and preset.rotated:
        if stored.dtype.itemsize != 2:
            raise BadInput(f"{path}: expected 16-bit integers for a preset with rotated bits, got {stored.dtype}")
        bits = stored.astype(np.uint16)
        stored = (bits >> 3) | (bits << 13)
    metres, factor = np.empty(stored.shape, np.float32), np.float64(scale or (preset or DepthPreset()).scale)
    rows = max(1, BAND_PIXELS // stored.shape[1])
    for top in range(0, len(stored), rows):  # in bands, since products are float64
        metres[top : top + rows] = stored[top : top + rows] * factor
    return metres


def _read_values(path: Path, max_pixels: int) -> np.ndarray:
    """Read the stored numbers, (height, width)."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    try:
        if head.startswith(NPY):
            stored = _read_npy(path, head, max_pixels)
        elif head.startswith(EXR):
            stored = _read_exr(path, max_pixels)
        elif header := PGM.match(head):
            stored = _read_pgm(path, header, max_pixels)
        else:
            stored = _read_image(path, max_pixels)
    except (BadInput, BadOption, errors.MissingExtra):
        raise
    except Exception as error:  # decoders raise various types for damaged files
        reason = " ".join(str(error).split()) or type(error).__name__
        raise BadInput(f"{path}: incomplete depth map: {reason}; save it again") from error
    if stored.ndim != 2 or not stored.size or stored.dtype.kind not in "fiu":
        raise BadInput(f"{path}: expected one number per pixel, got {stored.dtype} {stored.shape}")
    return stored


def _read_npy(path: Path, head: bytes, max_pixels: int) -> np.ndarray:
    place = 10 if head[6:7] == b"\1" else 12  # version 1 has a length of two bytes, others of four
    start = place + int.from_bytes(head[8:place], "little")
    header = NPY_FIELDS.fullmatch(head, place, start)  # NumPy's own parser warns of some damage
    if header is None:
        raise ValueError("expected an array of plain numbers, got a damaged NPY header, or one of other data")
    shape, dtype = [int(side) for side in header[3].split(b",") if side.strip()], np.dtype(header[1].decode())
    if len(shape) == 3 and 1 in (shape[0], shape[2]):
        shape.remove(1)
    if len(shape) != 2:
        raise BadInput(f"{path}: expected one number per pixel, got {dtype} {tuple(shape)}")
    _check_size(path, shape[1], shape[0], max_pixels)
    order = "F" if header[2] == b"True" else "C"
    return np.fromfile(path, dtype, math.prod(shape), offset=start).reshape(shape, order=order)


def _check_size(path: Path, width: int, height: int, max_pixels: int) -> None:
    """Check a declared size, and reserve its memory."""
    files.check_pixels(path, width, height, max_pixels)
    readers.reserve_memory(DECODED_BYTES * width * height)


def _read_pgm(path: Path, header: re.Match[bytes], max_pixels: int) -> np.ndarray:
    # Pillow would rescale levels to the full range if the header's maximum is below 65535.
    width, height, largest = (int(number) for number in header.groups())
    _check_size(path, width, height, max_pixels)
    dtype = np.dtype(np.uint8 if largest < 256 else ">u2")
    available = path.stat().st_size - header.end()
    if available < width * height * dtype.itemsize:
        raise BadInput(
            f"{path}: truncated at byte {header.end() + available}: expected {width * height * dtype.itemsize} bytes"
            f" for {width}x{height} pixels, got {available}; copy it again"
        )
    levels = np.fromfile(path, dtype, width * height, offset=header.end())
    return levels.reshape(height, width).astype(dtype.newbyteorder("="))


def _read_image(path: Path, max_pixels: int) -> np.ndarray:
    with files.ignore_image_warnings(), files.lift_pillow_limit(), files.open_image(path, max_pixels) as image:
        if not (image.mode in ("L", "F") or image.mode.startswith("I")):
            raise BadInput(
                f"{path}: expected a gray image of depths, got colours ({image.mode}); save 16-bit gray or an array"
            )
        _check_size(path, image.width, image.height, max_pixels)
        image.load()
        return np.asarray(image)


def _read_exr(path: Path, max_pixels: int) -> np.ndarray:
    try:
        exr = importlib.import_module("OpenEXR")
    except ModuleNotFoundError as error:
        raise errors.MissingExtra(f"{path}: OpenEXR needs the package 'OpenEXR': pip install 'anybind[exr]'") from error
    (left, top, right, bottom), channels = _read_exr_header(path)
    width, height = right - left + 1, bottom - top + 1
    _check_size(path, width, height, max_pixels)
    for channel in DEPTH_CHANNELS:
        for name, dtype in channels.items():
            if name.rpartition(".")[2].lower() == channel:
                # `exr.File` would print damage, and return pixels that it did not read.
                with contextlib.closing(exr.InputFile(os.fspath(path))) as file:
                    return np.frombuffer(file.channel(name), dtype).reshape(height, width)
    raise BadInput(
        f"{path}: expected a depth channel ({', '.join(DEPTH_CHANNELS)}), got {', '.join(channels)}; save depth as Z"
    )


def _read_exr_header(path: Path) -> tuple[tuple[int, ...], dict[str, np.dtype]]:
    """Return left, top, right and bottom of an OpenEXR file's first part, inclusive, and the types of its channels.

    The library's own parsers of headers crash on damaged ones. Source: OpenEXR's description of the file layout.
    """
    with path.open("rb") as file:
        rest = file.read(MAX_EXR_HEADER_BYTES)[8:]
    attributes: dict[bytes, bytes] = {}
    while not rest.startswith(b"\0"):
        name, _, rest = rest.split(b"\0", 2)
        size = int.from_bytes(rest[:4], "little")
        attributes[name], rest = rest[4 : 4 + size], rest[4 + size :]
    channels, listed = {}, attributes[b"channels"]
    while not listed.startswith(b"\0"):  # a name, the type, two flags and the sampling
        name, listed = listed.split(b"\0", 1)
        channels[name.decode()] = np.dtype(EXR_TYPES[listed[0]])
        listed = listed[16:]
    return struct.unpack("<4i", attributes[b"dataWindow"]), channels
