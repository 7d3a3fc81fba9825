"""An image before a background: what a sensor of some size sees of a plane that moves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import PIL.Image

from anybind.plugin import BadOption
from anybind_events.simulation.sensor import compute_log_intensity

BACKGROUNDS = ("full", "plain", "gray", "texture")
MIN_SIDE = 2
"""Fewest pixels of the sensor that an image's shorter side covers."""
MATTE_LEVELS = 8.0
"""Largest difference to the border's level, of 255, of pixels that are background in an image cut out on plain."""
MATTE_SHARE = 0.9
"""Share of the border that must have about one level for an image to be cut out."""
OCTAVES = (3, 8, 20, 48)
"""Cells per side of the grids of random levels that make up a texture."""
BLOTCH_LEVELS = (5.0, 35.0)
"""Standard deviation of the gray levels of each grid; our choice."""


@dataclass(frozen=True)
class Scene:
    """An image in log intensity, at the scale of the sensor, before a background.

    Attributes:
        image: (rows, columns) float32; times `opacity` if that is given. It is continued by its border pixels.
        opacity: (rows, columns) float32, 0 to 1; None if the image contains its background.
        texture: (height + 2 margin, width + 2 margin) float32, the background's log intensity; None without `opacity`.
        zoom: image pixels per sensor pixel at scale 1.
        center: the image's centre on the sensor (x, y), in pixels.
        object_size: width and height of the image in sensor pixels, at scale 1.
        is_full: the image fills the sensor.
    """

    image: np.ndarray
    opacity: np.ndarray | None
    texture: np.ndarray | None
    zoom: float
    center: tuple[float, float]
    object_size: tuple[float, float]
    is_full: bool


def build_scene(
    image: np.ndarray,
    rng: np.random.Generator,
    sensor: tuple[int, int],
    background: str,
    object_scale: float,
    position: tuple[float, float],
    zoom: float,
) -> Scene:
    """Place an image, uint8 (height, width, 3), on a sensor of (width, height) pixels.

    Args:
        image: the image, as `crop_narrow` returns it; an image with a plain border is cut out on the backgrounds `gray`
            and `texture`.
        rng: draws the gray level or texture.
        sensor: width and height in pixels.
        background: of `BACKGROUNDS`.
        object_scale: the image's longer side over the sensor's shorter one; for `full`, over the largest that fits.
        position: of the image in the free space, from 0 to 1 in x and y; 0.5 is the centre.
        zoom: image pixels per sensor pixel: the largest scale along the path.
    """
    rows, columns = image.shape[:2]
    is_full = background == "full"
    fit = min(sensor[0] / columns, sensor[1] / rows) if is_full else min(sensor) / max(columns, rows)
    size = columns * fit * object_scale, rows * fit * object_scale
    gray = PIL.Image.fromarray(image).convert("L")
    scaled_size = max(2, round(size[0] * zoom)), max(2, round(size[1] * zoom))
    scaled = _resize(gray, scaled_size)
    center = (sensor[0] - 1) / 2, (sensor[1] - 1) / 2
    if not is_full:
        center = tuple(
            middle + (part - 0.5) * (length - side)
            for middle, part, length, side in zip(center, position, sensor, size, strict=True)
        )
    opacity = texture = None
    if not is_full:
        pixels = np.asarray(gray)
        border = np.concatenate([pixels[0], pixels[-1], pixels[1:-1, 0], pixels[1:-1, -1]])
        level = np.float32(np.median(border))
        if background == "plain":
            scaled = np.pad(scaled, 1, constant_values=level)
        else:
            opacity = np.pad(_cut_out(pixels, border, level, scaled_size), 1)
            scaled = np.pad(scaled, 1, mode="edge")
            if background == "gray":
                scaled = opacity * scaled + (1 - opacity) * np.float32(rng.uniform(0, 255))
                opacity = None
            else:
                texture = compute_log_intensity(_draw_texture(rng, sensor))
    log = compute_log_intensity(scaled)
    return Scene(
        log if opacity is None else log * opacity,
        opacity, texture, scaled_size[0] / size[0], center, size, is_full,
    )  # fmt: skip


def measure_space(sensor: tuple[int, int], background: str, object_scale: float) -> tuple[float, float]:
    """Return width and height of the space that an image is fitted into, in pixels of the sensor."""
    width, height = sensor if background == "full" else (min(sensor), min(sensor))
    return width * object_scale, height * object_scale


def crop_narrow(image: np.ndarray, space: tuple[float, float]) -> np.ndarray:
    """Crop an image to its middle, as far as its shorter side covers 2 pixels when it is fitted into a space.

    Args:
        image: (height, width, ...); one that is not too narrow is returned unchanged.
        space: width and height in pixels of the sensor.

    Raises:
        BadOption: the space is too small for any image.
    """
    if min(space) < MIN_SIDE:
        size = f"{space[0]:g}x{space[1]:g}"
        raise BadOption(f"object_scale: expected space for an image of at least {MIN_SIDE} pixels, got {size}")
    rows, columns = image.shape[:2]
    most_columns, most_rows = int(rows * space[0] / MIN_SIDE), int(columns * space[1] / MIN_SIDE)
    left, top = max(0, columns - most_columns) // 2, max(0, rows - most_rows) // 2
    return image[top : top + most_rows, left : left + most_columns]


def _resize(gray: PIL.Image.Image, size: tuple[int, int]) -> np.ndarray:
    """Resize with antialiasing: float32 (height, width), 0 to 255."""
    return np.asarray(gray.resize(size, PIL.Image.Resampling.BICUBIC, reducing_gap=3.0), np.float32)


def _cut_out(pixels: np.ndarray, border: np.ndarray, level: np.float32, size: tuple[int, int]) -> np.ndarray:
    """Return the opacity of an image, (height, width) float32: 0 where its plain border continues inwards."""
    if np.mean(np.abs(border - level) <= MATTE_LEVELS) < MATTE_SHARE:
        return np.ones(size[::-1], np.float32)
    plain = np.abs(pixels - level) <= MATTE_LEVELS
    outside = np.zeros_like(plain)
    for axis in (0, 1):
        outside |= np.logical_and.accumulate(plain, axis)
        outside |= np.flip(np.logical_and.accumulate(np.flip(plain, axis), axis), axis)
    return _resize(PIL.Image.fromarray(np.where(outside, np.uint8(0), np.uint8(255))), size) / np.float32(255)


def _draw_texture(rng: np.random.Generator, sensor: tuple[int, int]) -> np.ndarray:
    """Draw smooth random blotches, larger than the sensor on each side: gray levels, float32."""
    margin = max(sensor) // 2
    width, height = sensor[0] + 2 * margin, sensor[1] + 2 * margin
    gray = np.full((height, width), rng.uniform(40, 215), np.float32)
    for cells in OCTAVES:
        grid = rng.normal(0, rng.uniform(*BLOTCH_LEVELS), (cells, cells)).astype(np.float32)
        gray += np.asarray(PIL.Image.fromarray(grid).resize((width, height), PIL.Image.Resampling.BICUBIC))
    return np.clip(gray, 0, 255)
