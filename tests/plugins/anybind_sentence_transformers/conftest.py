"""Tiny models of sentence-transformers, and no network."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

from helpers.tiny_models import make_clap, make_clip, make_qwen3_vl


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Raise at every connection."""

    def refuse(*arguments: object, **options: object) -> Any:
        raise OSError("no network here")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a CLIP in the layout of transformers alone."""
    return make_clip(tmp_path_factory.mktemp("models") / "clip")


@pytest.fixture(scope="session")
def clap(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a model of text and audio."""
    return make_clap(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def qwen3_vl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a model of text, image and video, with prompts."""
    return make_qwen3_vl(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def images() -> list[np.ndarray]:
    """Return random images of several shapes."""
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (70 + 13 * number, 120, 3), dtype=np.uint8) for number in range(3)]


def load_stock(folder: Path, **options: Any) -> SentenceTransformer:
    """Load a model by sentence-transformers alone."""
    return SentenceTransformer(str(folder), device="cpu", local_files_only=True, **options)


def measure_cosines(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Return the cosine similarity of each pair of rows, in float64."""
    a, b = (np.asarray(each, np.float64) for each in (ours, theirs))
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
