"""What the author of a plugin imports: the contract and its helpers.

    from anybind.plugin import EncoderSpec, hookimpl

    anybind_contract = 1

    @hookimpl
    def register(registry):
        registry.add(EncoderSpec(name="my-encoder", modality="image", summary="...", target="my_plugin:MyEncoder"))

The modules listed here group helpers by what they are about: `files.atomic_path`, `errors.nearest`, `ranks.rank`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from anybind import charts, errors, files, hub, pages, prompts, ranks, samples, tables, tensors
from anybind import modality as modalities
from anybind import reader as readers
from anybind.adapter import Adapter
from anybind.dataset import Dataset, Item
from anybind.encoder import Encoder
from anybind.errors import BadInput, BadOption
from anybind.head import Head
from anybind.head_input import HeadInput
from anybind.hooks import Registrar, hookimpl
from anybind.jit import kernel
from anybind.modality import Modality
from anybind.prefetch import prefetch
from anybind.progress import progress_bar
from anybind.reader import Reader
from anybind.registry import create, find_part, parts
from anybind.representation import Representation
from anybind.spec import (
    AdapterSpec,
    BindingSpec,
    CommandSpec,
    DatasetSpec,
    EncoderSpec,
    HeadSpec,
    KindSpec,
    ModalitySpec,
    ReaderSpec,
    RepresentationSpec,
    Spec,
    TaskSpec,
)
from anybind.task import Task

if TYPE_CHECKING:
    from anybind.tower import Tower

__all__ = [
    "Adapter",
    "AdapterSpec",
    "BadInput",
    "BadOption",
    "BindingSpec",
    "CommandSpec",
    "Dataset",
    "DatasetSpec",
    "Encoder",
    "EncoderSpec",
    "Head",
    "HeadInput",
    "HeadSpec",
    "Item",
    "KindSpec",
    "Modality",
    "ModalitySpec",
    "Reader",
    "ReaderSpec",
    "Registrar",
    "Representation",
    "RepresentationSpec",
    "Spec",
    "Task",
    "TaskSpec",
    "Tower",
    "charts",
    "create",
    "errors",
    "files",
    "find_part",
    "hookimpl",
    "hub",
    "kernel",
    "modalities",
    "pages",
    "parts",
    "prefetch",
    "progress_bar",
    "prompts",
    "ranks",
    "readers",
    "samples",
    "tables",
    "tensors",
]


def __getattr__(name: str) -> object:
    """Import `Tower`, which needs torch, only when it is asked for, so that listing and `--help` stay light."""
    if name == "Tower":
        return importlib.import_module("anybind.tower").Tower
    raise AttributeError(f"module 'anybind.plugin' has no attribute {name!r}")
