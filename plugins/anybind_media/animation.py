"""Animated GIF, WebP and PNG, decoded by Pillow as videos: one pass, in constant memory."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import PIL.Image
import PIL.ImageOps

from anybind.plugin import BadInput, BadOption, files
from anybind_media.image import convert_to_rgb

PNG = b"\x89PNG\r\n\x1a\n"
GIF = (b"GIF87a", b"GIF89a")
MIN_DELAY_MS, DEFAULT_DELAY_MS = 10.0, 100.0
"""Frames of up to 10 ms are shown for 100 ms, as browsers do."""
WEBP_ANIMATION_FLAG = 2
MAX_FRAMES = 1 << 20


def is_animation(head: bytes) -> bool:
    """Return whether the first bytes of a file are those of a GIF, WebP or PNG file with several frames.

    The first bytes of a GIF file do not contain its number of frames: a loop, a delay or a second frame counts.
    """
    if head.startswith(GIF):
        return _is_animated_gif(head)
    if head.startswith(PNG):
        return b"acTL" in head and head.find(b"acTL") < (head.find(b"IDAT") & 0xFFFFFFFF)
    return is_webp(head) and head[12:16] == b"VP8X" and bool(head[20] & WEBP_ANIMATION_FLAG)


def is_webp(head: bytes) -> bool:
    """Return whether the first bytes of a file are those of a WebP file."""
    return head[:4] == b"RIFF" and head[8:12] == b"WEBP" and len(head) > 20


def _is_animated_gif(head: bytes) -> bool:
    if b"NETSCAPE2.0" in head or b"ANIMEXTS1.0" in head:
        return True
    control = head.find(b"\x21\xf9\x04")
    return control >= 0 and head[control + 4 : control + 6] not in (b"", b"\0", b"\0\0")


def read_properties(path: Path, max_pixels: int = files.MAX_IMAGE_PIXELS) -> tuple[int, int, float, float]:
    """Read width and height (upright), average frame rate in Hz and duration of one pass in seconds.

    Raises:
        BadInput: not a GIF, WebP or PNG file, it declares more than `max_pixels`, or its first frame is damaged.
    """
    delays = _read_delays(path)
    height, width = next(_decode_images(path, max_pixels))[1].shape[:2]
    duration = sum(delays) / 1000
    return width, height, len(delays) / duration, duration


def decode_frames(
    path: Path, max_pixels: int = files.MAX_IMAGE_PIXELS
) -> Iterator[tuple[int, np.ndarray, Callable[[], np.ndarray]]]:
    """Yield time in microseconds, luma, and a function that returns RGB, of each frame of one pass.

    Raises:
        BadInput: the file is damaged or truncated; raised after the last complete frame (WebP: before the first).
    """
    for time_us, pixels in _decode_images(path, max_pixels):
        yield time_us, np.asarray(PIL.Image.fromarray(pixels).convert("L")), pixels.copy


def sample_frames(path: Path, max_pixels: int, duration: float, n_frames: int) -> list[np.ndarray]:
    """Decode up to `n_frames` RGB frames, evenly spaced over an animation of a duration in seconds."""
    times = [0.0, *itertools.accumulate(_read_delays(path))][:-1]
    starts = [1000 * duration * number / n_frames for number in range(n_frames)]
    chosen = {max(each for each, time in enumerate(times) if time <= start) for start in starts}
    return [pixels for number, (_, pixels) in enumerate(_decode_images(path, max_pixels)) if number in chosen]


def _decode_images(path: Path, max_pixels: int) -> Iterator[tuple[int, np.ndarray]]:
    """Yield time in microseconds and RGB pixels of each frame."""
    delays, time_ms, number = _read_delays(path), 0.0, 0
    try:
        with files.ignore_image_warnings(), files.lift_pillow_limit(), files.open_image(path, max_pixels) as image:
            first = 1 if getattr(image, "default_image", False) else 0  # shown only where animations are not
            for number, delay in enumerate(delays):
                image.seek(first + number)
                image.load()
                yield round(time_ms * 1000), convert_to_rgb(path, PIL.ImageOps.exif_transpose(image))
                time_ms += delay
    except (BadInput, BadOption):
        raise
    except Exception as error:  # Pillow's decoders raise various types for damaged files
        raise BadInput(f"{path}: damaged or truncated after {number} frames ({error}); copy it again") from error
    with path.open("rb") as file:
        if not _is_complete(file, len(delays)):
            raise BadInput(f"{path}: truncated after {number + 1} frames; copy it again")


def _read_delays(path: Path) -> list[float]:
    """Read the time in milliseconds for which each frame is shown, without decoding."""
    with path.open("rb") as file:
        head = file.read(32)
        walk = _walk_gif if head.startswith(GIF) else _walk_png if head.startswith(PNG) else _walk_webp
        try:
            delays = list(itertools.islice(walk(file), MAX_FRAMES))
        except BadInput as error:
            raise BadInput(f"{path}: {error}; save it again") from error
    # A still image is one frame.
    return [each if each > MIN_DELAY_MS else DEFAULT_DELAY_MS for each in delays] or [DEFAULT_DELAY_MS]


def _is_complete(file: BinaryIO, n_frames: int) -> bool:
    """Return whether the file has the frames and the length that its headers declare."""
    head = file.read(4096)
    size = file.seek(0, 2)
    if head.startswith(PNG):
        place = head.find(b"acTL")
        return place < 0 or n_frames >= int.from_bytes(head[place + 4 : place + 8], "big")
    if is_webp(head):
        return size >= 8 + int.from_bytes(head[4:8], "little")
    file.seek(max(0, size - 64))
    return b"\x3b" in file.read()


def _walk_gif(file: BinaryIO) -> Iterator[float]:
    file.seek(6)
    canvas = struct.unpack("<HH", file.read(4).ljust(4, b"\0"))
    flags = file.read(3)[:1]
    if flags and flags[0] & 0x80:
        file.seek(3 << (flags[0] & 7) + 1, 1)
    delay = 0.0
    while (block := file.read(1)) in (b"\x21", b"\x2c"):
        if block == b"\x2c":
            descriptor = file.read(9)
            if len(descriptor) < 9:
                return
            left, top, width, height = struct.unpack_from("<4H", descriptor)
            if left + width > canvas[0] or top + height > canvas[1]:  # Pillow would enlarge the canvas, players do not
                raise BadInput(
                    f"a frame of {width}x{height} at ({left}, {top}) exceeds the canvas of {canvas[0]}x{canvas[1]}"
                )
            file.seek((3 << (descriptor[8] & 7) + 1 if descriptor[8] & 0x80 else 0) + 1, 1)
            if not _skip_gif_data(file):
                return
            yield delay
            delay = 0.0
        elif file.read(1) == b"\xf9":
            control = file.read(5)
            delay = 10.0 * int.from_bytes(control[2:4], "little")
            _skip_gif_data(file)
        else:
            _skip_gif_data(file)


def _skip_gif_data(file: BinaryIO) -> bool:
    """Skip sub-blocks up to the empty one; return False at the end of the file."""
    while length := file.read(1):
        if length == b"\0":
            return True
        file.seek(length[0], 1)
    return False


def _walk_png(file: BinaryIO) -> Iterator[float]:
    file.seek(len(PNG))
    while len(header := file.read(8)) == 8:
        length = int.from_bytes(header[:4], "big")
        if header[4:] == b"fcTL" and len(control := file.read(26)) == 26:
            # A denominator of 0 means hundredths of a second.
            yield 1000 * int.from_bytes(control[20:22], "big") / (int.from_bytes(control[22:24], "big") or 100)
            length -= 26
        file.seek(length + 4, 1)


def _walk_webp(file: BinaryIO) -> Iterator[float]:
    file.seek(12)
    while len(header := file.read(8)) == 8:
        length = int.from_bytes(header[4:], "little")
        if header[:4] == b"ANMF" and len(control := file.read(16)) == 16:
            yield float(int.from_bytes(control[12:15], "little"))
            length -= 16
        file.seek(length + length % 2, 1)
