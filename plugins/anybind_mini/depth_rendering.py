"""Depth maps as shaded disparity, for an image encoder."""

from __future__ import annotations

import numpy as np

from anybind.plugin import BadInput

PERCENTILES = 2.0, 98.0
"""Percentiles of disparity that become black and white: noise in single pixels must not determine the range."""
AMBIENT = 0.3
"""Brightness of the farthest pixels, of those at the near end."""
SMOOTHING = 0.03, 0.16, 0.62, 1.0, 0.62, 0.16, 0.03
"""Smoothing kernel of log depth before its gradient: about a Gaussian of one pixel."""
SETTINGS = {"disparity": list(PERCENTILES), "shading": [AMBIENT, *SMOOTHING], "unknown": "black"}


def render_depth(metres: np.ndarray, fx: float | None = None) -> np.ndarray:
    """Render depth as shaded disparity: near surfaces and those that face the camera are bright.

    Args:
        metres: (height, width), NaN where unknown.
        fx: focal length in pixels. [default: the width, a field of view of 53 degrees]

    Returns:
        (height, width, 3) uint8, black where depth is unknown.

    Raises:
        BadInput: no depth is finite and above 0.
    """
    valid = np.isfinite(metres) & (metres > 0)
    if not valid.any():
        raise BadInput("depth map: expected at least one finite depth above 0, got none")
    distances = np.where(valid, metres, 1).astype(np.float64)
    disparity = 1 / distances
    low, high = np.percentile(disparity[valid], PERCENTILES)
    near = np.clip((disparity - low) / (high - low), 0, 1) if high > low else np.full(metres.shape, 0.5)
    levels = compute_shading(np.log(distances), valid, fx or metres.shape[1]) * (AMBIENT + (1 - AMBIENT) * near) * valid
    return np.repeat(np.rint(255 * levels).astype(np.uint8)[..., None], 3, 2)


def compute_shading(log_depth: np.ndarray, valid: np.ndarray, fx: float) -> np.ndarray:
    """Compute the component along the camera axis of unit surface normals, (height, width) in [0, 1].

    Log depth is smoothed over valid pixels. Perspective is neglected, hence the light comes from each pixel's own ray.

    Args:
        log_depth: (height, width), any value where not valid.
        valid: (height, width) bool.
        fx: focal length in pixels.
    """
    smooth = _smooth(log_depth * valid) / np.maximum(_smooth(valid.astype(np.float64)), 1e-9)
    slopes = [np.gradient(smooth, axis=axis) if smooth.shape[axis] > 1 else np.zeros_like(smooth) for axis in (0, 1)]
    return 1 / np.sqrt(1 + fx**2 * (slopes[0] ** 2 + slopes[1] ** 2))


def _smooth(values: np.ndarray) -> np.ndarray:
    """Smooth both axes, zero beyond the edges."""
    radius = len(SMOOTHING) // 2
    for axis in (0, 1):
        width = [(radius, radius) if axis == other else (0, 0) for other in (0, 1)]
        windows = np.lib.stride_tricks.sliding_window_view(np.pad(values, width), len(SMOOTHING), axis=axis)
        values = windows @ np.array(SMOOTHING)
    return values
