"""Examples for the conformance checks of this plugin's parts."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import anybind
from anybind.plugin import modalities
from anybind.testing import Example

RATE = 16_000
VOWELS = {"a": (730, 1090, 2440), "i": (270, 2290, 3010), "u": (300, 870, 2240)}
"""Formants in Hz of an adult male voice; source: Peterson and Barney, 1952."""


def make_speech(vowels: str, seconds: float = 0.4, pitch: float = 120.0) -> np.ndarray:
    """Synthesise vowels, a pulse train through three resonators each: (n,) float32 at 16 kHz."""
    count = round(seconds * RATE)
    parts = []
    for number, vowel in enumerate(vowels):
        pulses = np.zeros(count)
        pulses[:: round(RATE / (pitch + 10 * number))] = 1.0
        for formant in VOWELS[vowel]:
            pulses = _resonate(pulses, formant, 90.0)
        parts.append(pulses / np.abs(pulses).max() * np.hanning(count) ** 0.3)
    return (0.5 * np.concatenate(parts)).astype(np.float32)


def _resonate(signal: np.ndarray, frequency: float, bandwidth: float) -> np.ndarray:
    """Filter by a resonator of two poles."""
    radius = np.exp(-np.pi * bandwidth / RATE)
    times = np.arange(512)
    angle = 2 * np.pi * frequency / RATE
    response = radius**times * np.sin(angle * (times + 1)) / np.sin(angle)
    return np.convolve(signal, response)[: len(signal)]


def anybind_examples(kind: str, name: str, folder: Path) -> Example | None:
    """Return samples of speech, and the text encoder of `mini` for the encoder."""
    samples = [modalities.make_sample("sound", make_speech(vowels), RATE) for vowels in ("aia", "uai", "iua")]
    if kind == "modality":
        return Example(samples=samples, sources={"sound": samples[0]})
    return Example(options={"text": anybind.load("mini").encoder("text")}, samples=samples)
