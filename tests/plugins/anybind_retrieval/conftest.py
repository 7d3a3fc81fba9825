"""A folder of images of one colour, sounds of three pitches and texts, with an encoder that needs no weights."""

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


class ColourEncoder(Encoder):
    """Encoder of images by mean colour, texts by the names of red, green and blue, sounds by pitch."""

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


def make_binding(argument: str) -> anybind.Binding:
    """Return the binding `colours`; `colours:sound` and the like have one more encoder."""
    modalities = ("text", "image", *filter(None, [argument]))
    encoders = {modality: ConfiguredPart("colour", {"modality": modality}) for modality in modalities}
    return anybind.Binding("colours", encoders, space="colour")


@pytest.fixture(autouse=True)
def colour_registry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, add_plugin: Callable[..., None]
) -> Iterator[Registry]:
    """Register the binding `colours`, and change to a temporary folder with its own cache."""
    registry = Registry.from_entry_points()
    add_plugin(
        registry,
        EncoderSpec(name="colour", summary="s", modality="image", target=f"{__name__}:ColourEncoder"),
        BindingSpec(name="colours", summary="s", target=f"{__name__}:make_binding"),
    )
    previous = use_registry(registry)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    yield registry
    use_registry(previous)


@dataclass(frozen=True)
class MediaFolder:
    """A folder in which tests write images and sounds."""

    folder: Path

    def write_image(self, name: str, colour: str, mtime: int | None = None) -> Path:
        """Write an image of one colour."""
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        PIL.Image.fromarray(np.full((6, 8, 3), RGB[colour], np.uint8)).save(path)
        if mtime is not None:
            os.utime(path, ns=(mtime, mtime))
        return path

    def write_sound(self, name: str, colour: str, seconds: float = 0.25) -> Path:
        """Write a sound with the pitch of a colour."""
        path = self.folder / name
        times = np.arange(round(seconds * RATE)) / RATE
        samples = (20_000 * np.sin(2 * np.pi * HERTZ[colour] * times)).astype("<i2")
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(RATE)
            file.writeframes(samples.tobytes())
        return path


@pytest.fixture
def media(tmp_path: Path) -> MediaFolder:
    """Three images, one in a subfolder."""
    media = MediaFolder(tmp_path / "files")
    media.folder.mkdir()
    media.write_image("a red.png", "red")
    media.write_image("green.png", "green")
    media.write_image("deep/blue.png", "blue")
    return media


@pytest.fixture(params=["i.safetensors", "i.lance"])
def location(request: Any, tmp_path: Path) -> Path:
    """Path of an index: a file, and a database."""
    return tmp_path / request.param


@pytest.fixture
def embedded_colours(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Colours of the embedded images, in order."""
    colours: list[str] = []
    names = {colour: name for name, colour in RGB.items()}
    embed = ColourEncoder.image

    def record(self: ColourEncoder, sample: np.ndarray) -> Any:
        colours.append(names[tuple(sample[0, 0].tolist())])
        return embed(self, sample)

    monkeypatch.setattr(ColourEncoder, "image", record)
    return colours
