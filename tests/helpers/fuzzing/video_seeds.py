"""Seeds of videos: every container of the reader, and animated images."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image

from helpers.fuzzing.seeds import Seed, write_content
from helpers.fuzzing.theora import make_theora

N_FRAMES = 4
WIDTH, HEIGHT = 32, 16
CONTAINERS: Mapping[str, tuple[str, str, str, str, str]] = {
    "mp4-h264": (".mp4", "mp4", "libx264", "yuv420p", "mp4"),
    "mov-mpeg4": (".mov", "mov", "mpeg4", "yuv420p", "mp4"),
    "m4v-fragmented": (".m4v", "mp4", "mpeg4", "yuv420p", "mp4"),
    "3gp": (".3gp", "3gp", "mpeg4", "yuv420p", "mp4"),
    "mkv-h264": (".mkv", "matroska", "libx264", "yuv420p", "matroska"),
    "mkv-ffv1": (".mkv", "matroska", "ffv1", "yuv420p", "matroska"),
    "webm-vp8": (".webm", "webm", "libvpx", "yuv420p", "matroska"),
    "webm-vp9": (".webm", "webm", "libvpx-vp9", "yuv420p", "matroska"),
    "avi-mjpeg": (".avi", "avi", "mjpeg", "yuvj420p", "riff"),
    "avi-raw": (".avi", "avi", "rawvideo", "yuv420p", "riff"),
    "ts-mpeg2": (".ts", "mpegts", "mpeg2video", "yuv420p", "mpegts"),
    "ts-h264": (".ts", "mpegts", "libx264", "yuv420p", "mpegts"),
    "mpeg-1": (".mpg", "mpeg", "mpeg1video", "yuv420p", "binary"),
    "mpeg-2-stream": (".mpg", "mpeg2video", "mpeg2video", "yuv420p", "binary"),
    "y4m": (".y4m", "yuv4mpegpipe", "wrapped_avframe", "yuv420p", "y4m"),
    "flv": (".flv", "flv", "flv", "yuv420p", "flv"),
    "wmv": (".wmv", "asf", "wmv2", "yuv420p", "asf"),
}
"""Suffix, container, codec, pixel format and structure of each seed by FFmpeg."""
OPTIONS = {"m4v-fragmented": {"movflags": "frag_keyframe+empty_moov"}}


def make_frames() -> list[np.ndarray]:
    """Make the frames of a moving bar, (height, width, 3) uint8."""
    frames = []
    for number in range(N_FRAMES):
        frame = np.full((HEIGHT, WIDTH, 3), 30, np.uint8)
        frame[:, 6 * number : 6 * number + 5] = (220, 120, 60)
        frames.append(frame)
    return frames


def make_video_seeds() -> list[Seed]:
    """Make videos in every container that the installed FFmpeg writes, and animations."""
    seeds = []
    for name, (suffix, *encoding, structure) in CONTAINERS.items():
        content = write_content(
            suffix, lambda path, name=name, encoding=encoding: _write_video(path, *encoding, OPTIONS.get(name, {}))
        )
        seeds.append(Seed(name, suffix, content, structure, {"reader": "video"}))
    seeds.append(Seed("ogv", ".ogv", make_theora(WIDTH, HEIGHT, N_FRAMES), "ogg", {"reader": "video"}))
    images = [PIL.Image.fromarray(frame) for frame in make_frames()]
    for image_format, suffix, structure in (("GIF", ".gif", "gif"), ("PNG", ".apng", "png"), ("WEBP", ".webp", "riff")):
        file = io.BytesIO()
        images[0].save(file, image_format, save_all=True, append_images=images[1:], duration=40, loop=0)
        seeds.append(Seed(f"animated-{suffix[1:]}", suffix, file.getvalue(), structure, {"reader": "video"}))
    return seeds


def _write_video(path: Path, container: str, codec: str, pixels: str, options: dict[str, str]) -> None:
    import av

    given = {"fflags": "+bitexact", **options}
    with av.open(str(path), "w", format=container, options=given) as output:
        stream: Any = output.add_stream(codec, rate=25, options={"threads": "1", "flags": "+bitexact"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, pixels
        for frame in make_frames() * (4 if container == "mpegts" else 1):  # FFmpeg recognises it by many packets
            output.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24").reformat(format=pixels)))
        output.mux(stream.encode(None))
