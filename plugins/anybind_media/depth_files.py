"""The reader of depth maps: pictures of 16 bits, arrays and pictures of floating-point numbers."""

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

from anybind.plugin import BadInput, BadOption, Reader, errors, files
from anybind_media.depth import DepthMap, positive

LARGEST = 1 << 27
"""Most pixels of a map: a damaged header must not make arrays of gigabytes."""
PNG, NPY, EXR = b"\x89PNG\r\n\x1a\n", b"\x93NUMPY", b"\x76\x2f\x31\x01"
TIFF = (b"II*\x00", b"MM\x00*")
PGM = re.compile(rb"P5(?:\s+|#[^\n]*\n)+(\d+)(?:\s+|#[^\n]*\n)+(\d+)(?:\s+|#[^\n]*\n)+(\d+)\s")
NPY_MAP = re.compile(rb"'descr': '[<>|=][fiu]\d+', [^{}]*'shape': \((?:1, )?\d+, (\d+)(?:, 1)?\)")
"""What an array of one number a pixel says of itself."""
EVENT_COLUMNS = 4
"""How wide arrays are that hold events and no map."""
HEAD_BYTES = 4096
DEPTH_CHANNELS = ("z", "depth", "v", "y")
"""What the channel of depth may be called in OpenEXR, in either case and behind the name of a layer."""


@dataclass(frozen=True)
class Preset:
    """How a data set or a camera stores depth.

    Attributes:
        scale: metres of one unit of a whole number.
        fx: focal length in pixels; None where it depends on the camera's mode, and must be given to be known.
        baseline: distance of the camera's two eyes in metres; None where the data set has several cameras.
        rotated: whether the 16 bits of a depth are stored turned left by three.
        farthest: depth in metres that what is farther is taken for; None for none.
    """

    scale: float = 0.001
    fx: float | None = None
    baseline: float | None = None
    rotated: bool = False
    farthest: float | None = None


PRESETS = MappingProxyType(
    {
        "tum": Preset(scale=1 / 5000, fx=525.0, baseline=0.075),
        "nyu": Preset(fx=518.857901, baseline=0.075),
        "kinect-v1": Preset(baseline=0.075),
        "kinect-v2": Preset(baseline=0.075),
        "realsense": Preset(baseline=0.095),
        "xtion": Preset(baseline=0.095),
        "sun-rgbd": Preset(rotated=True, farthest=8.0),
    }
)
"""By name; `tum` has the focal length that TUM RGB-D gives for its default camera."""


class DepthReader(Reader):
    """Depth maps. Of a file that may also be a picture, only whoever asks for depth can tell."""

    def sniff(self, head: bytes) -> bool | None:
        if head.startswith(PNG):
            return None if len(head) > 25 and head[25] == 0 else False  # a picture in colour holds no depth
        if head.startswith(NPY):
            shape = NPY_MAP.search(head)
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
    ) -> DepthMap:
        """The depth map. 0 and what is no finite number stand for a depth that is not known.

        A disparity that was saved in place of a depth cannot be told from one: near and far are then exchanged.

        Args:
            path: the file.
            preset: how whole numbers are stored, and the camera: one of `PRESETS`. What is given beside it goes first.
            scale: metres of one unit of the file. Needed for whole numbers, unless a preset gives it; 1 for
                floating-point numbers.
            fx: focal length in pixels.
            baseline: distance of the camera's two eyes in metres.

        Raises:
            BadInput: the file is truncated, corrupt, of 8 bits, no map of one number a pixel, holds negative depths,
                or whole numbers whose unit was not given.
            BadOption: there is no such preset, or a number is not above 0.
            MissingExtra: the file is OpenEXR, and the package that reads it is not installed.
        """
        chosen = _preset(preset)
        stored = _stored(path)
        if stored.dtype.kind == "f":
            with np.errstate(over="ignore", invalid="ignore"):  # what is beyond float32, or no number, is not known
                metres = stored.astype(np.float32) * np.float32(positive("scale", scale) or 1.0)
        else:
            metres = _metres(path, stored, chosen, positive("scale", scale))
        metres[~np.isfinite(metres) | (metres == 0)] = np.nan
        if (metres < 0).any():
            raise BadInput(f"{path} holds negative depths, down to {np.nanmin(metres):g}; it is no depth map in metres")
        if chosen is not None and chosen.farthest is not None:
            np.minimum(metres, np.float32(chosen.farthest), out=metres)
        known = chosen or Preset()
        return DepthMap(
            metres, fx=known.fx if fx is None else fx, baseline=known.baseline if baseline is None else baseline
        )

    def write(self, sample: DepthMap, path: Path) -> None:
        """Write the metres as float32, NPY or TIFF; intrinsics are not kept. Other formats lose depth or its unit."""
        if path.suffix.lower() == ".npy":
            with path.open("wb") as file:
                np.save(file, sample.metres, allow_pickle=False)
        elif path.suffix.lower() in (".tif", ".tiff"):
            PIL.Image.fromarray(np.ascontiguousarray(sample.metres)).save(path, compression="tiff_deflate")
        else:
            raise BadInput("depth is written as .npy or .tiff, in float32 metres")


