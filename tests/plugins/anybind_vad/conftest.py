"""Videos for anomaly detection: people who walk along a wall, and one who runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

import anybind
from anybind.binding import ConfiguredPart
from anybind.encoder import Encoder
from anybind_datasets.synthetic_videos import render_street

FPS = 25


@dataclass(frozen=True)
class StreetVideo:
    """A synthetic video of a street.

    Attributes:
        path: the file.
        frames: number of frames.
        runner: numbers of the frames with a runner.
    """

    path: Path
    frames: int
    runner: range

    @property
    def labels(self) -> np.ndarray:
        """Frame labels: 1 with a runner, else 0."""
        return np.isin(np.arange(self.frames), self.runner).astype(int)


def save_video(
    path: Path, frames: Sequence[np.ndarray], times_ms: Sequence[int] | None = None, codec: str = "mpeg4"
) -> Path:
    """Encode RGB frames as a video at 25 frames per second, or at given times."""
    with av.open(path, "w") as container:
        stream = container.add_stream(codec, rate=FPS)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.bit_rate = 4_000_000
        tick = Fraction(1, FPS) if times_ms is None else Fraction(1, 1000)
        stream.codec_context.time_base = tick
        for number, frame in enumerate(frames):
            image = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            image.pts, image.time_base = (number if times_ms is None else times_ms[number]), tick
            container.mux(stream.encode(image))
        container.mux(stream.encode())
    return path


@pytest.fixture(scope="session")
def make_video() -> Callable[..., Path]:
    """Encode frames as a video: `make_video(path, frames, times_ms=None)`."""
    return save_video


@pytest.fixture(scope="session")
def make_street(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., StreetVideo]:
    """Make a video of a street, once: `make_street(frames=192, runner=range(96, 128), seed=0)`."""
    folder = tmp_path_factory.mktemp("streets")

    def make(frames: int = 192, runner: range = range(96, 128), seed: int = 0) -> StreetVideo:
        path = folder / f"{frames}-{runner.start}-{runner.stop}-{seed}.mkv"
        if not path.exists():
            save_video(path, render_street(frames, runner, seed))
        return StreetVideo(path, frames, runner)

    return make


class ToyEncoder(Encoder):
    """Encoder of events by the numbers of events and of ON events, of images by mean colour."""

    weights_hash = "2" * 12
    preprocessing = {}  # noqa: RUF012 (an interface attribute)

    def __init__(self, modality: str) -> None:
        self.modality = modality
        self.space = anybind.Space("toy", 3)
        self.n_embedded = 0

    def encode(self, inputs: Sequence[object]) -> np.ndarray:
        self.n_embedded += len(inputs)
        return anybind.normalize(np.array([self.embed_sample(sample) for sample in inputs], dtype=np.float32))

    def embed_sample(self, sample: object) -> list[float]:
        if isinstance(sample, np.ndarray):
            return sample.reshape(-1, 3).mean(axis=0).tolist()
        return [len(sample), sample.p.sum(), 1.0]


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> anybind.Binder:
    """Make a binder with toy encoders of events and images."""
    binder = anybind.load(anybind.Binding("toy", {name: ConfiguredPart("none") for name in ("event", "image")}))
    monkeypatch.setattr(binder._loader, "encoders", {(name, "auto"): ToyEncoder(name) for name in ("event", "image")})
    return binder
