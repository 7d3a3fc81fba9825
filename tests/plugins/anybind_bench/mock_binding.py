"""A binding for MTEB's mock tasks: texts, images and audio clips are embedded by a hash of their content."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from anybind import Binder, Binding, Space, normalize
from anybind.plugin import Encoder, EncoderSpec, Registrar, hookimpl
from anybind.registry import Plugin, Registry, use_registry

anybind_contract = 1


class ContentHashEncoder(Encoder):
    """An encoder whose embedding is drawn by a hash of a sample's content."""

    space = Space("content-hash", 16)
    weights_hash = "0" * 12
    preprocessing: Mapping[str, Any] = {"hash": "SHA-256"}

    def __init__(self, *, modality: str) -> None:
        self.modality = modality

    def preprocess(self, sample: Any) -> bytes:
        if isinstance(sample, str):
            return sample.encode()
        return np.ascontiguousarray(sample if isinstance(sample, np.ndarray) else sample.samples).tobytes()

    def encode(self, inputs: Sequence[bytes]) -> np.ndarray:
        seeds = [int.from_bytes(hashlib.sha256(each).digest()[:8], "big") for each in inputs]
        rows = [np.random.default_rng(seed).standard_normal(self.space.dim) for seed in seeds]
        return normalize(np.stack(rows)).astype(np.float32)


@hookimpl
def register(registry: Registrar) -> None:
    target = f"{__name__}:ContentHashEncoder"
    registry.add(EncoderSpec(name="content-hash", summary="s", modality="text", target=target, weights_licence="MIT"))


@contextmanager
def load_mock_binder() -> Iterator[Binder]:
    """Load the binding, in a registry of the bench and media plugins and this one."""
    registry = Registry.from_entry_points(only="bench,media")
    registry.add(Plugin("mocks", "mocks-dist", "1.0"), lambda: importlib.import_module(__name__))
    previous = use_registry(registry)
    encoders = {
        modality: Binding.configure("content-hash", modality=modality) for modality in ("text", "image", "sound")
    }
    try:
        yield Binder(Binding("mocks", encoders))
    finally:
        use_registry(previous)
