"""Tables of registered parts, from their specs."""

from __future__ import annotations

import inspect
import json
from collections.abc import Sequence

from anybind.plugin import (
    AdapterSpec,
    BindingSpec,
    CommandSpec,
    DatasetSpec,
    EncoderSpec,
    HeadSpec,
    ReaderSpec,
    RepresentationSpec,
    TaskSpec,
    kinds,
    list_parts,
    readers,
)
from page_tables.formatting import format_table, read_results

NAMES = {
    "open_clip": "open_clip:MODEL",
    "eventclip": "eventclip:BASE",
    "eventbind": "eventbind:BASE",
    "sentence-transformers": "sentence-transformers:MODEL",
}
JOINED = {"clip-vit-l-14+imagebind": ("clip-vit-l-14", "imagebind")}
"""Bindings whose encoders are those of two others, joined by an adapter."""


def list_bindings() -> str:
    """Format the table of registered bindings."""
    sizes = read_results("sizes")["weights"]
    rows = []
    for part in sorted(list_parts(BindingSpec), key=lambda part: (part.name != "mini", part.name)):
        counts = count_weights(part.name, sizes)
        millions = f"{sum(counts.values()) / 1e6:,.0f}" if counts else "-"
        extras = ["adapters"] * (part.name in JOINED) + [part.spec.extra]
        licence = part.spec.weights_licence or "as published with the model"
        name = NAMES.get(part.name, part.name)
        rows.append((f"`{name}`", ", ".join(part.spec.modalities), millions, ", ".join(extras), licence))
    return format_table(("binding", "modalities", "million weights", "extra", "licence of the weights"), rows)


def count_weights(binding: str, sizes: dict[str, dict[str, int]]) -> dict[str, int]:
    """Return the number of weights by modality; empty where they were not counted."""
    if binding in JOINED:
        own, other = (sizes[side] for side in JOINED[binding])
        return {**other, **own}
    return sizes.get(binding, {})


def list_licences() -> str:
    """Format the table of parts with weights, grouped by licence."""
    groups: dict[tuple[str, str], list[str]] = {}
    for kind in (EncoderSpec, AdapterSpec, RepresentationSpec):
        for part in list_parts(kind):
            if part.spec.weights_licence:
                groups.setdefault((part.spec.weights_licence, part.spec.licence), []).append(f"`{part.name}`")
    rows = [(", ".join(names), code, weights) for (weights, code), names in groups.items()]
    return format_table(("parts", "code", "weights"), rows)


def list_readers() -> str:
    """Format the table of registered readers."""
    rows = []
    for part in sorted(list_parts(ReaderSpec), key=lambda part: (part.spec.modality != "event", part.name)):
        endings = " ".join(f"`{suffix}`" for suffix in part.spec.suffixes)
        writes = "yes" if part.load().write is not readers.Reader.write else ""
        rows.append((f"`{part.name}` ({part.spec.modality})", endings, part.spec.summary, writes))
    return format_table(("reader", "endings", "formats", "writes"), rows)


def list_representations() -> str:
    """Format the table of registered representations."""
    rows = [(f"`{part.name}`", part.spec.modality, part.spec.summary) for part in list_parts(RepresentationSpec)]
    return format_table(("representation", "modality", ""), rows)


def list_plugins() -> str:
    """Format the table of the bundled plugins: the parts of each that a user names."""
    listed: Sequence[type[kinds.Spec] | str] = (
        BindingSpec,
        AdapterSpec,
        HeadSpec,
        TaskSpec,
        CommandSpec,
        "loss",
        "suite",
        EncoderSpec,
        DatasetSpec,
        "filter",
    )
    parts = [part for kind in listed for part in list_parts(kind) if part.distribution == "anybind"]
    rows = []
    for plugin in sorted({part.plugin for part in parts}):
        by_kind: dict[str, list[str]] = {}
        for part in parts:
            if part.plugin == plugin:
                by_kind.setdefault(part.kind, []).append(f"`{part.name}`")
        for kind in ("encoder", "dataset", "filter"):  # pages of their own list them
            if kind in by_kind:
                by_kind[kind] = [str(len(by_kind[kind]))]
        rows.append((f"`{plugin}`", "; ".join(f"{kind}: {', '.join(names)}" for kind, names in by_kind.items())))
    return format_table(("plugin", "parts"), rows)


def list_filters() -> str:
    """Format the table of registered filters with their options."""
    rows = []
    for part in list_parts("filter"):
        parameters = inspect.signature(part.load()).parameters.values()
        options = ", ".join(
            f"`{each.name}`" if each.default is each.empty else f"`{each.name}={json.dumps(each.default)}`"
            for each in parameters
        )
        rows.append((f"`{part.name}`", part.spec.summary, options or "-"))
    return format_table(("filter", "", "options and defaults"), rows)
