"""What can be packed: the run of a training, an adapter file, or the encoder of a binding."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from anybind import Binding, find_binding
from anybind.plugin import BadInput, BadOption, tables, tensors

RESULT, BEST, LAST = "result.json", "best.safetensors", "last.safetensors"
"""Files of a run of `anybind train`."""
ADAPTER_CARD = "anybind-adapter"
"""Metadata key of the card in the file of a fitted adapter."""


@dataclass(frozen=True)
class PackSource:
    """An encoder or adapter to pack.

    Attributes:
        kind: `encoder` or `adapter`.
        name: registered name.
        options: its options but for `weights`.
        bases: the bindings that it adds to.
        weights: its safetensors file; None for an encoder without one, whose weights are saved.
        modality: modality of an encoder.
        metrics: measured scores.
        recipe: the training recipe, JSON-like; empty without one.
        recipe_hash, data_hash: their hashes; empty if unknown.
    """

    kind: str
    name: str
    options: Mapping[str, object]
    bases: tuple[Binding, ...]
    weights: Path | None
    modality: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    recipe: Mapping[str, object] = field(default_factory=dict)
    recipe_hash: str = ""
    data_hash: str = ""


def find_source(source: str | os.PathLike[str], modality: str, bases: Sequence[str]) -> PackSource:
    """Find what to pack.

    Args:
        source: the folder of a run of `anybind train`, the file of a fitted adapter, or the name of a binding.
        modality: the encoder of a binding; empty for the others.
        bases: the bindings that an adapter adds to; empty for the others.

    Raises:
        BadInput: a file is missing or damaged.
        BadOption: a modality or a base is missing or not expected, or the run has no encoder.
        UnknownName: there is no such binding.
    """
    path = Path(source)
    if path.is_dir():
        return _find_run(path)
    if path.suffix == ".safetensors":
        return _find_adapter(path, bases)
    if not modality:
        raise BadOption(f"{source}: neither a run nor an adapter file; of a binding, --modality says which encoder")
    return _find_encoder(find_binding(source), modality)


def _find_run(folder: Path) -> PackSource:
    result_path = folder / RESULT
    if not result_path.is_file():
        raise BadInput(f"{folder}: not a finished run of `anybind train`: {RESULT} is missing")
    result = tables.read_json(result_path)
    try:
        if result.get("top1") is not None and "probes" not in result:
            raise BadOption(f"{folder}: expected the run of an encoder, got that of a classification head")
        base, trained, probes = result["base"], result["trained"], result["probes"]
        binding, modality, recipe = base["binding"], base["modality"], dict(result["settings"])
        name, options, metric = trained["encoder"], dict(trained["options"]), trained["metric"]
        hashes = {"recipe_hash": str(result["recipe_hash"]), "data_hash": str(result["data_hash"])}
    except (KeyError, TypeError, AttributeError) as error:
        raise BadInput(
            f"{result_path}: expected the result of a run of this version, {error} is missing; train it again"
        ) from error
    if not name:
        raise BadOption(f"{folder}: the run learned class prompts, which cannot be packed; of encoders, any can")
    finished = [probe for probe in probes if probe["epoch"]]
    best = max(finished, key=lambda probe: probe[metric], default=None) if (folder / BEST).is_file() else None
    scores = best or (finished[-1] if finished else {})
    return PackSource(
        kind="encoder",
        name=name,
        options=options,
        bases=(find_binding(binding),),
        weights=folder / (BEST if best else LAST),
        modality=modality,
        metrics={key: float(value) for key, value in scores.items() if key != "epoch"},
        recipe=recipe,
        **hashes,
    )


def _find_adapter(path: Path, bases: Sequence[str]) -> PackSource:
    card = tensors.read_card(path, key=ADAPTER_CARD)
    if not bases:
        raise BadOption(f"{path}: of an adapter, --base names the binding whose embeddings it maps; repeatable")
    try:
        held_out = card.get("held_out") or {}
        after = held_out.get("after") or {}
        metrics = {
            f"{name} ({direction})": float(value)
            for direction, scores in after.items()
            for name, value in scores.items()
            if isinstance(value, int | float)
        }
        data = str((card.get("data") or {}).get("hash", ""))
        name = str(card["kind"])
    except (KeyError, TypeError, AttributeError) as error:
        raise BadInput(f"{path}: not the file of a fitted adapter ({error})") from error
    bindings = tuple(find_binding(base) for base in bases)
    return PackSource("adapter", name, {}, bindings, path, metrics=metrics, data_hash=data)


def _find_encoder(binding: Binding, modality: str) -> PackSource:
    if modality not in binding.encoders:
        raise BadOption(f"the binding {binding.name!r} has no encoder for {modality!r}")
    use = binding.encoders[modality]
    options = dict(use.options)
    weights = options.pop("weights", None)
    path = Path(str(weights)) if weights is not None and Path(str(weights)).is_file() else None
    others = {name: each for name, each in binding.encoders.items() if name != modality}
    return PackSource("encoder", use.name, options, (replace(binding, encoders=others),), path, modality)
