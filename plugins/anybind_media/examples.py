"""What the conformance kit tries this plugin's parts on: small pictures, tones, depth maps, a film of four frames."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL.Image

from anybind.testing import Example
from anybind_media.depth import DepthMap


def anybind_examples(kind: str, name: str, folder: Path) -> Example | None:
    """The example of a part; None where the samples of its modality's example do."""
    made = {"modality": MODALITIES, "reader": READERS}.get(kind, {}).get(name)
    return made(folder) if made else None


def picture(seed: int, height: int = 48, width: int = 64) -> np.ndarray:
    """Smooth colours, (height, width, 3) uint8."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return np.asarray(PIL.Image.fromarray(coarse).resize((width, height), PIL.Image.Resampling.BICUBIC))


def _depth(seed: int) -> DepthMap:
    metres = np.random.default_rng(seed).uniform(0.5, 9, (24, 32)).astype(np.float32)
    metres[0, :5] = np.nan
    return DepthMap(np.round(metres, 3), fx=30.0, baseline=0.1)


def _images(folder: Path) -> Example:
    return Example(samples=[picture(0), picture(1, 64, 40)], wrong=[picture(0)[:0]])


def _texts(folder: Path) -> Example:
    return Example(samples=["a cat", "two dogs in the rain", "x"], wrong=["", "  "])


def _sounds(folder: Path) -> Example:
    from anybind_media.sound import Waveform

    rate, random = 16000, np.random.default_rng(0)
    time = np.arange(24000) / rate
    waves = [0.3 * np.sin(2 * np.pi * pitch * time) + 0.01 * random.standard_normal(len(time)) for pitch in (500, 800)]
    samples = [Waveform(wave.astype(np.float32)[None], rate) for wave in waves]
    return Example(samples=samples, wrong=[Waveform(np.full((1, 99), np.nan, np.float32), rate)])


def _depths(folder: Path) -> Example:
    return Example(samples=[_depth(0), _depth(1)], wrong=[DepthMap(np.full((4, 4), np.nan, np.float32))])


def _films(folder: Path) -> Example:
    from anybind_media.video import VideoReader

    frames = folder / "film"
    frames.mkdir()
    for number in range(4):
        PIL.Image.fromarray(picture(number)).save(frames / f"{number}.png")
    return Example(samples=[VideoReader().read(frames)])


def _film_file(folder: Path) -> Example:
    import av

    with av.open(str(folder / "film.mp4"), "w") as film:
        stream = film.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(4):
            film.mux(stream.encode(av.VideoFrame.from_ndarray(picture(number), format="rgb24")))
        film.mux(stream.encode())
    return Example(files=[folder / "film.mp4"])


Makes = dict[str, Callable[[Path], Example]]
MODALITIES: Makes = {"image": _images, "text": _texts, "sound": _sounds, "depth": _depths, "video": _films}
READERS: Makes = {"depth": lambda folder: Example(samples=[_depth(0)]), "video": _film_file}
