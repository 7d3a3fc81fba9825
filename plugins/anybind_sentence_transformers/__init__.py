"""Bundled plugin: sentence-transformers models as bindings, and bindings as sentence-transformers models.

anybind.load("sentence-transformers:my-model").embed("image", ["photo.jpg"])

from anybind_sentence_transformers import as_sentence_transformer
as_sentence_transformer(anybind.load("mini")).encode([{"event": "duck.npz"}])
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from anybind.plugin import BindingSpec, CommandSpec, EncoderSpec, Registrar, hookimpl

if TYPE_CHECKING:
    from anybind_sentence_transformers.as_model import as_sentence_transformer
    from anybind_sentence_transformers.saving import SavedModel, save_sentence_transformer

__all__ = ["SavedModel", "as_sentence_transformer", "save_sentence_transformer"]

anybind_contract = 1

EXTRA = "sentence-transformers"
MODALITIES = {"text": "text", "image": "image", "sound": "audio", "video": "video"}
"""Name in sentence-transformers of each modality."""
TARGETS = {
    "as_sentence_transformer": "as_model",
    "SavedModel": "saving",
    "save_sentence_transformer": "saving",
}
"""Module of each public name."""


@hookimpl
def register(registry: Registrar) -> None:
    """Register an encoder for each modality of sentence-transformers, the binding, and the command."""
    for modality in MODALITIES:
        registry.add(
            EncoderSpec(
                name=f"st-{modality}",
                summary=f"{modality} encoder of a sentence-transformers model: ORG/REPO or a folder",
                target=f"anybind_sentence_transformers.encoders:SentenceTransformer{modality.title()}Encoder",
                modality=modality,
                weights_licence="as published with the model",
                extra=EXTRA,
            )
        )
    registry.add(
        BindingSpec(
            name="sentence-transformers",
            summary="any sentence-transformers model: each modality that it declares",
            target="anybind_sentence_transformers.binding:load_binding",
            forms=("sentence-transformers:DIR", "sentence-transformers:ORG/REPO"),
            extra=EXTRA,
        )
    )
    registry.add(
        CommandSpec(
            name="export-st",
            summary="Save the text and image encoders of a binding for sentence-transformers.",
            target="anybind_sentence_transformers.export_command:export_sentence_transformer",
            extra=EXTRA,
        )
    )


def __getattr__(name: str) -> object:
    """Import the public functions on first use, so that listing the plugin imports no torch."""
    if name in TARGETS:
        return getattr(importlib.import_module(f"anybind_sentence_transformers.{TARGETS[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
