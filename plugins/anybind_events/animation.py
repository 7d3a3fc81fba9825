"""Writing of animations: GIF and MP4."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import PIL.Image

ANIMATION_SUFFIXES = (".gif", ".mp4")


def write_animation(path: Path, suffix: str, images: Iterator[np.ndarray], fps: float) -> tuple[int, int]:
    """Write images, (height, width, 3) uint8, as an animation; return its width and height in pixels.

    Args:
        path: the file to write.
        suffix: `.gif` or `.mp4`.
        images: one or more, of one size.
        fps: frames per second.
    """
    return (_write_gif if suffix == ".gif" else _write_mp4)(path, images, fps)


def _write_gif(path: Path, images: Iterator[np.ndarray], fps: float) -> tuple[int, int]:
    """Write an animated GIF that loops for ever; its frame times are whole hundredths of a second."""
    # No dithering: its noise would flicker from frame to frame.
    palette_images = (PIL.Image.fromarray(image).quantize(dither=PIL.Image.Dither.NONE) for image in images)
    first_image = next(palette_images)
    duration = max(10, 10 * round(100 / fps))
    first_image.save(path, save_all=True, append_images=palette_images, duration=duration, loop=0, disposal=1)
    return first_image.size


def _write_mp4(path: Path, images: Iterator[np.ndarray], fps: float) -> tuple[int, int]:
    """Write H.264, or MPEG-4 if the installed PyAV has no x264; sizes are rounded up to even numbers."""
    import av
    from av.codec import codecs_available

    codec = "libx264" if "libx264" in codecs_available else "mpeg4"
    first = next(images)
    height, width = (size + size % 2 for size in first.shape[:2])
    with av.open(path, "w", format="mp4") as container:
        stream = container.add_stream(codec, rate=Fraction(fps).limit_denominator(1000))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        if codec == "libx264":
            stream.options = {"crf": "18"}
        else:
            stream.bit_rate = 8_000_000
        for image in itertools.chain([first], images):
            padded = np.pad(image, ((0, height - image.shape[0]), (0, width - image.shape[1]), (0, 0)), mode="edge")
            container.mux(stream.encode(av.VideoFrame.from_ndarray(padded, format="rgb24")))
        container.mux(stream.encode())
    return width, height