def _preset(name: str | None) -> Preset | None:
    if name is None:
        return None
    if name not in PRESETS:
        raise BadOption(f"there is no preset {name!r} of depth{errors.suggest_names(str(name), PRESETS)}")
    return PRESETS[name]


def _metres(path: Path, stored: np.ndarray, preset: Preset | None, scale: float | None) -> np.ndarray:
    """Whole numbers as metres."""
    if stored.dtype.itemsize == 1:
        raise BadInput(
            f"{path} holds depths of 8 bits, which are too coarse, and often no depths but colours; save it in 16 bits"
        )
    if preset is None and scale is None:
        raise BadInput(
            f"{path} holds whole numbers and does not say their unit; give scale= (metres of one unit) or preset="
            f" ({', '.join(PRESETS)}), as in anybind.read({os.fspath(path)!r}, reader='depth', scale=0.001)"
        )
    if preset is not None and preset.rotated:
        if stored.dtype.itemsize != 2:
            raise BadInput(f"{path} holds {stored.dtype}; depths that are stored with their bits turned are of 16 bits")
        bits = stored.astype(np.uint16)
        stored = (bits >> 3) | (bits << 13)
    return (stored * np.float64(scale or (preset or Preset()).scale)).astype(np.float32)


def _stored(path: Path) -> np.ndarray:
    """The numbers as they stand in the file, (height, width)."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    try:
        if head.startswith(NPY):
            stored = _from_npy(path)
        elif head.startswith(EXR):
            stored = _from_exr(path)
        elif header := PGM.match(head):
            stored = _from_pgm(path, header)
        else:
            stored = _from_picture(path)
    except (BadInput, errors.MissingExtra):
        raise
    except Exception as error:  # decoders raise what they like on damaged files
        reason = " ".join(str(error).split()) or type(error).__name__
        raise BadInput(f"{path} is no complete depth map: {reason}; save it again") from error
    if stored.ndim != 2 or not stored.size or stored.dtype.kind not in "fiu":
        raise BadInput(f"{path} holds {stored.dtype} {stored.shape}; a depth map is one number a pixel")
    return stored


def _from_npy(path: Path) -> np.ndarray:
    mapped = np.load(path, mmap_mode="r", allow_pickle=False)  # a header that claims too much maps nothing
    if mapped.ndim == 3 and 1 in (mapped.shape[0], mapped.shape[2]):
        mapped = mapped[0] if mapped.shape[0] == 1 else mapped[..., 0]
    if mapped.size > LARGEST:
        raise BadInput(f"{path} holds an array {mapped.shape}, which is too much for a map")
    return np.array(mapped)


def _from_pgm(path: Path, header: re.Match[bytes]) -> np.ndarray:
    # Pillow would stretch levels to the full range where the header's largest is less than 65535.
    width, height, largest = (int(number) for number in header.groups())
    dtype = np.dtype(np.uint8 if largest < 256 else ">u2")
    there = path.stat().st_size - header.end()
    if there < width * height * dtype.itemsize:
        raise BadInput(
            f"{path} is cut off at byte {header.end() + there}: {width}x{height} pixels need"
            f" {width * height * dtype.itemsize} bytes, and there are {there}; copy it again"
        )
    levels = np.fromfile(path, dtype, width * height, offset=header.end())
    return levels.reshape(height, width).astype(dtype.newbyteorder("="))


def _from_picture(path: Path) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's doubts of sizes and tags; what it cannot read it raises
        with files.open_image(path) as picture:
            if picture.width * picture.height > LARGEST:
                raise BadInput(f"{path} tells of {picture.width}x{picture.height} pixels, which is too much for a map")
            if not (picture.mode in ("L", "F") or picture.mode.startswith("I")):
                raise BadInput(
                    f"{path} holds colours ({picture.mode}), not depths; save it in 16-bit gray or as an array"
                )
            picture.load()
            return np.asarray(picture)


def _from_exr(path: Path) -> np.ndarray:
    try:
        exr = importlib.import_module("OpenEXR")
    except ModuleNotFoundError as error:
        raise errors.MissingExtra(
            f"{path} is OpenEXR, which needs the package 'OpenEXR': pip install 'anybind[exr]'"
        ) from error
    with exr.File(os.fspath(path), header_only=True) as file:
        first, last = file.header()["dataWindow"]
        if np.prod(np.asarray(last, np.int64) - first + 1) > LARGEST:
            raise BadInput(f"{path} tells of more pixels than a map has; save it again")
    with exr.File(os.fspath(path), separate_channels=True) as file:
        channels = file.channels()
        for wanted in DEPTH_CHANNELS:
            for name in channels:
                if name.rpartition(".")[2].lower() == wanted:
                    return np.array(channels[name].pixels)
        there = ", ".join(channels)
    raise BadInput(f"{path} has no channel of depth ({', '.join(DEPTH_CHANNELS)}), only {there}; save depth as Z")
