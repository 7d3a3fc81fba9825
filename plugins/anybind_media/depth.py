"""Depth maps: the modality `depth`, whose samples are `DepthMap`s."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from anybind.plugin import BadInput, BadOption, Modality
from anybind_media.colormap import coloured

NARROWEST = 100
"""Largest ratio of the sides, as of pictures."""
SHOWN = (2, 98)
"""Percentiles of the depths between which colours are spread."""
HOLE = (70, 130, 180)
"""Colour of pixels whose depth is not known, which is none of the others."""


@dataclass(frozen=True, eq=False)
class DepthMap:
    """How far away each pixel is.

    Attributes:
        metres: float32 (height, width), distance along the axis of the camera, NaN where it is not known.
        fx: focal length in pixels, None where it is not known.
        baseline: distance in metres of the two eyes that the depth was (or might have been) seen with, None where it
            is not known.

    Raises:
        BadInput: the map is no array (height, width) of numbers.
        BadOption: `fx` or `baseline` is not above 0.
    """

    metres: np.ndarray
    fx: float | None = None
    baseline: float | None = None

    def __post_init__(self) -> None:
        metres = np.asarray(self.metres)
        if metres.ndim != 2 or metres.dtype.kind not in "fiu":
            raise BadInput(f"a depth map is an array (height, width) of metres, got {metres.dtype} {metres.shape}")
        object.__setattr__(self, "metres", metres.astype(np.float32, copy=False))
        for name in ("fx", "baseline"):
            positive(name, getattr(self, name))

    def disparity(
        self,
        *,
        fx: float | None = None,
        baseline: float | None = None,
        nearest: float = 0.01,
        farthest: float = 50.0,
    ) -> np.ndarray:
        """What two eyes would see shifted by how much: baseline * fx / depth, in pixels.

        Args:
            fx: focal length in pixels; the map's own by default.
            baseline: distance of the eyes in metres; the map's own by default.
            nearest: depth that what is nearer is taken for, in metres.
            farthest: depth that what is farther is taken for, in metres.

        Returns:
            float32 (height, width), NaN where the depth is not known.

        Raises:
            BadInput: `fx` or `baseline` is neither given nor known of the map.
            BadOption: one of them is not above 0, or `nearest` and `farthest` are no range above 0.
        """
        if not 0 < nearest < farthest:
            raise BadOption(f"depths from {nearest} m to {farthest} m are no range above 0")
        known = {"fx": self.fx if fx is None else fx, "baseline": self.baseline if baseline is None else baseline}
        for name, value in known.items():
            if positive(name, value) is None:
                raise BadInput(
                    f"the disparity of a depth map needs {name}, which is not known of this one; give {name}= or"
                    " preset= to its reader"
                )
        product = np.float32(float(known["fx"] or 0) * float(known["baseline"] or 0))
        return product / np.clip(self.metres, np.float32(nearest), np.float32(farthest))


class Depth(Modality[DepthMap]):
    """A depth map: a `DepthMap` that knows the depth of at least one pixel."""

    name = "depth"

    def accepts(self, item: object) -> bool:
        return isinstance(item, DepthMap)

    def make(self, metres: np.ndarray, fx: float | None = None, baseline: float | None = None) -> DepthMap:
        return DepthMap(metres, fx, baseline)

    def check(self, sample: DepthMap) -> None:
        metres = sample.metres
        if not metres.size:
            raise BadInput(f"the depth map has no pixels (shape {metres.shape})")
        height, width = metres.shape
        if max(height, width) > NARROWEST * min(height, width):
            raise BadInput(f"a depth map of {width}x{height} pixels is too narrow to show anything")
        if np.isinf(metres).any() or (metres < 0).any():
            raise BadInput("the depth map holds negative or infinite depths; say with NaN that a depth is not known")
        if not (metres > 0).any():
            raise BadInput("the depth map is empty: no pixel's depth is known (all are 0 or NaN)")

    def show(self, sample: DepthMap) -> np.ndarray:
        """Near is light and far is dark, from the 2nd to the 98th percentile of what is known; holes are blue."""
        known = np.isfinite(sample.metres)
        nearest, farthest = np.percentile(sample.metres[known], SHOWN)
        shares = (farthest - np.where(known, sample.metres, farthest)) / max(farthest - nearest, 1e-6)
        picture = coloured(shares)
        picture[~known] = HOLE
        return picture


def positive(name: str, value: float | None) -> float | None:
    """The value, if it is None or a number above 0; raises `BadOption` otherwise."""
    if value is not None and not (isinstance(value, int | float | np.floating) and 0 < value < np.inf):
        raise BadOption(f"{name} must be a number above 0, got {value!r}")
    return value
