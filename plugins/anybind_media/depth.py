"""Depth maps: the modality `depth` with `DepthMap` samples."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real

import numpy as np

from anybind.plugin import BadInput, BadOption, Modality
from anybind_media.colormap import apply_colormap

MAX_ASPECT_RATIO = 100
"""Largest ratio of the sides, as for images."""
COLOUR_PERCENTILES = (2, 98)
"""Percentiles of depth mapped to the ends of the colour map."""
UNKNOWN_COLOUR = (70, 130, 180)
"""Colour of pixels with unknown depth, not part of the colour map."""


@dataclass(frozen=True, eq=False)
class DepthMap:
    """A depth map.

    Attributes:
        metres: float32 (height, width), distance along the camera axis, NaN if unknown; converted from other floats.
        fx: focal length in pixels, None if unknown.
        baseline: stereo baseline in metres, None if unknown.

    Raises:
        BadInput: not an array (height, width) of floats; integers are mostly millimetres or another unit.
        BadOption: `fx` or `baseline` is not positive.
    """

    metres: np.ndarray
    fx: float | None = None
    baseline: float | None = None

    def __post_init__(self) -> None:
        metres = np.asarray(self.metres)
        if metres.ndim != 2 or metres.dtype.kind not in "fiu":
            raise BadInput(f"depth map: expected an array (height, width) in metres, got {metres.dtype} {metres.shape}")
        if metres.dtype.kind != "f":
            raise BadInput(
                f"depth map: integer depths ({metres.dtype}) of unknown unit; multiply them by the metres per unit,"
                " such as 0.001 for millimetres"
            )
        object.__setattr__(self, "metres", metres.astype(np.float32, copy=False))
        for name in ("fx", "baseline"):
            check_positive(name, getattr(self, name))

    def disparity(
        self,
        *,
        fx: float | None = None,
        baseline: float | None = None,
        nearest: float = 0.01,
        farthest: float = 50.0,
    ) -> np.ndarray:
        """Compute the disparity, baseline * fx / depth, in pixels.

        Args:
            fx: focal length in pixels. [default: the map's]
            baseline: stereo baseline in metres. [default: the map's]
            nearest: lower clipping bound of depth, in metres.
            farthest: upper clipping bound of depth, in metres.

        Returns:
            float32 (height, width), NaN for unknown depth.

        Raises:
            BadInput: `fx` or `baseline` is neither given nor an attribute of the map.
            BadOption: one of them is not positive, or not 0 < nearest < farthest.
        """
        if not 0 < nearest < farthest:
            raise BadOption(f"expected 0 < nearest < farthest, got nearest={nearest} m and farthest={farthest} m")
        parameters = {"fx": self.fx if fx is None else fx, "baseline": self.baseline if baseline is None else baseline}
        for name, value in parameters.items():
            if check_positive(name, value) is None:
                raise BadInput(
                    f"disparity needs {name}, which is unknown for this depth map; set {name}= or preset= in its reader"
                )
        product = np.float32(float(parameters["fx"] or 0) * float(parameters["baseline"] or 0))
        return product / np.clip(self.metres, np.float32(nearest), np.float32(farthest))


class Depth(Modality[DepthMap]):
    """The modality of depth maps: a `DepthMap` with at least one known depth."""

    name = "depth"
    sample_type = "anybind.plugin.modalities.make_sample('depth', metres)"

    def accepts(self, item: object) -> bool:
        return isinstance(item, DepthMap)

    def make(self, metres: np.ndarray, fx: float | None = None, baseline: float | None = None) -> DepthMap:
        return DepthMap(metres, fx, baseline)

    def check(self, sample: DepthMap) -> None:
        metres = sample.metres
        if not metres.size:
            raise BadInput(f"empty depth map (shape {metres.shape})")
        height, width = metres.shape
        if max(height, width) > MAX_ASPECT_RATIO * min(height, width):
            raise BadInput(f"depth map of {width}x{height} pixels: expected an aspect ratio up to {MAX_ASPECT_RATIO}")
        if np.isinf(metres).any() or (metres < 0).any():
            raise BadInput("depth map with negative or infinite depths; expected NaN for unknown depths")
        if not (metres > 0).any():
            raise BadInput("depth map without known depths (all are 0 or NaN)")

    def show(self, sample: DepthMap) -> np.ndarray:
        """Render the map: near is light, far is dark (2nd to 98th percentile), unknown is blue."""
        is_known = np.isfinite(sample.metres)
        nearest, farthest = np.percentile(sample.metres[is_known], COLOUR_PERCENTILES)
        brightness = (farthest - np.where(is_known, sample.metres, farthest)) / max(farthest - nearest, 1e-6)
        image = apply_colormap(brightness)
        image[~is_known] = UNKNOWN_COLOUR
        return image


def check_positive(name: str, value: float | None) -> float | None:
    """Return the value if it is None or positive; raise `BadOption` otherwise."""
    if value is not None and not (isinstance(value, Real) and 0 < value < np.inf):
        raise BadOption(f"{name}: expected a positive number, got {value!r}")
    return value
