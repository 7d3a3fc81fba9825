"""Random recordings for the speed benchmarks."""

from __future__ import annotations

import numpy as np

from anybind_events.stream import EventStream

DURATION = 1_000_000
"""Duration in microseconds."""


def uniform_pixels(events: int, width: int, height: int, seed: int) -> EventStream:
    """Make events at uniformly drawn pixels."""
    random = np.random.default_rng(seed)
    x = random.integers(0, width, events, dtype=np.uint16)
    y = random.integers(0, height, events, dtype=np.uint16)
    return EventStream(x, y, draw_times(random, events), random.random(events) < 0.5, width, height)


def moving_edges(events: int, width: int, height: int, seed: int, edges: int = 24) -> EventStream:
    """Make moving straight edges, each of one polarity except for 10 % of its events, and 5 % noise."""
    random = np.random.default_rng(seed)
    t = draw_times(random, events)
    centre, speed = random.random((edges, 2)), random.uniform(-0.4, 0.4, (edges, 2))
    angle, length = random.uniform(0, np.pi, edges), random.uniform(0.1, 0.6, edges) * height
    edge = random.integers(0, edges, events)
    along, off = random.uniform(-0.5, 0.5, events) * length[edge], random.normal(0, 0.7, events)
    position = centre[edge] + speed[edge] * (t[:, None] / DURATION)
    x = position[:, 0] * width + along * np.cos(angle[edge]) - off * np.sin(angle[edge])
    y = position[:, 1] * height + along * np.sin(angle[edge]) + off * np.cos(angle[edge])
    noise = random.random(events) < 0.05
    x[noise], y[noise] = random.uniform(0, width, noise.sum()), random.uniform(0, height, noise.sum())
    p = (edge % 2 == 0) ^ (random.random(events) < 0.1)
    return EventStream(np.floor(x) % width, np.floor(y) % height, t, p, width, height)


def draw_times(random: np.random.Generator, events: int) -> np.ndarray:
    """Draw sorted timestamps within one second."""
    return np.sort(random.integers(0, DURATION, events))
