"""Bundled plugin: adapters that are fitted from pairs, from one space to another, and the command that fits them.

from anybind_adapters import fit_adapter
fit_adapter("clip-vit-l-14:image", "imagebind", data="photos/").save("adapter.safetensors")
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
    ("mlp", "a linear layer with a small network beside it, trained by InfoNCE", "Mlp"),
    ("procrustes", "the nearest rotation, or semi-orthogonal map", "Procrustes"),
    ("ridge", "least squares with a penalty that cross-validation chose", "Ridge"),
)


@hookimpl
def register(registry: Registrar) -> None:
    """Add four kinds of adapter, the binding of CLIP and ImageBind, and the command."""
    for name, summary, target in ADAPTERS:
        target = f"anybind_adapters.adapters:{target}"
        registry.add(AdapterSpec(name=name, summary=summary, target=target, extra="adapters"))
    registry.add(
        BindingSpec(
            name="clip-vit-l-14+imagebind",
            summary="CLIP L/14 mapped to ImageBind's space by an adapter that `anybind fit-adapter` wrote",
            target="anybind_adapters.binding:clip_and_imagebind",
            modalities=("text", "image", "event", "sound", "depth"),
            forms=("clip-vit-l-14+imagebind", "clip-vit-l-14+imagebind:PATH"),
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
    """Import what is public when it is first used, so that listing the plugin stays light."""
    if name in __all__:
        return getattr(importlib.import_module("anybind_adapters.fitting"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
