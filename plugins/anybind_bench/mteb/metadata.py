"""Metadata of a binding in MTEB's terms: model, modalities, parameters and licence."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import get_args

import pydantic
from mteb.models.model_meta import ModelMeta, ScoringFunction
from mteb.types import Licenses

from anybind import Binder
from anybind.plugin import AdapterSpec, Encoder, EncoderSpec, TorchEncoder, export, find_part, tables

# Types are checked without MTEB, which is an extra.
# pyright: reportMissingImports=false

MTEB_NAMES = {"sound": "audio"}
"""MTEB's names of modalities that have another name here."""


class BindingMeta(ModelMeta):
    """Metadata of a binding: modalities are MTEB's, and the names of those that MTEB does not have, such as `event`."""

    modalities: list[str] = pydantic.Field(default_factory=lambda: ["text"])  # pyright: ignore[reportIncompatibleVariableOverride]


def get_column(modality: str) -> str:
    """Return the name of a modality in MTEB, which is also the column of its samples."""
    return MTEB_NAMES.get(modality, modality)


def describe_binding(
    binder: Binder, encoders: Mapping[str, Encoder], columns: Iterable[str], settings: Mapping[str, object]
) -> BindingMeta:
    """Describe a binding as a model of MTEB; the revision is a hash of all weights and settings.

    Args:
        binder: the loaded binding.
        encoders: the encoders in use, by modality.
        columns: MTEB's names of the modalities.
        settings: settings that shape embeddings beyond the encoders' own; they make the results an MTEB experiment.
    """
    identities = {modality: binder.identity(modality) for modality in encoders}
    count = _count_parameters(encoders.values())
    licences = list_licences(binder, encoders)
    context_length = encoders["text"].preprocessing.get("context_length") if "text" in encoders else None
    return BindingMeta(
        loader=None,
        name=format_model_name(binder.name),
        revision=tables.hash_settings({**identities, **settings}),
        release_date=None,
        languages=None,
        n_parameters=count,
        memory_usage_mb=None if count is None else round(4 * count / 2**20, 1),
        max_tokens=context_length if isinstance(context_length, int) else None,
        embed_dim=binder.space(next(iter(encoders))).dim,
        license=_format_licence(licences),
        open_weights=True if licences and all(licences) else None,
        public_training_code=None,
        public_training_data=None,
        framework=["PyTorch"],
        similarity_fn_name=ScoringFunction.COSINE,
        use_instructions=False,
        training_datasets=None,
        modalities=list(columns),
        experiment_kwargs=dict(settings) or None,
    )


def format_model_name(binding: str) -> str:
    """Return MTEB's model name of a binding: `anybind/mini`."""
    return "anybind/" + re.sub(r"[^\w.-]+", "-", binding).strip("-")


def list_licences(binder: Binder, modalities: Iterable[str]) -> set[str]:
    """List the licences of the encoders' weights, and of the adapters that these modalities use."""
    binding, names = binder.binding, list(modalities)
    adapters = binding.adapters if any(binder.route(modality) for modality in names) else ()
    return {
        *(find_part(EncoderSpec, binding.encoders[name].name).spec.weights_licence for name in names),
        *(find_part(AdapterSpec, adapter.name).spec.weights_licence for adapter in adapters),
    }


def _count_parameters(encoders: Iterable[Encoder]) -> int | None:
    """Count the parameters, shared ones once; None if an encoder is neither on torch nor on a graph with weights."""
    sizes: dict[int, int] = {}
    for encoder in encoders:
        if isinstance(encoder, TorchEncoder):
            sizes |= {id(each): each.numel() for each in encoder.module.parameters()}
        elif isinstance(encoder, export.OnnxEncoder) and encoder.weights:
            buffers = ("running_mean", "running_var", "num_batches_tracked")
            sizes |= {id(each): each.size for name, each in encoder.weights.items() if not name.endswith(buffers)}
        else:
            return None
    return sum(sizes.values())


def _format_licence(licences: set[str]) -> str | None:
    """Return MTEB's name of the licence; None if it has none, or if a licence is unknown."""
    known_names = {name for each in get_args(Licenses) for name in get_args(each) or (each,)}
    names = {licence.lower() for licence in licences}
    if len(names) > 1:
        return None if "" in names else "multiple"
    name = names.pop()
    return name if name in known_names else None
