"""Images of representation arrays for people."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont

FULL_SCALE_PERCENTILE = 99.0
MIN_BRIGHT_VALUE = 0.4
MAX_SIDE = 720
"""Images are enlarged by the largest integer factor within this width and height."""
MARGIN = 8


@dataclass(frozen=True)
class ColorScale:
    """The ends of a colour scale.

    Attributes:
        full_scale: magnitude with full colour.
        signed: whether values below 0 occur.
    """

    full_scale: float
    signed: bool

    @classmethod
    def from_frames(cls, frames: Sequence[np.ndarray]) -> ColorScale:
        """Compute one scale for several arrays, such as the frames of an animation.

        Full scale is the 99th percentile of the non-zero magnitudes, so that a hot pixel does not darken the image; but
        1, as an encoder receives it, if no value exceeds 1 and the image stays bright enough.
        """
        signed = any(frame.min() < 0 for frame in frames)
        busy = np.concatenate([np.abs(frame[frame != 0]) for frame in frames])
        if not busy.size:
            return cls(1.0, signed)
        full = float(np.percentile(busy, FULL_SCALE_PERCENTILE))
        return cls(1.0 if busy.max() <= 1 and full > MIN_BRIGHT_VALUE and len(frames[0]) != 2 else full, signed)


def colorize_frame(frame: np.ndarray, scale: ColorScale, n_views: int = 1) -> np.ndarray:
    """Convert a representation array to an RGB image, uint8, (height, width, 3); small ones are enlarged.

    One channel becomes gray, or red above 0 and blue below it on white; two become OFF in blue and ON in red on white;
    three become red, green and blue. With more channels, or several views, each gets a panel.

    Args:
        frame: (channels, height, width), finite.
        scale: the colour scale.
        n_views: number of stacked arrays of equal channels.
    """
    if n_views > 1:
        panels = [_colorize(view, scale) for view in frame.reshape(n_views, -1, *frame.shape[1:])]
        return _draw_panels(panels, "view")
    if len(frame) > 3:
        return _draw_panels([_colorize(channel[None], scale) for channel in frame], "channel")
    return enlarge_image(_colorize(frame, scale), MAX_SIDE)


def draw_red_blue(off_counts: np.ndarray, on_counts: np.ndarray, full_scale: float) -> np.ndarray:
    """Draw ON counts red and OFF counts blue, on white, with full colour at `full_scale`: uint8, (height, width, 3)."""
    red, blue = np.clip(on_counts / full_scale, 0, 1), np.clip(off_counts / full_scale, 0, 1)
    return _to_uint8(np.stack([1 - blue, 1 - np.maximum(red, blue), 1 - red], axis=-1))


def enlarge_image(image: np.ndarray, side: int) -> np.ndarray:
    """Enlarge an image by the largest integer factor that keeps its longer side within `side`; never shrink it."""
    factor = max(1, side // max(image.shape[:2]))
    return image.repeat(factor, axis=0).repeat(factor, axis=1)


def _colorize(frame: np.ndarray, scale: ColorScale) -> np.ndarray:
    """Convert up to three channels to colours without enlarging; more channels, as in a view, are averaged."""
    if len(frame) == 2 and not scale.signed:
        return draw_red_blue(*frame, full_scale=scale.full_scale)
    if len(frame) != 3:
        frame = frame.mean(axis=0, keepdims=True)
        if scale.signed:
            return draw_red_blue(-frame[0], frame[0], scale.full_scale)
    levels = 0.5 + 0.5 * frame / scale.full_scale if scale.signed else frame / scale.full_scale
    return _to_uint8(np.broadcast_to(levels.transpose(1, 2, 0), (*frame.shape[1:], 3)))


def _to_uint8(levels: np.ndarray) -> np.ndarray:
    return np.rint(255 * np.clip(levels, 0, 1)).astype(np.uint8)


def _draw_panels(panels: Sequence[np.ndarray], title: str) -> np.ndarray:
    """Draw panels of one size in a grid on white, each with a numbered title."""
    n_columns = math.ceil(math.sqrt(len(panels)))
    panels = [enlarge_image(panel, MAX_SIDE // n_columns) for panel in panels]
    height, width = panels[0].shape[:2]
    label_height = max(16, height // 20)
    step_x, step_y = width + MARGIN, height + label_height + MARGIN
    n_rows = math.ceil(len(panels) / n_columns)
    sheet = PIL.Image.new("RGB", (n_columns * step_x + MARGIN, n_rows * step_y + MARGIN), "white")
    draw, font = PIL.ImageDraw.Draw(sheet), PIL.ImageFont.load_default(0.75 * label_height)
    for number, panel in enumerate(panels):
        left, top = MARGIN + number % n_columns * step_x, MARGIN + number // n_columns * step_y
        draw.text((left, top), f"{title} {number + 1} of {len(panels)}", fill="black", font=font)
        draw.rectangle(
            (left - 1, top + label_height - 1, left + width, top + label_height + height), outline="lightgray"
        )
        sheet.paste(PIL.Image.fromarray(panel), (left, top + label_height))
    return np.asarray(sheet)
