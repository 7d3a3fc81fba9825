"""Bundled plugin: adapters between embedding spaces, fitted on pairs, and the command `fit-adapter`.

from anybind_adapters import fit_adapter
fit_adapter("clip-vit-l-14:image", "imagebind", data="images/").save("adapter.safetensors")
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from anybind.plugin import AdapterSpec, BindingSpec, CommandSpec, Registrar, hookimpl

if TYPE_CHECKING:
    from anybind_adapters.fitting import AdapterFit, fit_adapter

__all__ = ["AdapterFit", "fit_adapter"]

anybind_contract = 1

ADAPTERS = (
    ("linear", "a single layer trained by InfoNCE, as in the paper's retrieval", "Linear"),
    ("mlp", "a linear layer plus a hidden layer, trained by InfoNCE", "Mlp"),
    ("procrustes", "the nearest rotation, or semi-orthogonal map", "Procrustes"),
    ("ridge", "ridge regression with a cross-validated penalty", "Ridge"),
)


@hookimpl
def register(registry: Registrar) -> None:
    """Register the adapters, the binding of CLIP and ImageBind, and the command."""
    for name, summary, target in ADAPTERS:
        target = f"anybind_adapters.adapters:{target}"
        registry.add(AdapterSpec(name=name, summary=summary, target=target, extra="adapters"))
    registry.add(
        BindingSpec(
            name="clip-vit-l-14+imagebind",
            summary="CLIP L/14 in ImageBind's space through a fitted adapter; its file as NAME:PATH",
            target="anybind_adapters.binding:make_binding",
            modalities=("text", "image", "event", "sound", "depth"),
            forms=("clip-vit-l-14+imagebind", "clip-vit-l-14+imagebind:FILE"),
            weights_licence="CC-BY-NC-SA-4.0",
            extra="imagebind",
        )
    )
    registry.add(
        CommandSpec(
            name="fit-adapter",
            summary="Fit an adapter between two embedding spaces.",
            target="anybind_adapters.fit_command:fit_adapter",
            extra="adapters",
        )
    )


def __getattr__(name: str) -> object:
    """Import the public functions on first use, so that listing the plugin imports no torch."""
    if name in __all__:
        return getattr(importlib.import_module("anybind_adapters.fitting"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
