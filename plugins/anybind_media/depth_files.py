"""The reader of depth maps: 16-bit and floating-point images, and arrays."""

from __future__ import annotations

import importlib
import os
import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import PIL.Image

from anybind.plugin import BadInput, BadOption, Reader, errors, files, readers
from anybind_media.depth import DepthMap, check_positive

DECODED_BYTES = 24
"""About the peak memory of a pixel in bytes: stored number, metres, masks, and what an encoder makes of them."""
BAND_PIXELS = 1 << 20
PNG, NPY, EXR = b"\x89PNG\r\n\x1a\n", b"\x93NUMPY", b"\x76\x2f\x31\x01"
TIFF = (b"II*\x00", b"MM\x00*")
PGM = re.compile(rb"P5(?:\s+|#[^\n]*\n)+(\d+)(?:\s+|#[^\n]*\n)+(\d+)(?:\s+|#[^\n]*\n)+(\d+)\s")
NPY_HEADER = re.compile(rb"'descr': '[<>|=][fiu]\d+', [^{}]*'shape': \((?:1, )?\d+, (\d+)(?:, 1)?\)")
"""Header of an NPY array with one number a pixel."""
EVENT_COLUMNS = 4
"""Width of arrays that hold events rather than a depth map."""
HEAD_BYTES = 4096
DEPTH_CHANNELS = ("z", "depth", "v", "y")
"""Names of the depth channel in OpenEXR, case-insensitive, after an optional layer name."""


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

    signatures = (PNG, NPY, *TIFF, EXR, b"P5")

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
            stored = _read_npy(path, max_pixels)
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


def _read_npy(path: Path, max_pixels: int) -> np.ndarray:
    mapped = np.load(path, mmap_mode="r", allow_pickle=False)  # fails if the header claims more than the file has
    if mapped.ndim == 3 and 1 in (mapped.shape[0], mapped.shape[2]):
        mapped = mapped[0] if mapped.shape[0] == 1 else mapped[..., 0]
    if mapped.ndim != 2:
        raise BadInput(f"{path}: expected one number per pixel, got {mapped.dtype} {mapped.shape}")
    _check_size(path, mapped.shape[1], mapped.shape[0], max_pixels)
    return np.array(mapped)


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
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's warnings on sizes and tags; it raises on unreadable files
        with files.lift_pillow_limit(), files.open_image(path, max_pixels) as image:
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
    with exr.File(os.fspath(path), header_only=True) as file:
        for part in file.parts:  # all channels of all parts are decoded
            first, last = part.header["dataWindow"]
            width, height = (int(each) for each in np.asarray(last, np.int64) - first + 1)
            _check_size(path, width, height * len(part.header["channels"]), max_pixels)
    with exr.File(os.fspath(path), separate_channels=True) as file:
        channels = file.channels()
        for channel in DEPTH_CHANNELS:
            for name in channels:
                if name.rpartition(".")[2].lower() == channel:
                    return np.array(channels[name].pixels)
        names = ", ".join(channels)
    raise BadInput(f"{path}: expected a depth channel ({', '.join(DEPTH_CHANNELS)}), got {names}; save depth as Z")
