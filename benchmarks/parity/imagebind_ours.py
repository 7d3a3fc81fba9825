"""ImageBind: our side of the comparison."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import soundfile
from run import TOLERANCE, ParityRow
from safetensors.numpy import load_file

from anybind.registry import create_part
from anybind_media.depth import DepthMap
from anybind_media.sound import Waveform

SOUNDS, RESAMPLED, IMAGES = 20, 8, 6
RATE = 16_000
NOTE = """
All encoders have the published sizes, and every weight differs from its initial value: an omitted weight changes the
result. Inputs are preprocessed by upstream's loaders, for sound with both conventions of clip starts; upstream
publishes no loader of depth maps, so torchvision's transforms follow its description (unknown depth is 4 m on both
sides). Sound is at 16 kHz; the rows at 44.1 kHz show the difference between the two resamplers, SoX's and torchaudio's.
"""
TEXTS = ("a dog", "A photo of a Rubber Duck, on a lake.", "rain &amp; thunder", "naïve café", "an event camera", "🦆")
MAPS = {
    "tum/1_depth.pgm": (1000, 518.0),
    "tum/2_depth.pgm": (1000, 518.0),
    "tum/3_depth.pgm": (1000, 518.0),
    "tum/ch7_1_depth.png": (5000, 520.9),
    "tum/ch7_2_depth.png": (5000, 520.9),
    "kinect/depth.png": (1000, 365.0),
}
"""Units per metre, and the focal length in pixels."""
BASELINE = 0.075
EMPTY_M = 4.0
"""Depth of pixels of unknown depth in metres: upstream has no rule for them."""


def write_inputs(folder: Path, data: Path) -> None:
    """Write sound at 16 kHz in several lengths, depth maps in metres, images and texts."""
    paths = sorted(path for path in (data / "esc10").rglob("*.ogg"))
    paths = paths[:: len(paths) // SOUNDS][:SOUNDS]
    if len(paths) < SOUNDS:
        raise SystemExit(f"{data / 'esc10'} expected at least {SOUNDS} sound files")
    decoded = [Waveform(*_decode(path)) for path in paths]
    originals = decoded[:: SOUNDS // RESAMPLED][:RESAMPLED]
    _save(folder / "originals.npz", [sound.samples for sound in originals])
    np.save(folder / "rates.npy", np.array([sound.rate for sound in originals]))
    sounds = [sound.resample(RATE).samples for sound in decoded]
    random = np.random.default_rng(0)
    # Complete recordings, and shorter ones, also shorter than a clip.
    lengths = [None if number % 2 else int(random.integers(RATE // 4, 5 * RATE)) for number in range(SOUNDS)]
    _save(folder / "sounds.npz", [sound[:, :length] for sound, length in zip(sounds, lengths, strict=True)])
    _save(folder / "depth.npz", [_read_metres(data / "rgbd" / name, units) for name, (units, _) in MAPS.items()])
    np.save(folder / "focal.npy", np.array([fx for _, fx in MAPS.values()]))
    image_paths = sorted((data / "caltech101" / "images").rglob("*.jpg"))
    image_paths = image_paths[:: len(image_paths) // IMAGES][:IMAGES]
    _save(folder / "images.npz", [np.array(PIL.Image.open(path).convert("RGB")) for path in image_paths])
    (folder / "texts.txt").write_text("\n".join(TEXTS), encoding="utf-8")


def compare_encoders(folder: Path) -> list[ParityRow]:
    """Compare every encoder."""
    upstream = load_file(folder / "upstream.safetensors")
    sounds = [Waveform(samples, RATE) for samples in _load(folder / "sounds.npz")]
    focal = np.load(folder / "focal.npy", allow_pickle=False)
    maps = [
        DepthMap(m, fx=float(fx), baseline=BASELINE) for m, fx in zip(_load(folder / "depth.npz"), focal, strict=True)
    ]
    images = _load(folder / "images.npz")
    rates = np.load(folder / "rates.npy", allow_pickle=False)
    originals = [Waveform(x, int(rate)) for x, rate in zip(_load(folder / "originals.npz"), rates, strict=True)]
    weights = str(folder / "weights.safetensors")
    return [
        *_compare("sound", weights, sounds, upstream, "sound", clips="pytorchvideo"),
        *_compare("sound", weights, sounds, upstream, "sound-0.1.5", clips="pytorchvideo-0.1.5"),
        # Two resamplers: their difference is reported without a criterion.
        *_compare("sound", weights, originals, upstream, "sound-resampled", suffix="at 44.1 kHz", tolerance=None),
        *_compare("depth", weights, maps, upstream, "depth"),
        *_compare("image", weights, images, upstream, "image"),
        *_compare("text", weights, list(TEXTS), upstream, "text"),
    ]


def _compare(
    modality: str,
    weights: str,
    samples: list[Any],
    upstream: Any,
    name: str,
    *,
    suffix: str = "",
    tolerance: float | None = TOLERANCE,
    **options: Any,
) -> list[ParityRow]:
    encoder = create_part("encoder", f"imagebind-{modality}", weights=weights, **options)
    inputs = [encoder.preprocess(sample) for sample in samples]
    vectors = np.concatenate([encoder.encode([each]) for each in inputs])
    label = " ".join([modality, *options.values(), *([suffix] if suffix else [])])
    results = {"preprocessed": np.stack([each.numpy() for each in inputs]), "embedding": vectors}
    return [
        ParityRow.compare(label, what, ours, upstream[f"{name}.{what}"], tolerance=tolerance)
        for what, ours in results.items()
    ]


def _decode(path: Path) -> tuple[np.ndarray, int]:
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    return np.ascontiguousarray(samples.T), rate


def _read_metres(path: Path, units: int) -> np.ndarray:
    metres = np.array(PIL.Image.open(path)).astype(np.float32) / units
    return np.where(metres > 0, metres, np.float32(EMPTY_M))


def _save(path: Path, arrays: list[np.ndarray]) -> None:
    np.savez(path, *arrays)


def _load(path: Path) -> list[np.ndarray]:
    with np.load(path, allow_pickle=False) as archive:
        return [archive[name] for name in archive.files]
