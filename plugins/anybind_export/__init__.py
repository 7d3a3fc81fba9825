"""Bundled plugin: export of encoders to ONNX or OpenVINO, with measured accuracy, and the exported encoders.

from anybind_export import export
export("clip-vit-b-32", "exported", precision="fp16")
anybind.load("onnx:exported").embed("image", ["photo.jpg"])
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from anybind.plugin import BindingSpec, CommandSpec, EncoderSpec, Registrar, hookimpl

if TYPE_CHECKING:
    from anybind_export.exporting import ExportReport, export

__all__ = ["ExportReport", "export"]

anybind_contract = 1


@hookimpl
def register(registry: Registrar) -> None:
    """Register the exported encoders, their bindings, and the command."""
    registry.add(
        EncoderSpec(
            name="exported",
            summary="an encoder of a folder of `anybind export`, without its original weights",
            target="anybind_export.encoder:ExportedEncoder",
            modality="",
            weights_licence="as stated in the folder's card.json",
            extra="exported",
            onnx_target="anybind_export.encoder:ExportedEncoder",
            onnx_extra="exported",
        )
    )
    for name, runtime in (("onnx", "ONNX Runtime"), ("openvino", "OpenVINO")):
        registry.add(
            BindingSpec(
                name=name,
                summary=f"exported encoders on {runtime}, from a folder of `anybind export`",
                target=f"anybind_export.binding:load_{name}_folder",
                forms=(f"{name}:DIR",),
                extra="exported" if name == "onnx" else name,
            )
        )
    registry.add(
        CommandSpec(
            name="export",
            summary="Export encoders to ONNX or OpenVINO, with measured accuracy.",
            target="anybind_export.export_command:export",
            extra="export",
        )
    )


def __getattr__(name: str) -> object:
    """Import the public functions on first use, so that listing the plugin imports no torch."""
    if name in __all__:
        return getattr(importlib.import_module("anybind_export.exporting"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
