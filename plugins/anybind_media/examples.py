"""Samples and files for the conformance checks: small images, tones, depth maps, a video of four frames."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL.Image

from anybind.testing import Example
from anybind_media.depth import DepthMap


def anybind_examples(kind: str, name: str, folder: Path) -> Example | None:
    """Return the example of a part; None to use the example of its modality."""
    make = {"modality": MODALITIES, "reader": READERS}.get(kind, {}).get(name)
    return make(folder) if make else None


def render_image(seed: int, height: int = 48, width: int = 64) -> np.ndarray:
    """Render smooth colours, (height, width, 3) uint8."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return np.asarray(PIL.Image.fromarray(coarse).resize((width, height), PIL.Image.Resampling.BICUBIC))


def _make_depth_map(seed: int) -> DepthMap:
    metres = np.random.default_rng(seed).uniform(0.5, 9, (24, 32)).astype(np.float32)
    metres[0, :5] = np.nan
    return DepthMap(np.round(metres, 3), fx=30.0, baseline=0.1)


def _make_images(folder: Path) -> Example:
    return Example(samples=[render_image(0), render_image(1, 64, 40)], wrong=[render_image(0)[:0]])


def _make_texts(folder: Path) -> Example:
    return Example(samples=["a cat", "two dogs in the rain", "x"], wrong=["", "  "])


def _make_audio_clips(folder: Path) -> Example:
    from anybind_media.sound import Waveform

    rate, random = 16000, np.random.default_rng(0)
    time = np.arange(24000) / rate
    waves = [0.3 * np.sin(2 * np.pi * pitch * time) + 0.01 * random.standard_normal(len(time)) for pitch in (500, 800)]
    samples = [Waveform(wave.astype(np.float32)[None], rate) for wave in waves]
    return Example(samples=samples, wrong=[Waveform(np.full((1, 99), np.nan, np.float32), rate)])


def _make_depth_maps(folder: Path) -> Example:
    return Example(
        samples=[_make_depth_map(0), _make_depth_map(1)], wrong=[DepthMap(np.full((4, 4), np.nan, np.float32))]
    )


def _make_videos(folder: Path) -> Example:
    from anybind_media.video import VideoReader

    frames = folder / "frames"
    frames.mkdir()
    for number in range(4):
        PIL.Image.fromarray(render_image(number)).save(frames / f"{number}.png")
    return Example(samples=[VideoReader().read(frames)])


def _write_video(folder: Path) -> Example:
    import av

    with av.open(str(folder / "video.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(4):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(render_image(number), format="rgb24")))
        container.mux(stream.encode())
    return Example(files=[folder / "video.mp4"])


ExampleMakers = dict[str, Callable[[Path], Example]]
MODALITIES: ExampleMakers = {
    "image": _make_images,
    "text": _make_texts,
    "sound": _make_audio_clips,
    "depth": _make_depth_maps,
    "video": _make_videos,
}
READERS: ExampleMakers = {"depth": lambda folder: Example(samples=[_make_depth_map(0)]), "video": _write_video}
