"""Measurement of an exported encoder beside its source: accuracy with its limits, and speed."""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Mapping, Sequence

import numpy as np

from anybind import AnybindWarning, normalize
from anybind.plugin import Adapter, Encoder, export
from anybind_export.card import Gate, Precision, Speed

MIN_SAMPLES = 64
MAX_DIFFERENCE = 1e-4
MIN_COSINE: Mapping[str, float] = {"fp16": 0.999, "int8": 0.99}
MIN_UNCHANGED = 0.99
BATCH_SIZE = 32
ROUNDS, MIN_ROUNDS, SECONDS = 20, 3, 4.0
"""Largest and smallest number of timed rounds, and the time in seconds after which no round is begun."""


def encode_samples(encoder: Encoder, samples: Sequence[object], adapters: Sequence[Adapter] = ()) -> np.ndarray:
    """Encode samples, and map them by adapters: (n, d) float32, of norm 1."""
    inputs = preprocess_samples(encoder, samples)
    parts = range(0, len(inputs), BATCH_SIZE)
    return adapt(np.concatenate([encoder.encode(inputs[i : i + BATCH_SIZE]) for i in parts]), adapters)


def preprocess_samples(encoder: Encoder | export.EncoderInput, samples: Sequence[object]) -> list[object]:
    """Preprocess samples, without warnings of truncated texts, which are compared as such."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AnybindWarning)
        return [encoder.preprocess(sample) for sample in samples]


def adapt(vectors: np.ndarray, adapters: Sequence[Adapter]) -> np.ndarray:
    """Map (n, d) unit vectors by adapters, to unit vectors."""
    for adapter in adapters:
        vectors = normalize(adapter.map(vectors), "adapted vector")
    return vectors


def compare(
    expected: np.ndarray,
    actual: np.ndarray,
    precision: Precision,
    synthetic: bool,
    unchanged: float | None = None,
) -> Gate:
    """Compare the embeddings of an exported encoder with its source's.

    Args:
        expected, actual: (n, d) unit vectors of the source and of the exported encoder.
        precision: precision of the export, which sets the limits.
        synthetic: whether the samples were generated.
        unchanged: fraction of unchanged zero-shot answers, if known.
    """
    difference = float(np.abs(expected - actual).max())
    cosines = (expected.astype(np.float64) * actual).sum(1)
    lowest, missed = float(cosines.min()), ""
    if precision == "fp32":
        if not difference <= MAX_DIFFERENCE:
            missed = f"max difference {difference:.2e} (at most {MAX_DIFFERENCE:.0e} expected)"
    elif not lowest >= MIN_COSINE[precision]:
        missed = f"min cosine {lowest:.4f} (at least {MIN_COSINE[precision]} expected)"
    elif precision == "int8" and unchanged is not None and not unchanged >= MIN_UNCHANGED:
        missed = f"{unchanged:.1%} of zero-shot answers unchanged (at least {MIN_UNCHANGED:.0%} expected)"
    figures = f"min cosine {lowest:.4f}, max difference {difference:.1e}, {len(expected)} samples"
    return Gate(
        samples=len(expected),
        synthetic=synthetic,
        max_difference=difference,
        min_cosine=lowest,
        mean_cosine=float(cosines.mean()),
        answers_unchanged=unchanged,
        missed=f"{precision}: {missed}; {figures}" if missed else "",
    )


def compare_answers(expected: np.ndarray, actual: np.ndarray) -> float:
    """Return the fraction of equal answers, the columns of the highest similarities, (n, names)."""
    return float((expected.argmax(1) == actual.argmax(1)).mean())


def measure_speed(source: Encoder, exported: Encoder, samples: Sequence[object]) -> tuple[Speed, ...]:
    """Measure the time of one sample, and of a batch of 32, from preprocessed inputs to embeddings."""
    inputs = [preprocess_samples(each, samples[:BATCH_SIZE]) for each in (source, exported)]
    speeds = []
    for size in (1, BATCH_SIZE):
        times: tuple[list[float], list[float]] = ([], [])
        begun = time.perf_counter()
        for number in range(ROUNDS):
            if number >= MIN_ROUNDS and time.perf_counter() - begun > SECONDS:
                break
            for encoder, prepared, taken in zip((source, exported), inputs, times, strict=True):
                start = time.perf_counter()
                encoder.encode(prepared[:size])
                taken.append(time.perf_counter() - start)
        eager, other = (round(1e3 * statistics.median(taken), 3) for taken in times)
        speeds.append(Speed(size, eager, other))
    return tuple(speeds)
