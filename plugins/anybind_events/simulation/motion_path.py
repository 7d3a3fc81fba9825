"""Paths of a plane that moves before a sensor: poses, their homographies, and the times of views along them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

MOTIONS = ("translate", "rotate", "scale", "shear", "turn", "mixed")
SPEEDS = ("constant", "eased", "random", "oscillating")
POSE = ("right", "down", "angle", "log_scale", "shear", "tilt_x", "tilt_y")
"""Columns of a pose: pixels, radians, natural log, a ratio, and radians out of the image plane."""
GRID_STEPS = 256
"""Steps of equal duration at which a path is computed; between them it is linear."""
DISTANCE = 2.5
"""Distance of the viewer of a turned plane, in lengths of its diagonal; our choice."""
LIMITS = {"angle": np.pi, "log_scale": 0.7, "shear": 0.6, "turn": 1.2}
"""Largest change along a path."""
TURN_GAIN = 3.0
"""Turning moves a point mostly towards the viewer, so that it takes a larger angle than rotation."""
JITTER_HZ = (1.5, 3.0, 5.0, 8.0, 12.0)
"""Frequencies of a hand that trembles, in Hz; amplitudes decrease as those of a random walk. Our choice."""
MAX_STEP = 1.0
"""Largest movement of a pixel between two views, in pixels."""
MAX_STEP_US = 15_000
"""Longest duration between two views, in microseconds."""
MAX_VIEWS = 400


@dataclass(frozen=True)
class MotionPath:
    """A path of poses.

    Attributes:
        times: (n,) int64 microseconds of each view, increasing from 0.
        poses: (n, 7) float64, columns as `POSE`.
    """

    times: np.ndarray
    poses: np.ndarray


def draw_path(
    rng: np.random.Generator, motion: str, speed: str, amplitude: float, direction: float | None, jitter: float,
    duration_us: int, radius: float,
) -> MotionPath:  # fmt: skip
    """Draw a path around the upright pose, with views so close that no point moves more than about a pixel.

    Args:
        rng: source of all that is random.
        motion, speed: of `MOTIONS` and `SPEEDS`.
        amplitude: pixels that a point at `radius` moves from one end of the path to the other, about.
        direction: of the translation, in degrees from right to down; of the axis of a turn. None: at random.
        jitter: standard deviation of the trembling, in pixels.
        duration_us: microseconds.
        radius: distance of the plane's corners from its centre, in pixels.
    """
    grid = np.linspace(0, 1, GRID_STEPS + 1)
    change = _draw_change(
        rng, motion, amplitude, np.radians(rng.uniform(0, 360) if direction is None else direction), radius
    )
    poses = _draw_progress(rng, speed, grid)[:, None] * change
    poses[:, :3] += jitter * _draw_jitter(rng, grid * duration_us * 1e-6) / (1, 1, 2 * radius)
    corners = radius * np.array([[-1, -1], [-1, 1], [1, -1], [1, 1], [0, 0]]) / np.sqrt(2)
    points = apply_homographies(compute_homographies(poses, radius), corners)
    lengths = np.hypot(*np.moveaxis(np.diff(points, axis=0), -1, 0)).max(axis=1) / MAX_STEP
    lengths = np.concatenate([[0], np.cumsum(lengths + duration_us / GRID_STEPS / MAX_STEP_US)])
    views = min(MAX_VIEWS, int(np.ceil(lengths[-1]))) + 1
    moments = np.interp(np.linspace(0, lengths[-1], views), lengths, grid)
    times = np.unique(np.rint(moments * duration_us).astype(np.int64))
    return MotionPath(times, np.stack([np.interp(times / duration_us, grid, column) for column in poses.T], axis=1))


def compute_homographies(poses: np.ndarray, radius: float) -> np.ndarray:
    """Return the homographies, (n, 3, 3), of points of a plane around its centre to pixels around the first centre."""
    right, down, angle, log_scale, shear, tilt_x, tilt_y = poses.T
    scale, cosine, sine = np.exp(log_scale), np.cos(angle), np.sin(angle)
    linear = np.empty((len(poses), 2, 2))
    linear[:, 0, 0], linear[:, 0, 1] = scale * cosine, scale * (shear * cosine - sine)
    linear[:, 1, 0], linear[:, 1, 1] = scale * sine, scale * (shear * sine + cosine)
    tilt = np.empty((len(poses), 3, 2))  # the first two columns of a rotation about x, then about y
    tilt[:, 0, 0], tilt[:, 0, 1] = np.cos(tilt_y), np.sin(tilt_x) * np.sin(tilt_y)
    tilt[:, 1, 0], tilt[:, 1, 1] = 0, np.cos(tilt_x)
    tilt[:, 2, 0], tilt[:, 2, 1] = -np.sin(tilt_y), np.sin(tilt_x) * np.cos(tilt_y)
    plane = tilt @ linear
    homographies = np.zeros((len(poses), 3, 3))
    homographies[:, :2, :2] = plane[:, :2]
    homographies[:, 2, :2] = plane[:, 2] / (2 * DISTANCE * radius)
    homographies[:, 2, 2] = 1
    # The translation is one of the image, after the projection.
    homographies[:, 0] += right[:, None] * homographies[:, 2]
    homographies[:, 1] += down[:, None] * homographies[:, 2]
    return homographies


def apply_homographies(homographies: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Map points, (m, 2), by each homography, (n, 3, 3): (n, m, 2)."""
    mapped = np.concatenate([points, np.ones((len(points), 1))], axis=1) @ homographies.transpose(0, 2, 1)
    return mapped[..., :2] / mapped[..., 2:]


