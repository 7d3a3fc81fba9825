"""LanguageBind: our side of the comparison."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import soundfile
from run import Row
from safetensors.torch import load_file
from transformers.models.clip.tokenization_clip import bytes_to_unicode

import anybind
from anybind.registry import create_part
from anybind_languagebind.thermal import ThermalImage
from anybind_media.depth import DepthMap
from anybind_media.sound import Waveform
from anybind_media.video import open_video

NOTE = """
The models have the published widths and 4 layers instead of 24 (words: 12), so that six checkpoints fit beside one
another, and a small vocabulary of our own. Upstream's random choices are fixed from outside: of the places that it
draws parts of sounds from, the first, the middle one and the last; films are not mirrored. Its audio model refuses
inputs that are not square, its own input among them: there its embedding of films, which computes the same and does not
look, stands in. Sounds are at 16 kHz, since the two sides resample differently. *Not antialiased* is what upstream did
on the torchvision 0.14 that it was trained with.
"""
RATE = 16_000
SOUNDS, PICTURES = 8, 6
MAPS = {
    "tum/1_depth.pgm": 1,
    "tum/2_depth.pgm": 1,
    "tum/3_depth.pgm": 1,
    "tum/ch7_1_depth.png": 5,
    "tum/ch7_2_depth.png": 5,
    "kinect/depth.png": 1,
}
"""How many units a millimetre has: upstream takes depth maps in millimetres."""
FILM_FRAMES = {"01": 5, "02": 33, "03": 60}
"""How much of each film of UCSD Ped2 is played; the first is shorter than what a tower takes."""
WORDS = ("a barking dog", "Rain, and wind!", "a photo of an elephant", "it's 1 o'clock", "C++ 3.14", "word " * 100)
MERGES = ("t h", "th e</w>", "i n", "in g</w>", "a n", "an d</w>", "o f</w>", "r a", "e r</w>", "o r", "or d</w>")
"""A tokenizer of our own making: the published one is on the hub alone."""


def inputs(folder: Path, data: Path) -> None:
    """Sounds at 16 kHz, depth maps in millimetres, pictures and films as PNG, so that decoders have no say; words."""
    for name in ("sounds", "depth", "pictures", "films"):
        (folder / name).mkdir(exist_ok=True)
    for number, samples in enumerate(_sounds(data)):
        np.save(folder / "sounds" / f"{number:02}.npy", samples)
    for number, (name, units) in enumerate(MAPS.items()):
        millimetres = np.array(PIL.Image.open(data / "rgbd" / name)) // units
        PIL.Image.fromarray(millimetres.astype(np.uint16)).save(folder / "depth" / f"{number:02}.png")
    pictures = sorted((data / "caltech101" / "images").rglob("*.jpg"))
    for number, path in enumerate(pictures[:: len(pictures) // PICTURES][:PICTURES]):
        PIL.Image.open(path).convert("RGB").save(folder / "pictures" / f"{number:02}.png")
    for film, count in FILM_FRAMES.items():
        (folder / "films" / film).mkdir(exist_ok=True)
        for number, path in enumerate(sorted((data / "ucsd_ped2" / "frames" / film).iterdir())[:count]):
            PIL.Image.open(path).convert("RGB").save(folder / "films" / film / f"{number:04}.png")
    (folder / "words.txt").write_text("\n".join(WORDS), encoding="utf-8")
    _write_tokenizer(folder)


def _sounds(data: Path) -> list[np.ndarray]:
    """Clips as they are, some in a row so that they are longer than what the tower takes, and silence."""
    paths = sorted((data / "esc10").rglob("*.ogg"))
    clips = []
    for path in paths[:: len(paths) // SOUNDS][:SOUNDS]:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
        clips.append(Waveform(np.ascontiguousarray(samples.T), rate).resample(RATE).samples)
    both = np.concatenate([clips[0], clips[1][:, : clips[0].shape[1]]])
    return [*clips, np.concatenate(clips[:3], 1), np.concatenate(clips, 1), both, np.zeros((1, RATE), np.float32)]


def _write_tokenizer(folder: Path) -> None:
    letters = list(bytes_to_unicode().values())
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), *(merge.replace(" ", "") for merge in MERGES)]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({token: number for number, token in enumerate(tokens)}))
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *MERGES, ""]), encoding="utf-8")


def rows(folder: Path) -> list[Row]:
    """Every tower, one at a time."""
    theirs = load_file(folder / "upstream.safetensors")
    sounds = [Waveform(np.load(path), RATE) for path in sorted((folder / "sounds").iterdir())]
    maps = [np.array(PIL.Image.open(path)) for path in sorted((folder / "depth").iterdir())]
    depth = [DepthMap(millimetres.astype(np.float32) / np.float32(1000)) for millimetres in maps]
    pictures = [anybind.read(path) for path in sorted((folder / "pictures").iterdir())]
    films = [open_video(path) for path in sorted((folder / "films").iterdir())]
    thermal = [ThermalImage(picture) for picture in pictures]
    # Upstream puts colours before frames.
    theirs |= {
        name: tensor.transpose(1, 2) for name, tensor in theirs.items() if name[:5] == "video" and tensor.ndim == 5
    }

    def compared(modality: str, checkpoint: str, samples: Any, shown: str = "", **options: Any) -> list[Row]:
        return _compared(folder / f"LanguageBind_{checkpoint}", modality, samples, theirs, shown or modality, **options)

    return [
        *compared("text", "Image", WORDS),
        *compared("image", "Image", pictures),
        *compared("image", "Image", pictures, "image not antialiased", antialias=False),
        *compared("sound", "Audio_FT", sounds),
        *compared("depth", "Depth", depth),
        *compared("thermal", "Thermal", thermal),
        *compared("video", "Video_FT", films, "video Video_FT"),
        *compared("video", "Video_V1.5_FT", films, "video Video_V1.5_FT"),
    ]


def _compared(
    checkpoint: Path, modality: str, samples: Any, theirs: dict[str, Any], shown: str, **options: Any
) -> list[Row]:
    tower = create_part("encoder", f"languagebind-{modality}", model=f"local-dir:{checkpoint}", **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", anybind.AnybindWarning)  # of the text that is too long, as it should be
        prepared = [tower.preprocess(sample) for sample in samples]
    vectors = np.concatenate([tower.encode([each]) for each in prepared])
    if modality == "text":  # upstream fills up to the context with ends
        prepared = [np.pad(each, (0, tower.context - len(each)), constant_values=tower.end) for each in prepared]
    return [
        Row.of(
            shown, "preprocessed", np.stack([np.asarray(each) for each in prepared]), theirs[f"{shown}.preprocessed"]
        ),
        Row.of(shown, "embedding", vectors, theirs[f"{shown}.embedding"]),
    ]
