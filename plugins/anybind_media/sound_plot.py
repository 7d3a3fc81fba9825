"""A sound as a picture: its waveform above, its spectrogram on a mel scale below."""

from __future__ import annotations

import numpy as np

from anybind_media.colormap import coloured

WIDTH, WAVE_HEIGHT, BANDS = 480, 80, 120
PAPER, LINE, INK = (255, 255, 255), (200, 200, 200), (32, 74, 135)
SECONDS = 0.032
"""Length of the parts of a sound that a column of the spectrogram shows."""
LEVELS = 80.0
"""Decibels from the lightest colour to the darkest."""


def sound_picture(samples: np.ndarray, rate: int) -> np.ndarray:
    """uint8 (200, 480, 3): time from left to right, full scale or the peak beyond it at the edges of the waveform.

    Below, low tones are at the bottom; the lightest colour is the loudest, the darkest 80 dB or more below it.

    Args:
        samples: float32 (n,), at least one.
        rate: in Hz.
    """
    return np.vstack([_wave(samples), _spectrogram(samples, rate)])


def _wave(samples: np.ndarray) -> np.ndarray:
    picture = np.full((WAVE_HEIGHT, WIDTH, 3), PAPER, np.uint8)
    middle = WAVE_HEIGHT // 2
    picture[middle] = LINE
    edges = np.arange(WIDTH) * len(samples) // WIDTH
    tops, bottoms = np.maximum.reduceat(samples, edges), np.minimum.reduceat(samples, edges)
    scale = (middle - 1) / max(1.0, float(np.abs(samples).max()))
    rows = np.arange(WAVE_HEIGHT)[:, None]
    above, below = np.rint(middle - tops * scale), np.rint(middle - bottoms * scale)
    picture[(rows >= above) & (rows <= below) & ((tops != 0) | (bottoms != 0))] = INK
    return picture


def _spectrogram(samples: np.ndarray, rate: int) -> np.ndarray:
    length = 1 << int(np.clip(np.log2(SECONDS * rate), 6, 13).round())
    padded = np.pad(samples, (0, max(0, length - len(samples))))
    starts = np.linspace(0, len(padded) - length, WIDTH).astype(int)
    frames = padded[starts[:, None] + np.arange(length)] * np.hanning(length).astype(np.float32)
    power = np.abs(np.fft.rfft(frames)) ** 2
    levels = 10 * np.log10(_bands(power, rate) + 1e-12)
    top = levels.max()
    if top <= -120:  # silence
        return coloured(np.zeros((BANDS, WIDTH)))
    return coloured(1 + (levels.T[::-1] - top) / LEVELS)


def _bands(power: np.ndarray, rate: int) -> np.ndarray:
    """Mean power of the bins in each band, (columns, bins) to (columns, BANDS); between bins where there is none."""
    mel_top = np.log1p(rate / 2 / 700)
    edges = np.expm1(np.linspace(0, mel_top, BANDS + 1)) * 700 / (rate / 2) * (power.shape[1] - 1)
    sums = np.concatenate([np.zeros((len(power), 1)), np.cumsum(power, axis=1)], axis=1)
    places = np.arange(sums.shape[1])
    at_edges = np.stack([np.interp(edges, places, row) for row in sums])
    return np.maximum(np.diff(at_edges), 0) / np.diff(edges)
