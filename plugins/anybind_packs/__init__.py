"""Bundled plugin: packs - trained encoders and adapters to share, with the identity of the base they fit.

from anybind_packs import pack, push
pack("run/", "my-pack/", licence="Apache-2.0")
anybind.load("pack:my-pack").embed("event", ["rec.raw"])
push("my-pack/", "hf:ORG/NAME")
anybind.load("hf:ORG/NAME")
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from anybind.plugin import BindingSpec, CommandSpec, Registrar, hookimpl

if TYPE_CHECKING:
    from anybind_packs.binding import load_pack
    from anybind_packs.card import PackCard, read_pack
    from anybind_packs.packing import pack
    from anybind_packs.pushing import push

PUBLIC = {
    "PackCard": "card",
    "load_pack": "binding",
    "pack": "packing",
    "push": "pushing",
    "read_pack": "card",
}
"""Public names, with the module of each."""

__all__ = ["PackCard", "load_pack", "pack", "push", "read_pack"]

anybind_contract = 1


@hookimpl
def register(registry: Registrar) -> None:
    """Register the bindings of packs and the commands."""
    registry.add(
        BindingSpec(
            name="pack",
            summary="a folder of `anybind pack`: a trained encoder or adapter, and the base that it fits",
            target="anybind_packs.binding:load_pack",
            forms=("pack:DIR",),
        )
    )
    registry.add(
        BindingSpec(
            name="hf",
            summary="a pack on the Hugging Face hub, downloaded and verified at its first use",
            target="anybind_packs.binding:load_hub_pack",
            forms=("hf:ORG/NAME", "hf:ORG/NAME@REVISION"),
            extra="hub",
        )
    )
    for name, summary, target, extra in (
        ("pack", "Pack a trained encoder or an adapter, with its licence, metrics and base, to share it.",
         "pack_command:pack", ""),
        ("push", "Upload a pack to the Hugging Face hub.", "push_command:push", "hub"),
    ):  # fmt: skip
        registry.add(CommandSpec(name=name, summary=summary, target=f"anybind_packs.{target}", extra=extra))


def __getattr__(name: str) -> object:
    """Import the public functions on first use, so that listing the plugin stays light."""
    if name in PUBLIC:
        return getattr(importlib.import_module(f"anybind_packs.{PUBLIC[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
