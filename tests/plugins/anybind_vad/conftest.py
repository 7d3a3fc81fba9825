"""Films for anomaly detection: people who walk along a wall, and one who runs."""

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
class Street:
    """A made film.

    Attributes:
        path: the file.
        frames: how many it has.
        runner: numbers of the frames in which someone runs.
    """

    path: Path
    frames: int
    runner: range

    @property
    def labels(self) -> np.ndarray:
        """1 for each frame in which someone runs, else 0."""
        return np.isin(np.arange(self.frames), self.runner).astype(int)


def save_film(
    path: Path, frames: Sequence[np.ndarray], times_ms: Sequence[int] | None = None, codec: str = "mpeg4"
) -> Path:
    """A film of RGB frames at 25 a second, or at these times."""
    with av.open(path, "w") as container:
        stream = container.add_stream(codec, rate=FPS)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.bit_rate = 4_000_000
        tick = Fraction(1, FPS) if times_ms is None else Fraction(1, 1000)
        stream.codec_context.time_base = tick
        for number, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            picture.pts, picture.time_base = (number if times_ms is None else times_ms[number]), tick
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return path


@pytest.fixture(scope="session")
def make_film() -> Callable[..., Path]:
    """Write frames as a film: `make_film(path, frames, times_ms=None)`."""
    return save_film


@pytest.fixture(scope="session")
def make_street(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Street]:
    """A film of a street: `make_street(frames=192, runner=range(96, 128), seed=0)`; the same one is made once."""
    folder = tmp_path_factory.mktemp("streets")

    def make(frames: int = 192, runner: range = range(96, 128), seed: int = 0) -> Street:
        path = folder / f"{frames}-{runner.start}-{runner.stop}-{seed}.mkv"
        if not path.exists():
            save_film(path, render_street(frames, runner, seed))
        return Street(path, frames, runner)

    return make


class Toy(Encoder):
    """Embeds events by how many there are and how many are rises, pictures by their mean colour."""

    weights_hash = "2" * 12
    preprocessing = {}  # noqa: RUF012 (an interface attribute)

    def __init__(self, modality: str) -> None:
        self.modality = modality
        self.space = anybind.Space("toy", 3)
        self.embedded = 0

    def encode(self, inputs: Sequence[object]) -> np.ndarray:
        self.embedded += len(inputs)
        return anybind.normalize(np.array([self.one(sample) for sample in inputs], dtype=np.float32))

    def one(self, sample: object) -> list[float]:
        if isinstance(sample, np.ndarray):
            return sample.reshape(-1, 3).mean(axis=0).tolist()
        return [len(sample), sample.p.sum(), 1.0]


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> anybind.Binder:
    """A binder of events and pictures by `Toy`."""
    binder = anybind.load(anybind.Binding("toy", {name: ConfiguredPart("none") for name in ("event", "image")}))
    monkeypatch.setattr(binder, "_encoders", {name: Toy(name) for name in ("event", "image")})
    return binder
