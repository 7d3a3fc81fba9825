"""Arrays of representations as pictures for people."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont

FULL_PERCENTILE = 99.0
TOO_DARK = 0.4
SIDE = 720
"""Pictures are scaled up by the largest whole factor that keeps them within this width and height."""
MARGIN = 8


@dataclass(frozen=True)
class Tone:
    """Which numbers are the ends of the colour scale.

    Attributes:
        full: the magnitude that has full colour.
        signed: whether numbers below 0 occur.
    """

    full: float
    signed: bool

    @classmethod
    def of(cls, frames: Sequence[np.ndarray]) -> Tone:
        """The tone for arrays that are to be shown alike, such as those of one animation.

        Full is the 99th percentile of the magnitudes that are not 0, so that a broken pixel leaves the others
        visible; but 1, as a tower sees it, where no number is beyond 1 and the picture does not get too dark by it.
        """
        signed = any(frame.min() < 0 for frame in frames)
        busy = np.concatenate([np.abs(frame[frame != 0]) for frame in frames])
        if not busy.size:
            return cls(1.0, signed)
        full = float(np.percentile(busy, FULL_PERCENTILE))
        return cls(1.0 if busy.max() <= 1 and full > TOO_DARK and len(frames[0]) != 2 else full, signed)


def picture_of(frame: np.ndarray, tone: Tone, views: int = 1) -> np.ndarray:
    """An array of a representation as an RGB picture, uint8, (height, width, 3), small ones scaled up.

    One channel becomes gray, or red above 0 and blue below it on white; two become falls in blue and rises in red on
    white; three become red, green and blue. Of other numbers of channels, and of several views, each gets a panel.

    Args:
        frame: (channels, height, width), finite.
        tone: which numbers have full colour.
        views: how many arrays of the same channels lie in it, one upon the other.
    """
    if views > 1:
        panels = [_colours(view, tone) for view in frame.reshape(views, -1, *frame.shape[1:])]
        return _sheet(panels, "view")
    if len(frame) > 3:
        return _sheet([_colours(channel[None], tone) for channel in frame], "channel")
    return enlarge(_colours(frame, tone), SIDE)


def red_blue_picture(falls: np.ndarray, rises: np.ndarray, full: float) -> np.ndarray:
    """Rises red, falls blue, on white, with full colour at `full`: uint8, (height, width, 3)."""
    red, blue = np.clip(rises / full, 0, 1), np.clip(falls / full, 0, 1)
    return _bytes(np.stack([1 - blue, 1 - np.maximum(red, blue), 1 - red], axis=-1))


def enlarge(picture: np.ndarray, side: int) -> np.ndarray:
    """A picture with each pixel as a square, as large as its longer side stays within `side`; never smaller."""
    factor = max(1, side // max(picture.shape[:2]))
    return picture.repeat(factor, axis=0).repeat(factor, axis=1)


def _colours(frame: np.ndarray, tone: Tone) -> np.ndarray:
    """Up to three channels as colours, not scaled up; of more, as in a view of many, the mean over them."""
    if len(frame) == 2 and not tone.signed:
        return red_blue_picture(*frame, full=tone.full)
    if len(frame) != 3:
        frame = frame.mean(axis=0, keepdims=True)
        if tone.signed:
            return red_blue_picture(-frame[0], frame[0], tone.full)
    levels = 0.5 + 0.5 * frame / tone.full if tone.signed else frame / tone.full
    return _bytes(np.broadcast_to(levels.transpose(1, 2, 0), (*frame.shape[1:], 3)))


def _bytes(levels: np.ndarray) -> np.ndarray:
    return np.rint(255 * np.clip(levels, 0, 1)).astype(np.uint8)


def _sheet(panels: Sequence[np.ndarray], word: str) -> np.ndarray:
    """Panels of one size side by side and below each other, each with a number above it, on white."""
    across = math.ceil(math.sqrt(len(panels)))
    panels = [enlarge(panel, SIDE // across) for panel in panels]
    height, width = panels[0].shape[:2]
    label = max(16, height // 20)
    step_x, step_y = width + MARGIN, height + label + MARGIN
    down = math.ceil(len(panels) / across)
    sheet = PIL.Image.new("RGB", (across * step_x + MARGIN, down * step_y + MARGIN), "white")
    draw, font = PIL.ImageDraw.Draw(sheet), PIL.ImageFont.load_default(0.75 * label)
    for number, panel in enumerate(panels):
        left, top = MARGIN + number % across * step_x, MARGIN + number // across * step_y
        draw.text((left, top), f"{word} {number + 1} of {len(panels)}", fill="black", font=font)
        draw.rectangle((left - 1, top + label - 1, left + width, top + label + height), outline="lightgray")
        sheet.paste(PIL.Image.fromarray(panel), (left, top + label))
    return np.asarray(sheet)
