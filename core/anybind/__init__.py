"""anybind: images, text, event streams, audio, depth maps and video in one embedding space.

    import anybind
    binder = anybind.load("mini")
    events = binder.embed("event", ["duck.npz"])
    texts = binder.embed("text", ["a rubber duck", "a kettle"])
    events @ texts

This module is the interface for users; that for plugins is `anybind.plugin`.
"""

from __future__ import annotations

from importlib.metadata import version as _version
from typing import TYPE_CHECKING

from anybind.lazy import lazy_names

if TYPE_CHECKING:
    from anybind.binder import Binder
    from anybind.binding import Binding, find_binding, list_bindings
    from anybind.dataset import load_dataset
    from anybind.embeddings import Embeddings, concatenate, load_embeddings, normalize, save_embeddings
    from anybind.errors import AnybindError, AnybindWarning, BadInput
    from anybind.evaluation import embed, evaluate
    from anybind.loaded import load, load_encoder
    from anybind.modality import derive
    from anybind.reader import read, read_chunks, write
    from anybind.result import Result
    from anybind.space import Space
    from anybind.store import EmbeddingStore

__version__ = _version("anybind")

__all__ = [
    "AnybindError",
    "AnybindWarning",
    "BadInput",
    "Binder",
    "Binding",
    "EmbeddingStore",
    "Embeddings",
    "Result",
    "Space",
    "__version__",
    "concatenate",
    "derive",
    "embed",
    "evaluate",
    "find_binding",
    "list_bindings",
    "load",
    "load_dataset",
    "load_embeddings",
    "load_encoder",
    "normalize",
    "read",
    "read_chunks",
    "save_embeddings",
    "write",
]

__getattr__ = lazy_names(
    __name__,
    {
        "binder": ("Binder",),
        "binding": ("Binding", "find_binding", "list_bindings"),
        "dataset": ("load_dataset",),
        "embeddings": ("Embeddings", "concatenate", "load_embeddings", "normalize", "save_embeddings"),
        "loaded": ("load", "load_encoder"),
        "errors": ("AnybindError", "AnybindWarning", "BadInput"),
        "evaluation": ("embed", "evaluate"),
        "modality": ("derive",),
        "reader": ("read", "read_chunks", "write"),
        "result": ("Result",),
        "space": ("Space",),
        "store": ("EmbeddingStore",),
    },
)
