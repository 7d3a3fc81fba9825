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

from anybind import errors
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
    KindSpec,
    ModalitySpec,
    ReaderSpec,
    RepresentationSpec,
    Spec,
    TaskSpec,
)

if TYPE_CHECKING:
    from anybind import (
        charts,
        export,
        files,
        hub,
        intervals,
        pages,
        prompts,
        ranks,
        runtime,
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
    from anybind.image_input import ImageInput
    from anybind.jit import kernel
    from anybind.modality import Modality
    from anybind.onnx_encoder import OnnxEncoder
    from anybind.prefetch import prefetch
    from anybind.progress import progress_bar
    from anybind.reader import Reader
    from anybind.representation import Representation
    from anybind.task import Task
    from anybind.text_input import TextInput
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
    "ImageInput",
    "Item",
    "KindSpec",
    "Modality",
    "ModalitySpec",
    "OnnxEncoder",
    "Reader",
    "ReaderSpec",
    "Registrar",
    "Representation",
    "RepresentationSpec",
    "Spec",
    "Task",
    "TaskSpec",
    "TextInput",
    "TorchEncoder",
    "charts",
    "create_part",
    "errors",
    "export",
    "files",
    "find_part",
    "hookimpl",
    "hub",
    "intervals",
    "kernel",
    "list_parts",
    "modalities",
    "pages",
    "prefetch",
    "progress_bar",
    "prompts",
    "ranks",
    "readers",
    "runtime",
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
        "image_input": ("ImageInput",),
        "jit": ("kernel",),
        "modality": ("Modality",),
        "onnx_encoder": ("OnnxEncoder",),
        "prefetch": ("prefetch",),
        "progress": ("progress_bar",),
        "reader": ("Reader",),
        "representation": ("Representation",),
        "task": ("Task",),
        "text_input": ("TextInput",),
        "torch_encoder": ("TorchEncoder",),
    },
    {
        "charts": "charts",
        "export": "export",
        "files": "files",
        "hub": "hub",
        "intervals": "intervals",
        "modalities": "modality",
        "pages": "pages",
        "prompts": "prompts",
        "ranks": "ranks",
        "readers": "reader",
        "runtime": "runtime",
        "samples": "samples",
        "tables": "tables",
        "tensors": "tensors",
        "windows": "windows",
    },
)
