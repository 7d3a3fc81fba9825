"""Replicas of published datasets: their layout with a few small recordings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import anybind
from anybind_events.stream import EventStream


def make_recording(seed: int, count: int = 20) -> EventStream:
    random = np.random.default_rng(seed)
    return EventStream(
        random.integers(0, 30, count), random.integers(0, 30, count), np.arange(count), np.ones(count), 34, 34
    )


@pytest.fixture
def fill(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes recordings: `fill("Train/0/1.bin", ...)`."""

    def write(*paths: str, root: str = "data") -> Path:
        for number, name in enumerate(paths):
            path = tmp_path / root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            anybind.write(make_recording(number), path)
        return tmp_path / root

    return write


@pytest.fixture
def touch(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes empty files."""

    def make(*paths: str, root: str = "data") -> Path:
        for name in paths:
            path = tmp_path / root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return tmp_path / root

    return make
