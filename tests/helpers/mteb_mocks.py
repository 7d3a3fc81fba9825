"""MTEB's mock tasks by name, and a WAV writer for those that create audio clips."""

from __future__ import annotations

import sys
import types
import warnings
from typing import Any, BinaryIO

import numpy as np
import pytest
import soundfile


class WavEncoder:
    """The writer of torchcodec that `datasets` needs to create audio from arrays; it decodes nothing."""

    def __init__(self, samples: Any, *, sample_rate: int) -> None:
        self.samples, self.rate = np.asarray(samples, np.float32), sample_rate

    def to_file_like(self, file: BinaryIO, format: str, num_channels: int | None = None) -> None:
        assert format == "wav"
        assert num_channels is None
        soundfile.write(file, self.samples.T, self.rate, format="WAV", subtype="FLOAT")


def install_wav_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `datasets` create audio without torchcodec; decoding still raises an ImportError."""
    import datasets  # looks for torchcodec once, at its import

    assert not datasets.config.TORCHCODEC_AVAILABLE, "torchcodec is installed: the test would not show our decoding"
    package, encoders = types.ModuleType("torchcodec"), types.ModuleType("torchcodec.encoders")
    encoders.AudioEncoder = WavEncoder  # pyright: ignore[reportAttributeAccessIssue]
    monkeypatch.setitem(sys.modules, "torchcodec", package)
    monkeypatch.setitem(sys.modules, "torchcodec.encoders", encoders)


def list_mocks() -> dict[str, Any]:
    """Return MTEB's mock tasks of all grids by name, each once."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from mteb import mocks
    return {task.metadata.name: task for task in (*mocks.ALL_MOCK_TASK_TEST_GRID, *mocks.MOCK_MULTIMODAL_TASKS)}


def evaluate_mock(encoder: Any, task: Any) -> float:
    """Return the main score of a mock task; its data are released."""
    import mteb

    results = mteb.evaluate(encoder, task, cache=None, co2_tracker=False, show_progress_bar=False)
    return results.task_results[0].get_score()
