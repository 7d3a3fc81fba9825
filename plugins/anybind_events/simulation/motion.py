"""Simulated event recordings of images that move: translation, rotation, scaling, shear and turning in depth."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from anybind.plugin import BadOption, errors
from anybind_events.simulation.motion_path import (
    MOTIONS,
    SPEEDS,
    apply_homographies,
    compute_homographies,
    draw_path,
)
from anybind_events.simulation.scene import BACKGROUNDS, Scene, build_scene, crop_narrow, measure_space
from anybind_events.simulation.sensor import check_numbers
from anybind_events.simulation.sensor_model import ModelledSensor, SensorModel, check_size
from anybind_events.simulation.warping import blend_views, warp_image
from anybind_events.stream import EventStream, concatenate_streams

MOVING = ("object", "background", "both")
CHOICES = {"background": BACKGROUNDS, "moving": MOVING, "motion": MOTIONS, "speed": SPEEDS}
SENSOR = SensorModel(random_reference=True)
"""Default sensor."""
MIN_DURATION_US = 1000


@dataclass(frozen=True)
class Motion:
    """Options of `simulate_motion`.

    Attributes:
        width, height: sensor size in pixels, 8 to 4096.
        background: `full`: the image fits the sensor and is continued by its border pixels; `plain`: it lies on a
            plane of the median level of its border, so that an object on white has no visible edge; `gray`, `texture`:
            on a random gray or on smooth random blotches; an image with a plain border is cut out.
        object_scale: longer side of the image over the shorter side of the sensor, above 0 to 1; with `full`, over the
            largest that fits.
        position_x, position_y: position of the image in the free space, 0 to 1; 0.5 is the centre. With
            `full` there is none.
        moving: `object`, before a still background; `background`, behind a still object (`texture` only); `both`, by a
            camera that moves. With `full`, the image is all that moves.
        motion: `translate`, `rotate`, `scale`, `shear`, `turn` (in depth), or `mixed`, at random.
        speed: `constant`, `eased` (slow at both ends), `random`, or `oscillating`, to and fro.
        amplitude: about how far a corner of the image moves from one end of the path to the other, in pixels.
        direction_degrees: direction of the translation, from right to down. [default: at random]
        jitter: standard deviation of the trembling of the hand, in pixels.
        duration_us: duration in microseconds, 1000 or more.

    Raises:
        BadOption: an unknown name, or a number out of its range.
    """

    width: int = 128
    height: int = 128
    background: str = "full"
    object_scale: float = 1.0
    position_x: float = 0.5
    position_y: float = 0.5
    moving: str = "object"
    motion: str = "mixed"
    speed: str = "eased"
    amplitude: float = 12.0
    direction_degrees: float | None = None
    jitter: float = 0.5
    duration_us: int = 300_000

    def __post_init__(self) -> None:
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                hint = errors.suggest_names(str(getattr(self, name)), choices)
                raise BadOption(f"{name}: expected {', '.join(choices)}, got {getattr(self, name)!r}{hint}")
        if self.background == "full" and self.moving != "object":
            raise BadOption(f"moving: {self.moving!r} needs a background other than full; set background")
        check_size(self.width, self.height)
        numbers = {"amplitude": self.amplitude, "jitter": self.jitter, "duration_us": self.duration_us}
        fractions = {name: getattr(self, name) for name in ("object_scale", "position_x", "position_y")}
        check_numbers(0, **numbers, **fractions)
        if self.direction_degrees is not None:
            check_numbers(0, direction_degrees=abs(self.direction_degrees))
        for name, value in fractions.items():
            if value > 1 or (name == "object_scale" and value == 0):
                raise BadOption(f"{name}: expected a number from 0 to 1, got {value}")
        if self.duration_us < MIN_DURATION_US:
            raise BadOption(f"duration_us: expected a number of {MIN_DURATION_US} or more, got {self.duration_us}")


def simulate_motion(
    image: np.ndarray, motion: Motion | None = None, sensor: SensorModel = SENSOR, *, seed: int = 0
) -> EventStream:
    """Simulate the recording of an event camera that views a moving image.

    A contrast-threshold model: views no more than about a pixel of movement apart, bilinear in the log intensity of
    the image at the sensor's scale; each pixel's log intensity is linear between views, and it emits an event each
    time that has changed by its threshold. The image is downsampled with antialiasing. Gray is Rec. 601 luma.

    Args:
        image: an `image` sample, uint8 (height, width, 3). One that would be less than 2 pixels wide or high on the
            sensor is cropped to its middle.
        motion: size of the sensor, scene and movement. [default: `Motion()`]
        sensor: the sensor's imperfections.
        seed: seed of everything random; the same seed gives the same recording.

    Raises:
        BadOption: the seed is negative, or `object_scale` makes every image less than 2 pixels wide.
    """
    return simulate_counted_motion(image, motion or Motion(), sensor, seed)[0]


def simulate_counted_motion(
    image: np.ndarray, motion: Motion, sensor: SensorModel, seed: int
) -> tuple[EventStream, float]:
    """As `simulate_motion`; return also the events per pixel of the object that are not background activity."""
    check_numbers(seed)
    rng = np.random.default_rng([seed, 1])  # independent of the thresholds
    size = motion.width, motion.height
    image = crop_narrow(image, measure_space(size, motion.background, motion.object_scale))
    radius = _measure_radius(image, motion)
    path = draw_path(
        rng, motion.motion, motion.speed, motion.amplitude, motion.direction_degrees, motion.jitter,
        motion.duration_us, radius,
    )  # fmt: skip
    zoom = float(np.exp(path.poses[:, 3].max()))
    scene = build_scene(
        image, rng, size, motion.background, motion.object_scale, (motion.position_x, motion.position_y), zoom
    )
    views = render_views(scene, compute_homographies(path.poses, radius), size, motion.moving)
    modelled = ModelledSensor(sensor, next(views), 0, seed)
    streams = [modelled.update(view, time) for view, time in zip(views, path.times[1:].tolist(), strict=True)]
    area = motion.width * motion.height if scene.is_full else scene.object_size[0] * scene.object_size[1]
    return concatenate_streams(streams), modelled.n_signal / area


def _measure_radius(image: np.ndarray, motion: Motion) -> float:
    """Return half the diagonal, in pixels, of what moves: the whole view, or the object alone."""
    if motion.background == "full" or motion.moving != "object":
        return float(np.hypot(motion.width, motion.height)) / 2
    scale = motion.object_scale * min(motion.width, motion.height) / max(image.shape[:2])
    return float(np.hypot(*image.shape[:2])) * scale / 2


def render_views(scene: Scene, homographies: np.ndarray, size: tuple[int, int], moving: str) -> Iterator[np.ndarray]:
    """Yield the log intensity, (height, width) float32, for each homography; an array is reused after two views."""
    width, height = size
    middle = ((width - 1) / 2, (height - 1) / 2)
    pivot = np.array(middle if moving != "object" else scene.center)
    moved = _translate(pivot) @ homographies @ _translate(-pivot)
    still = np.broadcast_to(np.eye(3), moved.shape)
    from_view = np.linalg.inv(still if moving == "background" and not scene.is_full else moved)
    to_image = np.diag([scene.zoom, scene.zoom, 1.0]) @ _translate(-np.array(scene.center))
    to_image = _translate((np.array(scene.image.shape[::-1]) - 1) / 2) @ to_image
    box = (
        (0, height, 0, width)
        if scene.is_full
        else _bound_image(scene, np.linalg.inv(from_view) @ np.linalg.inv(to_image), size)
    )
    views = itertools.cycle([np.full((height, width), scene.image[0, 0]) for _ in range(2)])
    if scene.opacity is None or scene.texture is None:
        for homography in to_image @ from_view:
            warp_image(scene.image, homography, *box, view := next(views))
            yield view
        return
    front, opacity, back = np.zeros((3, height, width), np.float32)
    margin = np.full(2, (scene.texture.shape[1] - width) // 2)
    to_texture = _translate(margin) @ np.linalg.inv(moved if moving != "object" else still[:1])
    for homography, texture_homography in itertools.zip_longest(to_image @ from_view, to_texture):
        warp_image(scene.image, homography, *box, front)
        warp_image(scene.opacity, homography, *box, opacity)
        if texture_homography is not None:  # the texture does not move after the first one
            warp_image(scene.texture, texture_homography, 0, height, 0, width, back)
        blend_views(front, opacity, back, view := next(views))
        yield view


def _translate(offset: np.ndarray) -> np.ndarray:
    return np.array([[1, 0, offset[0]], [0, 1, offset[1]], [0, 0, 1.0]])


def _bound_image(scene: Scene, to_view: np.ndarray, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return the rows and columns (top, bottom, left, right) of the view that the image ever covers."""
    rows, columns = scene.image.shape
    corners = apply_homographies(to_view, np.array([[-1, -1], [columns, -1], [-1, rows], [columns, rows]]))
    low, high = np.floor(corners.min(axis=(0, 1))), np.ceil(corners.max(axis=(0, 1))) + 1
    left, right = np.clip([low[0], high[0]], 0, size[0]).astype(int).tolist()
    top, bottom = np.clip([low[1], high[1]], 0, size[1]).astype(int).tolist()
    return top, bottom, left, right
