"""Plots of audio clips: waveform above, mel spectrogram below."""

from __future__ import annotations

import numpy as np

from anybind_media.colormap import apply_colormap

WIDTH, WAVE_HEIGHT, BANDS = 480, 80, 120
BACKGROUND, LINE, INK = (255, 255, 255), (200, 200, 200), (32, 74, 135)
FRAME_S = 0.032
"""Frame length of a spectrogram column in seconds."""
RANGE_DB = 80.0
"""Dynamic range of the colours in dB."""


def plot_sound(samples: np.ndarray, rate: int) -> np.ndarray:
    """Plot waveform and spectrogram, uint8 (200, 480, 3), with time from left to right.

    The waveform's edges are full scale, or the peak if that is larger. In the spectrogram, low frequencies are at the
    bottom; the lightest colour is the maximum, the darkest is 80 dB or more below it.

    Args:
        samples: float32 (n,), at least one.
        rate: sample rate in Hz.
    """
    return np.vstack([_plot_waveform(samples), _plot_spectrogram(samples, rate)])


def _plot_waveform(samples: np.ndarray) -> np.ndarray:
    image = np.full((WAVE_HEIGHT, WIDTH, 3), BACKGROUND, np.uint8)
    middle = WAVE_HEIGHT // 2
    image[middle] = LINE
    edges = np.arange(WIDTH) * len(samples) // WIDTH
    tops, bottoms = np.maximum.reduceat(samples, edges), np.minimum.reduceat(samples, edges)
    scale = (middle - 1) / max(1.0, float(np.abs(samples).max()))
    rows = np.arange(WAVE_HEIGHT)[:, None]
    above, below = np.rint(middle - tops * scale), np.rint(middle - bottoms * scale)
    image[(rows >= above) & (rows <= below) & ((tops != 0) | (bottoms != 0))] = INK
    return image


def _plot_spectrogram(samples: np.ndarray, rate: int) -> np.ndarray:
    length = 1 << int(np.clip(np.log2(FRAME_S * rate), 6, 13).round())
    padded = np.pad(samples, (0, max(0, length - len(samples))))
    starts = np.linspace(0, len(padded) - length, WIDTH).astype(int)
    frames = padded[starts[:, None] + np.arange(length)] * np.hanning(length).astype(np.float32)
    power = np.abs(np.fft.rfft(frames)) ** 2
    levels = 10 * np.log10(_average_bands(power, rate) + 1e-12)
    top = levels.max()
    if top <= -120:  # silence
        return apply_colormap(np.zeros((BANDS, WIDTH)))
    return apply_colormap(1 + (levels.T[::-1] - top) / RANGE_DB)


def _average_bands(power: np.ndarray, rate: int) -> np.ndarray:
    """Average the power of (columns, bins) in mel bands, (columns, BANDS), interpolating in bands without bins."""
    mel_top = np.log1p(rate / 2 / 700)
    edges = np.expm1(np.linspace(0, mel_top, BANDS + 1)) * 700 / (rate / 2) * (power.shape[1] - 1)
    sums = np.concatenate([np.zeros((len(power), 1)), np.cumsum(power, axis=1)], axis=1)
    positions = np.arange(sums.shape[1])
    at_edges = np.stack([np.interp(edges, positions, row) for row in sums])
    return np.maximum(np.diff(at_edges), 0) / np.diff(edges)
