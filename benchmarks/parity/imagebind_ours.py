"""ImageBind: our side of the comparison."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import soundfile
from run import TOLERANCE, Row
from safetensors.numpy import load_file

from anybind.registry import create_part
from anybind_media.depth import DepthMap
from anybind_media.sound import Waveform

SOUNDS, RESAMPLED, PICTURES = 20, 8, 6
RATE = 16_000
NOTE = """
All encoders have the published sizes, and every weight differs from its initial value, so that none can be ignored
unnoticed. Upstream's loaders make its inputs, for audio with both conventions of where clips begin. It publishes none
for depth maps: torchvision's transforms follow its description (pixels without a depth get 4 m on both sides). Audio
has 16 kHz; the row at 44.1 kHz shows the difference of the two resamplers, SoX's and torchaudio's.
"""
WORDS = ("a dog", "A photo of a Rubber Duck, on a lake.", "rain &amp; thunder", "naïve café", "an event camera", "🦆")
MAPS = {
    "tum/1_depth.pgm": (1000, 518.0),
    "tum/2_depth.pgm": (1000, 518.0),
    "tum/3_depth.pgm": (1000, 518.0),
    "tum/ch7_1_depth.png": (5000, 520.9),
    "tum/ch7_2_depth.png": (5000, 520.9),
    "kinect/depth.png": (1000, 365.0),
}
"""How many units a metre has, and the focal length in pixels."""
BASELINE = 0.075
EMPTY_M = 4.0
"""What pixels without a depth get: upstream has no rule for them, and ours is compared with nothing."""


def inputs(folder: Path, data: Path) -> None:
    """Sounds at 16 kHz, cut to several lengths, depth maps in metres and pictures, each array by its number."""
    paths = sorted(path for path in (data / "esc10").rglob("*.ogg"))
    paths = paths[:: len(paths) // SOUNDS][:SOUNDS]
    if len(paths) < SOUNDS:
        raise SystemExit(f"{data / 'esc10'} holds too few sounds")
    decoded = [Waveform(*_decoded(path)) for path in paths]
    originals = decoded[:: SOUNDS // RESAMPLED][:RESAMPLED]
    _save(folder / "originals.npz", [sound.samples for sound in originals])
    np.save(folder / "rates.npy", np.array([sound.rate for sound in originals]))
    sounds = [sound.resample(RATE).samples for sound in decoded]
    random = np.random.default_rng(0)
    # Whole clips, and some that are shorter: fractions of a sample, of a clip, and less than a clip.
    lengths = [None if number % 2 else int(random.integers(RATE // 4, 5 * RATE)) for number in range(SOUNDS)]
    _save(folder / "sounds.npz", [sound[:, :length] for sound, length in zip(sounds, lengths, strict=True)])
    _save(folder / "depth.npz", [_metres(data / "rgbd" / name, units) for name, (units, _) in MAPS.items()])
    np.save(folder / "focal.npy", np.array([fx for _, fx in MAPS.values()]))
    pictures = sorted((data / "caltech101" / "images").rglob("*.jpg"))
    pictures = pictures[:: len(pictures) // PICTURES][:PICTURES]
    _save(folder / "pictures.npz", [np.array(PIL.Image.open(path).convert("RGB")) for path in pictures])
    (folder / "words.txt").write_text("\n".join(WORDS), encoding="utf-8")


def rows(folder: Path) -> list[Row]:
    """Every tower, one at a time."""
    theirs = load_file(folder / "upstream.safetensors")
    sounds = [Waveform(samples, RATE) for samples in _load(folder / "sounds.npz")]
    focal = np.load(folder / "focal.npy", allow_pickle=False)
    maps = [
        DepthMap(m, fx=float(fx), baseline=BASELINE) for m, fx in zip(_load(folder / "depth.npz"), focal, strict=True)
    ]
    pictures = _load(folder / "pictures.npz")
    rates = np.load(folder / "rates.npy", allow_pickle=False)
    originals = [Waveform(x, int(rate)) for x, rate in zip(_load(folder / "originals.npz"), rates, strict=True)]
    weights = str(folder / "weights.safetensors")
    return [
        *_compared("sound", weights, sounds, theirs, "sound", clips="pytorchvideo"),
        *_compared("sound", weights, sounds, theirs, "sound-0.1.5", clips="pytorchvideo-0.1.5"),
        # Two resamplers: what is left between them is told, so that one knows what it amounts to.
        *_compared("sound", weights, originals, theirs, "sound-resampled", said="at 44.1 kHz", tolerance=None),
        *_compared("depth", weights, maps, theirs, "depth"),
        *_compared("image", weights, pictures, theirs, "image"),
        *_compared("text", weights, list(WORDS), theirs, "text"),
    ]


def _compared(
    modality: str,
    weights: str,
    samples: list[Any],
    theirs: Any,
    name: str,
    *,
    said: str = "",
    tolerance: float | None = TOLERANCE,
    **options: Any,
) -> list[Row]:
    tower = create_part("encoder", f"imagebind-{modality}", weights=weights, **options)
    prepared = [tower.preprocess(sample) for sample in samples]
    vectors = np.concatenate([tower.encode([each]) for each in prepared])
    shown = " ".join([modality, *options.values(), *([said] if said else [])])
    results = {"preprocessed": np.stack([each.numpy() for each in prepared]), "embedding": vectors}
    return [Row.of(shown, what, ours, theirs[f"{name}.{what}"], tolerance=tolerance) for what, ours in results.items()]


def _decoded(path: Path) -> tuple[np.ndarray, int]:
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    return np.ascontiguousarray(samples.T), rate


def _metres(path: Path, units: int) -> np.ndarray:
    metres = np.array(PIL.Image.open(path)).astype(np.float32) / units
    return np.where(metres > 0, metres, np.float32(EMPTY_M))


def _save(path: Path, arrays: list[np.ndarray]) -> None:
    np.savez(path, *arrays)


def _load(path: Path) -> list[np.ndarray]:
    with np.load(path, allow_pickle=False) as held:
        return [held[name] for name in held.files]
