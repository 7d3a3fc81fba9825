"""anybind: recordings of any modality - events, pictures, words, ... - in one embedding space.

    import anybind
    binder = anybind.load("mini")
    events = binder.embed("event", ["duck.npz"])
    words = binder.embed("text", ["a rubber duck", "a kettle"])
    events @ words

What this module lists in `__all__` is the public interface; plugins import nothing else of the core.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from anybind import ranks
from anybind.adapter import Adapter
from anybind.binder import Binder, load
from anybind.binding import Binding, Use, bindings, find_binding
from anybind.cache import EmbeddingCache
from anybind.config import check_keys, read_names, read_toml
from anybind.contents import content_key, file_key
from anybind.dataset import Dataset, Item, LocalDataset, spread
from anybind.deprecation import RENAMED, deprecated
from anybind.embeddings import Embeddings, concatenate, load_embeddings, save_embeddings, unit
from anybind.encoder import Encoder
from anybind.errors import (
    AnybindDeprecationWarning,
    AnybindError,
    AnybindWarning,
    BadInput,
    BadOption,
    MissingExtra,
    NameClash,
    PluginError,
    SpaceMismatch,
    UnknownName,
    WeightsMismatch,
    nearest,
)
from anybind.files import atomic_path, check_output, list_files, name_of_path, settings_hash
from anybind.head import Head, WindowSet, find_head
from anybind.hookspecs import Register, hookimpl
from anybind.hub import weights_file
from anybind.jit import kernel
from anybind.loading import OnBad
from anybind.modality import Modality, Window, derive, derive_windows, find_modality, modality_of
from anybind.progress import progress_bar
from anybind.prompts import DEFAULT_TEMPLATES, check_templates, class_embeddings
from anybind.reader import Reader, find_reader, list_samples, read, read_chunks, reader_suffixes, write
from anybind.registry import Part, Plugin, Registry, create, find_part, parts, plugins
from anybind.representation import Representation
from anybind.result import Result
from anybind.sharing import Counts
from anybind.space import Space
from anybind.spec import KINDS, Spec
from anybind.suite import Question, Suite, find_suite
from anybind.task import Task

if TYPE_CHECKING:
    from anybind.loss import Loss, TrainingBatch
    from anybind.tower import Tower, check_state, state_hash

__all__ = [
    "DEFAULT_TEMPLATES",
    "KINDS",
    "Adapter",
    "AnybindDeprecationWarning",
    "AnybindError",
    "AnybindWarning",
    "BadInput",
    "BadOption",
    "Binder",
    "Binding",
    "Counts",
    "Dataset",
    "EmbeddingCache",
    "Embeddings",
    "Encoder",
    "Head",
    "Item",
    "LocalDataset",
    "Loss",
    "MissingExtra",
    "Modality",
    "NameClash",
    "OnBad",
    "Part",
    "Plugin",
    "PluginError",
    "Question",
    "Reader",
    "Register",
    "Registry",
    "Representation",
    "Result",
    "Space",
    "SpaceMismatch",
    "Spec",
    "Suite",
    "Task",
    "Tower",
    "TrainingBatch",
    "UnknownName",
    "Use",
    "WeightsMismatch",
    "Window",
    "WindowSet",
    "atomic_path",
    "bindings",
    "check_keys",
    "check_output",
    "check_state",
    "check_templates",
    "class_embeddings",
    "concatenate",
    "content_key",
    "create",
    "derive",
    "derive_windows",
    "file_key",
    "find_binding",
    "find_head",
    "find_modality",
    "find_part",
    "find_reader",
    "find_suite",
    "hookimpl",
    "kernel",
    "list_files",
    "list_samples",
    "load",
    "load_embeddings",
    "modality_of",
    "name_of_path",
    "nearest",
    "parts",
    "plugins",
    "progress_bar",
    "ranks",
    "read",
    "read_chunks",
    "read_names",
    "read_toml",
    "reader_suffixes",
    "save_embeddings",
    "settings_hash",
    "spread",
    "state_hash",
    "unit",
    "weights_file",
    "write",
]

_ON_TORCH = {"Loss": "loss", "Tower": "tower", "TrainingBatch": "loss", "check_state": "tower", "state_hash": "tower"}


def __getattr__(name: str) -> Any:
    """Import what needs torch only when it is asked for, so that listing and `--help` stay light; know former names."""
    if name in _ON_TORCH:
        return getattr(importlib.import_module(f"anybind.{_ON_TORCH[name]}"), name)
    if name in RENAMED:
        new, since, removal = RENAMED[name]
        deprecated(f"anybind.{name}", f"anybind.{new}", since, removal)
        return getattr(importlib.import_module("anybind"), new)
    raise AttributeError(f"module 'anybind' has no attribute {name!r}")
