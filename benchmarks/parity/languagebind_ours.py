"""LanguageBind: our side of the comparison."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import soundfile
from run import ParityRow
from safetensors.torch import load_file
from tokenizers import pre_tokenizers

import anybind
from anybind.registry import create_part
from anybind_languagebind.thermal import ThermalImage
from anybind_media.depth import DepthMap
from anybind_media.sound import Waveform
from anybind_media.video import open_video

NOTE = """
The models have the published widths, 4 layers instead of 24 (text: 12) to limit the size of six checkpoints, and a
small vocabulary. Upstream's random choices are fixed: the first, middle and last of the possible positions of sound
windows, and no mirrored videos. Its audio model rejects inputs that are not square, including its own: there its video
embedding layer, which computes the same without this check, is used. Sound is at 16 kHz, since the two sides resample
differently. *Not antialiased* is upstream's behaviour on torchvision 0.14, which it was trained with.
"""
RATE = 16_000
SOUNDS, IMAGES = 8, 6
MAPS = {
    "tum/1_depth.pgm": 1,
    "tum/2_depth.pgm": 1,
    "tum/3_depth.pgm": 1,
    "tum/ch7_1_depth.png": 5,
    "tum/ch7_2_depth.png": 5,
    "kinect/depth.png": 1,
}
"""Units per millimetre: upstream reads depth maps in millimetres."""
VIDEO_FRAMES = {"01": 5, "02": 33, "03": 60}
"""Number of frames of each video of UCSD Ped2; the first is shorter than the encoder's input."""
TEXTS = ("a barking dog", "Rain, and wind!", "a photo of an elephant", "it's 1 o'clock", "C++ 3.14", "word " * 100)
MERGES = ("t h", "th e</w>", "i n", "in g</w>", "a n", "an d</w>", "o f</w>", "r a", "e r</w>", "o r", "or d</w>")
"""A small tokenizer: the published one is on the hub only."""


def write_inputs(folder: Path, data: Path) -> None:
    """Write sound at 16 kHz, depth maps in millimetres, images and videos as PNG (lossless), and texts."""
    for name in ("sounds", "depth", "images", "videos"):
        (folder / name).mkdir(exist_ok=True)
    for number, samples in enumerate(_load_sounds(data)):
        np.save(folder / "sounds" / f"{number:02}.npy", samples)
    for number, (name, units) in enumerate(MAPS.items()):
        millimetres = np.array(PIL.Image.open(data / "rgbd" / name)) // units
        PIL.Image.fromarray(millimetres.astype(np.uint16)).save(folder / "depth" / f"{number:02}.png")
    image_paths = sorted((data / "caltech101" / "images").rglob("*.jpg"))
    for number, path in enumerate(image_paths[:: len(image_paths) // IMAGES][:IMAGES]):
        PIL.Image.open(path).convert("RGB").save(folder / "images" / f"{number:02}.png")
    for video, count in VIDEO_FRAMES.items():
        (folder / "videos" / video).mkdir(exist_ok=True)
        for number, path in enumerate(sorted((data / "ucsd_ped2" / "frames" / video).iterdir())[:count]):
            PIL.Image.open(path).convert("RGB").save(folder / "videos" / video / f"{number:04}.png")
    (folder / "texts.txt").write_text("\n".join(TEXTS), encoding="utf-8")
    _write_tokenizer(folder)


def _load_sounds(data: Path) -> list[np.ndarray]:
    """Return recordings, concatenated recordings longer than the encoder's input, and silence."""
    paths = sorted((data / "esc10").rglob("*.ogg"))
    clips = []
    for path in paths[:: len(paths) // SOUNDS][:SOUNDS]:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
        clips.append(Waveform(np.ascontiguousarray(samples.T), rate).resample(RATE).samples)
    stereo = np.concatenate([clips[0], clips[1][:, : clips[0].shape[1]]])
    return [*clips, np.concatenate(clips[:3], 1), np.concatenate(clips, 1), stereo, np.zeros((1, RATE), np.float32)]


def _write_tokenizer(folder: Path) -> None:
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), *(merge.replace(" ", "") for merge in MERGES)]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({token: number for number, token in enumerate(tokens)}))
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *MERGES, ""]), encoding="utf-8")


def compare_encoders(folder: Path) -> list[ParityRow]:
    """Compare every encoder."""
    upstream = load_file(folder / "upstream.safetensors")
    sounds = [Waveform(np.load(path), RATE) for path in sorted((folder / "sounds").iterdir())]
    maps = [np.array(PIL.Image.open(path)) for path in sorted((folder / "depth").iterdir())]
    depth = [DepthMap(millimetres.astype(np.float32) / np.float32(1000)) for millimetres in maps]
    images = [anybind.read(path) for path in sorted((folder / "images").iterdir())]
    videos = [open_video(path) for path in sorted((folder / "videos").iterdir())]
    thermal = [ThermalImage(image) for image in images]
    # Upstream's axes are (channel, frame).
    upstream |= {
        name: tensor.transpose(1, 2) for name, tensor in upstream.items() if name[:5] == "video" and tensor.ndim == 5
    }

    def compare(modality: str, checkpoint: str, samples: Any, label: str = "", **options: Any) -> list[ParityRow]:
        return _compare(
            folder / f"LanguageBind_{checkpoint}", modality, samples, upstream, label or modality, **options
        )

    return [
        *compare("text", "Image", TEXTS),
        *compare("image", "Image", images),
        *compare("image", "Image", images, "image not antialiased", antialias=False),
        *compare("sound", "Audio_FT", sounds),
        *compare("depth", "Depth", depth),
        *compare("thermal", "Thermal", thermal),
        *compare("video", "Video_FT", videos, "video Video_FT"),
        *compare("video", "Video_V1.5_FT", videos, "video Video_V1.5_FT"),
    ]


def _compare(
    checkpoint: Path, modality: str, samples: Any, upstream: dict[str, Any], label: str, **options: Any
) -> list[ParityRow]:
    encoder = create_part("encoder", f"languagebind-{modality}", model=f"local-dir:{checkpoint}", **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", anybind.AnybindWarning)  # of the truncated text
        inputs = [encoder.preprocess(sample) for sample in samples]
    vectors = np.concatenate([encoder.encode([each]) for each in inputs])
    if modality == "text":  # upstream pads to the context with end tokens
        inputs = [np.pad(each, (0, encoder.context - len(each)), constant_values=encoder.end) for each in inputs]
    return [
        ParityRow.compare(
            label, "preprocessed", np.stack([np.asarray(each) for each in inputs]), upstream[f"{label}.preprocessed"]
        ),
        ParityRow.compare(label, "embedding", vectors, upstream[f"{label}.embedding"]),
    ]
