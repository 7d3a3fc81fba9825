"""The files that pages speak of, small: a photo, recordings, sounds, videos, folders of classes."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import PIL.Image

import anybind

MACHINES = ("a washing machine", "a fan", "a drill", "a saw", "a pump", "a lathe", "a press", "a mixer", "a compressor")
MACHINES += ("a dishwasher", "a train", "a truck")
CLASSES = {"cat": "chelsea.png", "cup of coffee": "coffee.png", "rocket": "rocket.jpg"}


def make_files(folder: Path) -> None:
    """Write all files into a folder."""
    photo = _open_photo("coffee.png")
    photo.save(folder / "photo.jpg")
    _open_photo("chelsea.png").save(folder / "cat.jpg")
    (folder / "new").mkdir()
    _open_photo("rocket.jpg").save(folder / "new" / "rocket.jpg")
    image = anybind.read(folder / "photo.jpg")
    recording = anybind.derive("event", image)
    for name in ("photo.npz", "recording.npz", "recording.h5", "day.h5"):
        anybind.write(recording, folder / name)
    _write_class_folders(folder / "photos")
    _write_camera_folders(folder / "photos", folder / "my-camera")
    _write_audio(folder)
    _write_videos(folder)
    depth = np.linspace(5000, 15000, 48 * 64).reshape(48, 64).astype(np.uint16)
    PIL.Image.fromarray(depth).save(folder / "depth.png")
    anybind.write(anybind.read(folder / "depth.png", reader="depth", preset="tum"), folder / "depth.npy")
    (folder / "labels.txt").write_text("a cat\na cup of coffee\na rocket\n")
    _write_vibrations(folder / "machines")


def make_models(folder: Path) -> None:
    """Write small models with random weights: `my-model` of sentence-transformers, `my-open-clip` of open_clip."""
    from helpers.tiny_models import make_clip, make_open_clip

    make_clip(folder / "my-model")
    make_open_clip(folder / "my-open-clip")


def _open_photo(name: str, side: int = 96) -> PIL.Image.Image:
    """Return a photograph of scikit-image, scaled to at most `side` pixels."""
    spec = importlib.util.find_spec("skimage")
    assert spec is not None
    assert spec.origin is not None
    image = PIL.Image.open(Path(spec.origin).parent / "data" / name).convert("RGB")
    image.thumbnail((side, side))
    return image


def _write_class_folders(folder: Path) -> None:
    """Write three classes of six images each: crops of one photograph."""
    for name, source in CLASSES.items():
        (folder / name).mkdir(parents=True)
        whole = _open_photo(source, 128)
        for number in range(6):
            left, top = 8 * (number % 2), 8 * (number // 2)
            part = whole.crop((left, top, left + whole.width - 8, top + whole.height - 8))
            part.resize((96, 72)).save(folder / name / f"{number}.jpg")


def _write_camera_folders(photos: Path, folder: Path) -> None:
    """Write two recordings of each class of photographs."""
    for name in CLASSES:
        (folder / name).mkdir(parents=True)
        for number in range(2):
            recording = anybind.derive("event", anybind.read(photos / name / f"{number}.jpg"), seed=number)
            anybind.write(recording, folder / name / f"{number}.npz")


def _write_audio(folder: Path) -> None:
    """Write three seconds of noise of varying loudness."""
    random = np.random.default_rng(0)
    loudness = np.abs(np.sin(np.linspace(0, 9, 3 * 44_100)))
    noise = (0.1 * loudness * random.standard_normal(3 * 44_100)).astype(np.float32)
    from anybind_media.sound import Waveform

    anybind.write(Waveform(noise[None], 44_100), folder / "dog.ogg")


def _write_videos(folder: Path) -> None:
    """Write videos of a bright square on a dark background, and labels of their anomalous frames."""
    import av

    (folder / "videos").mkdir()
    for path, frames in (
        (folder / "video.mp4", 40),
        (folder / "videos" / "calm.mp4", 48),
        (folder / "videos" / "odd.mp4", 48),
    ):
        with av.open(str(path), "w") as file:
            stream = file.add_stream("mpeg4", rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            for number in range(frames):
                frame = np.full((48, 64, 3), 30, np.uint8)
                step = 5 if path.stem == "odd" and number > 32 else 1
                left = number * step % 48
                frame[16:32, left : left + 16] = 220
                file.mux(stream.encode(av.VideoFrame.from_ndarray(frame)))
            file.mux(stream.encode(None))
    labels = {"calm": {"anomalous": [], "split": "train"}, "odd": {"anomalous": [[33, 48]]}}
    (folder / "frames").mkdir()
    for number in range(20):
        image = np.full((48, 64), 30, np.uint8)
        image[16:32, number : number + 16] = 220
        PIL.Image.fromarray(image).save(folder / "frames" / f"{number + 1}.png")
    (folder / "videos" / "labels.json").write_text(json.dumps(labels))


def _write_vibrations(folder: Path) -> None:
    """Write vibration traces of machines: one CSV file per trace, one folder per machine, each with its own frequency."""
    random = np.random.default_rng(0)
    times = np.arange(256)[:, None] / 256
    for number, name in enumerate(MACHINES):
        (folder / name).mkdir(parents=True)
        for take in range(3):
            tones = np.sin(2 * np.pi * 8 * (number + 1) * times + np.arange(3) + take)
            trace = (1 + number % 3) * tones + 0.1 * random.standard_normal((256, 3))
            np.savetxt(folder / name / f"{take}.vib", trace, fmt="%.4f", delimiter=",")