def _draw_change(
    rng: np.random.Generator, motion: str, amplitude: float, direction: float, radius: float
) -> np.ndarray:
    """Draw the change of the pose from one end of the path to the other, (7,)."""
    shares = dict.fromkeys(MOTIONS, 0.0) | {motion: 1.0}
    if motion == "mixed":
        parts = rng.dirichlet(np.ones(len(MOTIONS) - 1))
        shares = dict(zip(MOTIONS[:-1], parts, strict=True))
    sign = rng.choice([-1.0, 1.0], size=3)
    turns = amplitude / radius
    shift = amplitude * shares["translate"]
    turn = min(TURN_GAIN * turns * shares["turn"], LIMITS["turn"])
    return np.array(
        [
            shift * np.cos(direction),
            shift * np.sin(direction),
            sign[0] * min(turns * shares["rotate"], LIMITS["angle"]),
            sign[1] * min(turns * shares["scale"], LIMITS["log_scale"]),
            sign[2] * min(turns * shares["shear"], LIMITS["shear"]),
            turn * np.sin(direction),
            turn * np.cos(direction),
        ]
    )


def _draw_progress(rng: np.random.Generator, speed: str, grid: np.ndarray) -> np.ndarray:
    """Draw the progress along the path at each moment of a grid from 0 to 1; it spans -0.5 to 0.5."""
    if speed == "constant":
        return grid - 0.5
    if speed == "eased":
        return -0.5 * np.cos(np.pi * grid)
    if speed == "oscillating":
        return -0.5 * np.cos(2 * np.pi * rng.uniform(0.75, 2.5) * grid + rng.uniform(0, 2 * np.pi))
    speeds = np.exp(np.interp(grid, np.linspace(0, 1, 7), rng.normal(0, 1, 7)))
    progress = np.concatenate([[0], np.cumsum((speeds[1:] + speeds[:-1]) / 2)])
    return progress / progress[-1] - 0.5


def _draw_jitter(rng: np.random.Generator, seconds: np.ndarray) -> np.ndarray:
    """Draw trembling to the right, down and in angle, (n, 3), of standard deviation 1 over all phases."""
    hertz = np.array(JITTER_HZ)
    weights = 1 / hertz
    phases = rng.uniform(0, 2 * np.pi, (len(hertz), 3))
    waves = np.sin(2 * np.pi * hertz[:, None, None] * seconds[None, :, None] + phases[:, None, :])
    return np.einsum("f,fnc->nc", weights * np.sqrt(2) / np.linalg.norm(weights), waves)
