"""The input of YAMNet: log mel patches of 0.96 s, every 0.48 s, of mono audio at 16 kHz. In numpy.

Frames of 25 ms every 10 ms, a periodic Hann window, the magnitude (not the power) of a Fourier transform of 512 points,
64 triangular bands evenly spaced on the HTK mel scale from 125 to 7500 Hz, and the logarithm of the sum of each band
plus 0.001. Source: `features.py` and `params.py` of YAMNet in TensorFlow Models (Apache-2.0).
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator

import numpy as np

RATE = 16_000
FRAME, STEP, FFT = 400, 160, 512
"""Frame length, frame step and length of the Fourier transform, in samples."""
MELS, LOWEST_HZ, HIGHEST_HZ = 64, 125.0, 7500.0
LOG_OFFSET = 0.001
PATCH, PATCH_STEP = 96, 48
"""Length and step of patches, in frames."""
PATCH_SAMPLES = (PATCH - 1) * STEP + FRAME
SETTINGS = {
    "rate": RATE,
    "frame": FRAME,
    "step": STEP,
    "fft": FFT,
    "mels": MELS,
    "hertz": [LOWEST_HZ, HIGHEST_HZ],
    "log_offset": LOG_OFFSET,
    "patch": PATCH,
    "patch_step": PATCH_STEP,
}


def compute_patches(blocks: Iterable[np.ndarray], every: int = 1) -> np.ndarray:
    """Compute the log mel patches of a clip, float32 (patches, 96, 64); silence completes the last one.

    Args:
        blocks: consecutive segments of the clip, each (n,) float32 at 16 kHz; memory does not grow with their number.
        every: keep one patch of so many, beginning with the first.
    """
    patches, number, frames = [], 0, np.empty((0, MELS), np.float32)
    for new_frames in _compute_frames(blocks):
        frames = np.concatenate([frames, new_frames])
        n_complete = max(0, (len(frames) - PATCH) // PATCH_STEP + 1)
        if n_complete:
            windows = np.lib.stride_tricks.sliding_window_view(frames, PATCH, axis=0)[::PATCH_STEP]
            patches.append(windows[-number % every :: every].transpose(0, 2, 1).copy())
        number += n_complete
        frames = frames[n_complete * PATCH_STEP :]
    return np.concatenate(patches)


def count_patches(n_samples: int) -> int:
    """Count the patches of a clip of `n_samples` samples: at least one, and the last one covers its end."""
    return 1 + max(0, -(-(n_samples - PATCH_SAMPLES) // (PATCH_STEP * STEP)))


def _compute_frames(blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Yield the log mel energies of consecutive frames, (frames, 64), up to the end of the last patch."""
    n_frames, rest = 0, np.empty(0, np.float32)
    for block in blocks:
        rest = np.concatenate([rest, block])
        if len(rest) >= FRAME:
            energies = compute_log_mels(rest)
            yield energies
            n_frames += len(energies)
            rest = rest[len(energies) * STEP :]
    missing = (count_patches(n_frames * STEP + len(rest)) - 1) * PATCH_STEP + PATCH - n_frames
    if missing > 0:
        yield compute_log_mels(np.pad(rest, (0, (missing - 1) * STEP + FRAME - len(rest))))


def compute_log_mels(samples: np.ndarray) -> np.ndarray:
    """Compute the log mel energies of the whole frames of (n,) float32 samples, n >= 400: float32 (frames, 64)."""
    frames = np.lib.stride_tricks.sliding_window_view(samples, FRAME)[::STEP]
    window, filters = _make_tables()
    with np.errstate(over="ignore", invalid="ignore"):  # samples above 1e36, whose embeddings are rejected
        spectrum = np.abs(np.fft.rfft(frames * window, FFT))
        return np.log(spectrum @ filters + np.float32(LOG_OFFSET))


@functools.cache
def _make_tables() -> tuple[np.ndarray, np.ndarray]:
    """Make the Hann window (400,) and the weights of the spectrum's bins in the bands (257, 64), float32."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FRAME) / FRAME)
    lowest, highest = _convert_to_mel(np.array([LOWEST_HZ, HIGHEST_HZ]))
    edges = np.linspace(lowest, highest, MELS + 2)
    bins = _convert_to_mel(np.linspace(0, RATE / 2, FFT // 2 + 1))[:, None]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    return window.astype(np.float32), np.maximum(0, np.minimum(rising, falling)).astype(np.float32)


def _convert_to_mel(hz: np.ndarray) -> np.ndarray:
    return 1127 * np.log1p(hz / 700)
