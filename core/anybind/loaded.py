"""`load` and `load_encoder`: bindings and single encoders as binders."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from anybind.binder import Binder
from anybind.binding import Binding, ConfiguredPart, find_binding
from anybind.errors import BadOption
from anybind.inference import DEFAULT_BATCH_SIZE, FP32, InferenceOptions
from anybind.registry import find_part
from anybind.spec import EncoderSpec

if TYPE_CHECKING:
    from anybind.store import EmbeddingStore


def load(
    binding: str | os.PathLike[str] | Binding = "mini",
    *,
    device: str = "cpu",
    backend: str = "auto",
    store: EmbeddingStore | None = None,
    precision: str = FP32,
    batch_size: int = DEFAULT_BATCH_SIZE,
    workers: int | None = None,
    processes: bool = False,
) -> Binder:
    """Load a binding by its name, by the path of its TOML file, or from a `Binding`.

    Args:
        binding: for instance `mini`, `clip-vit-b-32`, `open_clip:local-dir:/models/b32`, `my.toml`.
        device: torch device, or several of one type, `cuda:0,cuda:1`, which take a batch each.
        backend: `onnx` or `openvino` for encoders with an ONNX graph, on the CPU and without torch; `torch` for the
            others, for training and other devices; `auto` for `onnx` on the CPU in `fp32` where an encoder has a graph.
            All give the same embeddings to 1e-4, and the same identities.
        store: embedding store, in which embeddings are looked up and stored. [default: none]
        precision: `fp32`, `bf16` or `fp16` for encoders on torch. A lower precision changes embeddings, so it is a part
            of their identity.
        batch_size: number of samples encoded at once.
        workers: number of files decoded at a time. [default: one a processor, at most 4]
        processes: decode files in processes instead of threads. Each loads the encoder, for its preprocessing, so this
            can pay for thousands of images on many cores; a script then needs `if __name__ == "__main__":`.

    Raises:
        UnknownName: no such binding; the message suggests the nearest names.
        BadInput, BadOption: the TOML file cannot be read or is invalid, or an option or the store is, or there is no
            such backend.
    """
    if not isinstance(binding, Binding):
        binding = find_binding(binding)
    _check_store(store)
    return Binder(binding, device, store, InferenceOptions(precision, batch_size, workers, processes), backend=backend)


def load_encoder(
    name: str,
    *,
    device: str = "cpu",
    backend: str = "auto",
    store: EmbeddingStore | None = None,
    precision: str = FP32,
    batch_size: int = DEFAULT_BATCH_SIZE,
    workers: int | None = None,
    processes: bool = False,
    **options: object,
) -> Binder:
    """Load one registered encoder as a binder in the encoder's own space.

    Args:
        name: registered name of the encoder.
        device, backend, store, precision, batch_size, workers, processes: as for `load`.
        options: options of the encoder.

    Raises:
        UnknownName: no such encoder; the message suggests the nearest names.
        BadOption: an option or the store is invalid.
    """
    _check_store(store)
    spec = find_part(EncoderSpec, name).spec
    binding = Binding(name, {spec.modality: ConfiguredPart(name, options)}, summary=spec.summary)
    return Binder(binding, device, store, InferenceOptions(precision, batch_size, workers, processes), backend=backend)


def _check_store(store: object) -> None:
    if store is None:
        return
    from anybind.store import EmbeddingStore  # imported only where there is one

    if not isinstance(store, EmbeddingStore):
        raise BadOption(f"store: expected an anybind.EmbeddingStore, such as EmbeddingStore(FOLDER), got {store!r}")
