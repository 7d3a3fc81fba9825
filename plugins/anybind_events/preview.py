"""The image of an event stream in a notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from anybind.plugin import pages
from anybind_events.representations.images import ColorScale, draw_red_blue

if TYPE_CHECKING:
    from anybind_events.stream import EventStream

PREVIEW_SIDE = 320
"""Longest side of the image in pixels."""


def draw_preview(stream: EventStream) -> str:
    """Return HTML with an image of the event counts (ON red, OFF blue) and the stream's statistics."""
    side = max(stream.width, stream.height)
    small = (
        stream
        if side <= PREVIEW_SIDE
        else stream.rescale(*(-(-n * PREVIEW_SIDE // side) for n in (stream.width, stream.height)))
    )
    pixels = small.y.astype(np.int64) * small.width + small.x
    off_counts, on_counts = counts = np.stack(
        [np.bincount(pixels[small.p == polarity], minlength=small.width * small.height) for polarity in (False, True)]
    ).reshape(2, small.height, small.width)
    image = pages.image_uri(
        draw_red_blue(off_counts, on_counts, ColorScale.from_frames([counts]).full_scale), PREVIEW_SIDE
    )
    return f'<figure><img src="{image}" alt="event counts"><figcaption>{stream!r}</figcaption></figure>'
