"""A world of plain colours: pictures, sounds of three pitches, and words, embedded by counting."""

from __future__ import annotations

import os
import wave
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

import anybind
from anybind.binding import ConfiguredPart
from anybind.encoder import Encoder
from anybind.registry import Registry, use_registry
from anybind.spec import BindingSpec, EncoderSpec

RGB = {"red": (250, 10, 10), "green": (10, 250, 20), "blue": (20, 10, 250), "yellow": (250, 240, 5)}
RATE = 8000
HERTZ = {"red": 300, "green": 900, "blue": 2100}


class Colour(Encoder):
    """Pictures by their mean colour, words by the letters of red, green and blue, sounds by their pitch."""

    weights_hash = ""
    preprocessing = {}  # noqa: RUF012 (an interface attribute)

    def __init__(self, modality: str, weights: str = "0" * 12, space: str = "colour") -> None:
        self.modality = modality
        self.weights_hash = weights
        self.space = anybind.Space(space, 3)

    def encode(self, inputs):
        return anybind.normalize(
            np.array([getattr(self, self.modality)(sample) for sample in inputs], dtype=float) + 0.01
        )

    def image(self, sample):
        return sample.reshape(-1, 3).mean(axis=0) / 255

    def text(self, sample):
        return [name in sample for name in ("red", "green", "blue")]

    def sound(self, sample):
        power = np.abs(np.fft.rfft(sample.samples[0])) ** 2
        pitch = np.argmax(power) * sample.rate / len(sample)
        return [abs(pitch - hertz) < 100 for hertz in HERTZ.values()]

    def event(self, sample):
        return [sample.p.mean(), 1 - sample.p.mean(), 0]


def binding(argument: str) -> anybind.Binding:
    """The binding `colours`; `colours:sound` and the like have one encoder more."""
    uses = {of: ConfiguredPart("colour", {"modality": of}) for of in ("text", "image", *filter(None, [argument]))}
    return anybind.Binding("colours", uses, space="colour")


@pytest.fixture(autouse=True)
def made_binding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, add_plugin: Callable[..., None]
) -> Iterator[Registry]:
    """The installed plugins and the binding `colours`, in a folder of its own with a cache of its own."""
    made = Registry.from_entry_points()
    add_plugin(
        made,
        EncoderSpec(name="colour", summary="s", modality="image", target=f"{__name__}:Colour"),
        BindingSpec(name="colours", summary="s", target=f"{__name__}:binding"),
    )
    former = use_registry(made)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    yield made
    use_registry(former)


@dataclass(frozen=True)
class World:
    """A folder of files that can be added to and changed."""

    folder: Path

    def picture(self, name: str, colour: str, mtime: int | None = None) -> Path:
        """Write a picture of one colour."""
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        PIL.Image.fromarray(np.full((6, 8, 3), RGB[colour], np.uint8)).save(path)
        return self._dated(path, mtime)

    def sound(self, name: str, colour: str, seconds: float = 0.25) -> Path:
        """Write a sound of the pitch that stands for a colour."""
        path = self.folder / name
        times = np.arange(round(seconds * RATE)) / RATE
        samples = (20_000 * np.sin(2 * np.pi * HERTZ[colour] * times)).astype("<i2")
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(RATE)
            file.writeframes(samples.tobytes())
        return path

    def _dated(self, path: Path, mtime: int | None) -> Path:
        if mtime is not None:
            os.utime(path, ns=(mtime, mtime))
        return path


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Three pictures, one in a folder of its own."""
    made = World(tmp_path / "files")
    made.folder.mkdir()
    made.picture("a red.png", "red")
    made.picture("green.png", "green")
    made.picture("deep/blue.png", "blue")
    return made


@pytest.fixture(params=["i.safetensors", "i.lance"])
def place(request: Any, tmp_path: Path) -> Path:
    """Where an index goes: a file, and a database."""
    return tmp_path / request.param


@pytest.fixture
def embedded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Colours of the pictures that were embedded, as they come."""
    seen: list[str] = []
    names = {colour: name for name, colour in RGB.items()}
    embed = Colour.image

    def watched(self: Colour, sample: np.ndarray) -> Any:
        seen.append(names[tuple(sample[0, 0].tolist())])
        return embed(self, sample)

    monkeypatch.setattr(Colour, "image", watched)
    return seen
