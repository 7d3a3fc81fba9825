"""The interface for plugins: base classes, specs and helpers.

    from anybind.plugin import EncoderSpec, hookimpl

    anybind_contract = 1

    @hookimpl
    def register(registry):
        registry.add(EncoderSpec(name="my-encoder", modality="image", summary="...", target="my_plugin:MyEncoder"))

The modules in it group helpers by topic: `files.atomic_path`, `errors.suggest_names`, `ranks.get_rank`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from anybind import errors, kinds
from anybind.errors import BadInput, BadOption
from anybind.hooks import Registrar, hookimpl
from anybind.lazy import lazy_names
from anybind.registry import create_part, find_part, list_parts
from anybind.spec import (
    AdapterSpec,
    BindingSpec,
    CommandSpec,
    DatasetSpec,
    EncoderSpec,
    HeadSpec,
    ModalitySpec,
    ReaderSpec,
    RepresentationSpec,
    TaskSpec,
)

if TYPE_CHECKING:
    from anybind import (
        export,
        files,
        hub,
        intervals,
        loops,
        pages,
        prompts,
        ranks,
        samples,
        tables,
        tensors,
        windows,
    )
    from anybind import modality as modalities
    from anybind import reader as readers
    from anybind.adapter import Adapter
    from anybind.dataset import Dataset, Item
    from anybind.encoder import Encoder
    from anybind.head import Head
    from anybind.head_input import HeadInput
    from anybind.jit import kernel
    from anybind.modality import Modality
    from anybind.reader import Reader
    from anybind.representation import Representation
    from anybind.task import Task
    from anybind.torch_encoder import TorchEncoder

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
    "Modality",
    "ModalitySpec",
    "Reader",
    "ReaderSpec",
    "Registrar",
    "Representation",
    "RepresentationSpec",
    "Task",
    "TaskSpec",
    "TorchEncoder",
    "create_part",
    "errors",
    "export",
    "files",
    "find_part",
    "hookimpl",
    "hub",
    "intervals",
    "kernel",
    "kinds",
    "list_parts",
    "loops",
    "modalities",
    "pages",
    "prompts",
    "ranks",
    "readers",
    "samples",
    "tables",
    "tensors",
    "windows",
]

__getattr__ = lazy_names(
    __name__,
    {
        "adapter": ("Adapter",),
        "dataset": ("Dataset", "Item"),
        "encoder": ("Encoder",),
        "head": ("Head",),
        "head_input": ("HeadInput",),
        "jit": ("kernel",),
        "modality": ("Modality",),
        "reader": ("Reader",),
        "representation": ("Representation",),
        "task": ("Task",),
        "torch_encoder": ("TorchEncoder",),
    },
    {
        "export": "export",
        "files": "files",
        "hub": "hub",
        "intervals": "intervals",
        "loops": "loops",
        "modalities": "modality",
        "pages": "pages",
        "prompts": "prompts",
        "ranks": "ranks",
        "readers": "reader",
        "samples": "samples",
        "tables": "tables",
        "tensors": "tensors",
        "windows": "windows",
    },
)
