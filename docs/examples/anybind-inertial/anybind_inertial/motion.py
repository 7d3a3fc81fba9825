"""The encoder `inertial-motion`: rotation-invariant features of a trace, mapped linearly."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from anybind import Space, normalize
from anybind.plugin import BadInput, Encoder, tables

from anybind_inertial.trace import Trace

WEIGHTS = Path(__file__).with_name("motion.safetensors")
RATE = 50.0
"""Sample rate that every trace is resampled to, Hz; human motion is slower."""
SEGMENT = 128
"""Length of a spectrum in samples, 2.56 s: a resolution of 0.4 Hz."""
BANDS = (0.3, 0.7, 1.1, 1.5, 1.9, 2.4, 3.0, 4.5, 8.0, 14.0, 25.0)
"""Edges of the frequency bands, Hz."""
SMALLEST = 1e-4
"""Power added before the logarithm, below the noise of a sensor."""


class MotionEncoder(Encoder):
    """An encoder of traces, 16 dimensions.

    Three signals do not depend on the orientation of the device: acceleration along gravity, across it, and the speed
    of rotation. The features of each are the logarithms of its power in ten bands, its standard deviation and its
    skewness; a linear map, fitted by `anybind_inertial.fit`, gives the embedding.
    """

    modality = "inertial"

    def __init__(self, *, weights: str | Path = WEIGHTS) -> None:
        """Load the map.

        Args:
            weights: a file that `python -m anybind_inertial.fit` wrote.

        Raises:
            BadInput: the file is missing or invalid.
        """
        self.tensors = load_tensors(weights, ("centre", "map"))
        if self.tensors["map"].ndim != 2 or self.tensors["map"].shape[0] != self.tensors["centre"].size:
            raise BadInput(f"{weights} holds a map of shape {self.tensors['map'].shape}")
        self.space = Space("inertial-motion", self.tensors["map"].shape[1], self.weights_hash)

    @property
    def weights_hash(self) -> str:
        return hash_tensors(self.tensors)

    @property
    def preprocessing(self) -> dict[str, Any]:
        return {"rate": RATE, "segment": SEGMENT, "bands": list(BANDS), "smallest": SMALLEST}

    def preprocess(self, sample: Trace) -> np.ndarray:
        """Compute the features of a trace, (36,) float64; see the class."""
        return compute_features(sample)

    def encode(self, inputs: Sequence[np.ndarray]) -> np.ndarray:
        centred = np.stack(inputs) - self.tensors["centre"]
        # Row by row, so that an embedding does not depend on the batch, not even by rounding.
        return normalize(np.stack([row @ self.tensors["map"] for row in centred]), "trace's vector")


def compute_features(trace: Trace) -> np.ndarray:
    """Compute features, (36,) float64: log power by band, log standard deviation and skewness of three signals."""
    acceleration, rotation = (_resample(values, trace.rate) for values in (trace.acceleration, trace.rotation))
    down = acceleration.mean(axis=0)
    gravity = np.linalg.norm(down)
    down = down / gravity if gravity > 0 else np.array([0.0, 0.0, 1.0])
    along = acceleration @ down
    across = np.linalg.norm(acceleration - along[:, None] * down, axis=1)
    values = []
    for signal in (along, across, np.linalg.norm(rotation, axis=1)):
        centred = signal - signal.mean()
        spread = centred.std()
        skewness = np.mean(centred**3) / (spread**3 + SMALLEST)
        values += [*np.log(_compute_band_powers(centred) + SMALLEST), np.log(spread + SMALLEST), np.arcsinh(skewness)]
    return np.array(values)


def _resample(values: np.ndarray, rate: float) -> np.ndarray:
    """Resample values to `RATE`: by means for a higher rate, else by linear interpolation."""
    values = values.astype(np.float64)
    every = int(rate // RATE)
    if every > 1:
        n_used = len(values) // every * every
        values, rate = values[:n_used].reshape(-1, every, 3).mean(axis=1), rate / every
    count = max(int(len(values) / rate * RATE), 2)
    target_times, times = np.arange(count) / RATE, np.arange(len(values)) / rate
    return np.column_stack([np.interp(target_times, times, values[:, axis]) for axis in range(3)])


def _compute_band_powers(signal: np.ndarray) -> np.ndarray:
    """Compute the mean power in each band over segments that overlap by half, (10,)."""
    if len(signal) < SEGMENT:
        signal = np.pad(signal, (0, SEGMENT - len(signal)))
    starts = range(0, len(signal) - SEGMENT + 1, SEGMENT // 2)
    segments = np.stack([signal[start : start + SEGMENT] for start in starts]) * np.hanning(SEGMENT)
    power = (np.abs(np.fft.rfft(segments)) ** 2).mean(axis=0) / SEGMENT
    band = np.digitize(np.fft.rfftfreq(SEGMENT, 1 / RATE), BANDS)
    return np.array([power[band == number].sum() for number in range(1, len(BANDS))])


def load_tensors(path: str | Path, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Read tensors of a safetensors file by name; raise `BadInput` if it is invalid or lacks one."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        tensors = load_file(path)
        return {name: tensors[name] for name in names}
    except (OSError, SafetensorError, KeyError) as error:
        raise BadInput(f"{path} holds no weights of anybind-inertial: {error}") from error


def hash_tensors(tensors: dict[str, np.ndarray]) -> str:
    """Hash tensors, 12 hexadecimal digits."""
    return tables.hash_settings(json.loads(json.dumps({name: tensors[name].tolist() for name in sorted(tensors)})))
