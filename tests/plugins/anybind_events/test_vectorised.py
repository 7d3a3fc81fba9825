"""Kernels in NumPy give exactly the results of the compiled ones; small recordings need no numba."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import anybind
from anybind.plugin import create_part, readers
from anybind_classification.demo_images import RECORDING
from anybind_events import EventStream, choose_window, measure_activity
from anybind_events.modality import draw_recording
from helpers.kernels import run_kernels
from helpers.streams import draw_noise, event_streams, list_contents, move_bar, read_or_error

FRAMES = ("count-image", "polarity-histogram", "paper", "gray-frame", "red-blue")


def run_both(compute: Callable[[], object]) -> list[object]:
    results = []
    for compiled in (True, False):
        with run_kernels(compiled=compiled):
            results.append(compute())
    return results


def draw_frames(stream: EventStream) -> list[np.ndarray]:
    frames = [create_part("representation", name)(stream) for name in FRAMES]
    return [*frames, draw_recording(stream)] if len(stream) else frames


def list_recordings() -> list[EventStream]:
    real = anybind.read(RECORDING)
    bar, noise = move_bar(700_000, side=128, speed=300, noise_hz=2), draw_noise(200_000, 20, 240, 180, 0, hot_pixels=4)
    hot = np.full(70_000, 3)
    return [real, real[::50], bar, noise, EventStream(hot, hot, np.arange(70_000), hot % 2, 9, 7)]


@pytest.mark.parametrize("number", range(5))
def test_activity_windows_and_frames_are_equal(number: int) -> None:
    stream = list_recordings()[number]
    first, second = run_both(lambda: measure_activity(stream))
    assert first == second
    first, second = run_both(lambda: choose_window(stream))
    assert first == second
    assert all(np.array_equal(*frames) for frames in zip(*run_both(lambda: draw_frames(stream)), strict=True))


@settings(max_examples=150, deadline=None)
@given(event_streams(st.integers(0, 1 << 31), st.integers(1, 9), st.integers(1, 9)))
def test_results_are_equal_for_any_events(stream: EventStream) -> None:
    first, second = run_both(lambda: (measure_activity(stream), choose_window(stream)))
    assert first == second
    assert all(np.array_equal(*frames) for frames in zip(*run_both(lambda: draw_frames(stream)), strict=True))


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(*[st.sampled_from([0, 1, 33, 239, 240, 255])] * 2, *[st.integers(0, 255)] * 3)), st.binary())
def test_bin_files_of_any_content_are_read_alike(tmp_path_factory, events: list[tuple[int, ...]], rest: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.bin"
    path.write_bytes(bytes(byte for event in events for byte in event) + rest[:4])
    part = next(part for part in readers.list_parts(readers.ReaderSpec) if part.name == "nmnist-bin")

    def read() -> object:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", anybind.AnybindWarning)
            sample = read_or_error(lambda path: anybind.read(path, reader=part, size=(250, 240)), path)
        return (*list_contents(sample), dict(sample.notes)) if isinstance(sample, EventStream) else sample

    first, second = run_both(read)
    assert first == second


@pytest.mark.slow
def test_only_long_recordings_import_numba(tmp_path: Path) -> None:
    """A recording that is read, measured and drawn by NumPy, then again until numba pays off."""
    script = f"""
import sys, anybind, numpy
from anybind.plugin import create_part
from anybind_events import choose_window, measure_activity
stream = anybind.read({str(RECORDING)!r})
results = measure_activity(stream), choose_window(stream), create_part("representation", "count-image")(stream)
assert "numba" not in sys.modules
for _ in range(40):
    again = measure_activity(stream), choose_window(stream), create_part("representation", "count-image")(stream)
assert "numba" in sys.modules
assert results[:2] == again[:2] and numpy.array_equal(results[2], again[2])
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.slow
def test_without_numba_long_recordings_are_read_too_and_loops_without_numpy_name_the_package(tmp_path: Path) -> None:
    anybind.write(anybind.read(RECORDING), tmp_path / "a.dat")
    script = f"""
import sys, anybind
sys.modules["numba"] = None
from anybind_events import measure_activity
stream = anybind.read({str(RECORDING)!r})
for _ in range(40):
    measure_activity(stream)
try:
    anybind.read({str(tmp_path / "a.dat")!r})
except anybind.AnybindError as error:
    print(error)
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == "compiled loops need the package 'numba': pip install 'anybind[events]'\n"
