"""Compiled loops of corruptions."""

from __future__ import annotations

import numpy as np

from anybind.plugin import kernel


@kernel
def _emit_crossings(
    pixel: int, end: float, levels: np.ndarray, outputs: np.ndarray, references: np.ndarray, times: np.ndarray,
    threshold: float, tau: float, pixels: np.ndarray, event_times: np.ndarray, polarities: np.ndarray, count: int,
) -> int:  # fmt: skip
    """Move a pixel's low-passed level on to `end`; emit an event at each threshold that it crosses."""
    level, output, start = levels[pixel], outputs[pixel], times[pixel]
    sign = 1.0 if level > output else -1.0
    while True:
        crossing = references[pixel] + sign * threshold
        if sign * (level - crossing) <= 1e-9:  # it approaches its input, and stays below the threshold
            break
        time = start + tau * np.log((output - level) / (crossing - level))
        if time > end:
            break
        pixels[count], event_times[count], polarities[count] = pixel, np.int64(np.rint(time)), sign > 0
        count += 1
        output, start, references[pixel] = crossing, time, crossing
    outputs[pixel] = level + (output - level) * np.exp((start - end) / tau)
    times[pixel] = end
    return count


@kernel
def darken(
    cells: np.ndarray, t: np.ndarray, p: np.ndarray, references: np.ndarray, threshold: float, tau: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """Return the events that slower pixels of a higher threshold send of the same light, in no order.

    Each event of the input is a step of 1 of its pixel's log intensity, which is low-passed.

    Args:
        cells: (n,) pixel indices.
        t, p: (n,) times in microseconds, polarities.
        references: (pixels,) float64, level of each pixel's last event before the recording; it is updated.
        threshold: 1 or more.
        tau: time constant, microseconds, above 0.

    Returns:
        pixel indices, times and polarities.
    """
    levels, outputs = np.zeros(len(references)), np.zeros(len(references))
    times = np.full(len(references), np.float64(t[0]))
    capacity = 2 * len(t) + 1
    pixels, event_times = np.empty(capacity, np.int64), np.empty(capacity, np.int64)
    polarities = np.empty(capacity, np.bool_)
    count = 0
    for i in range(len(t)):
        pixel = cells[i]
        count = _emit_crossings(
            pixel, np.float64(t[i]), levels, outputs, references, times, threshold, tau,
            pixels, event_times, polarities, count,
        )  # fmt: skip
        levels[pixel] += 1.0 if p[i] else -1.0
    for pixel in range(len(references)):
        if levels[pixel] != outputs[pixel]:
            count = _emit_crossings(
                pixel, np.float64(t[-1]), levels, outputs, references, times, threshold, tau,
                pixels, event_times, polarities, count,
            )  # fmt: skip
    return pixels[:count], event_times[:count], polarities[:count]
