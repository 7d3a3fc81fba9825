"""`pack`: writes a trained encoder or adapter as a folder to share."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

import anybind
from anybind import Binder, Binding
from anybind.plugin import BadInput, BadOption, TorchEncoder, files, tensors
from anybind_packs.base import describe_base
from anybind_packs.binding import load_pack
from anybind_packs.card import (
    README,
    RECIPE,
    SAMPLES,
    WEIGHTS,
    Base,
    PackCard,
    PackedPart,
    check_base_name,
    describe_files,
    read_pack,
)
from anybind_packs.model_card import write_model_card
from anybind_packs.sources import PackSource, find_source


def pack(
    source: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    licence: str,
    name: str = "",
    summary: str = "",
    description: str = "",
    modality: str = "",
    bases: Iterable[str] = (),
    metrics: Mapping[str, float] | None = None,
) -> PackCard:
    """Pack a trained encoder or an adapter into a new folder, which `anybind.load("pack:FOLDER")` loads.

    The folder holds the weights (safetensors), `pack.json` with the SHA-256 of every file, the model card `README.md`,
    the recipe of a run, and the embeddings of fixed samples by the base, which is checked by them when it is loaded.

    Args:
        source: the folder of a run of `anybind train`, whose best weights are packed if it has a probe; the file of a
            fitted adapter; or a binding, with `modality`.
        output: the new folder.
        licence: SPDX name of the licence of the weights, such as `Apache-2.0`, or a text.
        name: name of the pack. [default: that of the folder]
        summary: one line. [default: the part and its bases]
        description: Markdown for the model card, such as the data and the limits.
        modality: the encoder to pack, of a binding.
        bases: names of the bindings that the pack adds to, under which others find them. An adapter needs them: of
            several, the first one with a modality embeds it. [default: the binding of the run]
        metrics: scores by name. [default: those of the run]

    Returns:
        the card.

    Raises:
        BadInput: the source is missing or damaged, a base or an option is a path on this machine, or the folder exists.
        BadOption: no licence, or a modality or base that is missing or not expected.
        UnknownName, MissingExtra, WeightsMismatch: a part cannot be loaded.
    """
    if not licence.strip():
        raise BadOption("expected the licence of the weights, such as Apache-2.0: --licence NAME")
    bases, target = tuple(bases), Path(os.path.realpath(output))
    origin = find_source(source, modality, bases)
    names = bases or tuple(base.name for base in origin.bases)
    if len(names) != len(origin.bases):
        raise BadOption(f"expected {len(origin.bases)} bases, got {len(names)}")
    for each in names:
        _check_portable(each)
    with files.atomic_folder(output) as folder:
        part, space = _write_part(origin, folder)
        described = _describe_bases(origin, names, folder)
        if origin.recipe:
            text = json.dumps(origin.recipe, indent=1, ensure_ascii=False)
            (folder / RECIPE).write_text(text + "\n", encoding="utf-8")
        card = PackCard(
            name=name or target.name,
            licence=licence.strip(),
            part=part,
            space=space,
            bases=described,
            summary=summary or f"{part.modality or 'adapter'}: {part.name} on {', '.join(names)}",
            metrics=dict(origin.metrics if metrics is None else metrics),
            recipe=origin.recipe_hash,
            data=origin.data_hash,
        )
        write_model_card(folder / README, card, description)
        card = replace(card, files=describe_files(folder))
        card.write(folder)
        _check_loading(folder, origin, card)
    return card


def _check_portable(base: str) -> None:
    try:
        check_base_name(base)
        local = Path(base.partition(":")[2]).exists() if ":" in base else False
    except BadInput as error:
        raise BadOption(f"{error}; --base gives the name under which others find it") from error
    if local:
        raise BadOption(
            f"base: {base!r} is a file or folder of this machine; --base gives the name under which others find it"
        )


def _write_part(origin: PackSource, folder: Path) -> tuple[PackedPart, str]:
    """Write the weights; return the part, and the name of the common space."""
    path = folder / WEIGHTS[origin.kind]
    if origin.weights is not None:
        try:
            shutil.copyfile(origin.weights, path)
        except OSError as error:
            raise BadInput(f"cannot copy {origin.weights}: {error.strerror or error}") from error
    binder = Binder(_make_source_binding(origin, str(path) if origin.weights else ""))
    if origin.kind == "adapter":
        adapter = binder.adapters[-1]
        return PackedPart("adapter", origin.name, adapter.target, adapter.identity), adapter.target.name
    if origin.weights is None:
        encoder = binder.encoder(origin.modality, "torch")
        if not isinstance(encoder, TorchEncoder):
            raise BadOption(f"the encoder {origin.name!r} has no weights that can be saved")
        encoder.save_weights(path)
    encoder = binder.encoder(origin.modality)
    common = binder.space(origin.modality)
    part = PackedPart("encoder", origin.name, encoder.space, encoder.identity, origin.modality, dict(origin.options))
    return part, common.name


def _make_source_binding(origin: PackSource, weights: str) -> Binding:
    """Return the bases with the part to pack as one binding."""
    configured = Binding.configure(origin.name, **origin.options, **({"weights": weights} if weights else {}))
    encoders = {}
    for base in reversed(origin.bases):
        encoders |= base.encoders
    adapters = tuple(adapter for base in origin.bases for adapter in base.adapters)
    if origin.kind == "encoder":
        encoders[origin.modality] = configured
    else:
        adapters = (*adapters, configured)
    return Binding("packed", encoders, space=origin.bases[0].space, adapters=adapters)


def _describe_bases(origin: PackSource, names: tuple[str, ...], folder: Path) -> tuple[Base, ...]:
    """Describe the bases, and write the embeddings of their fixed samples."""
    described, arrays, seen = [], dict[str, np.ndarray](), {origin.modality}
    for number, (binding, name) in enumerate(zip(origin.bases, names, strict=True)):
        modalities = [modality for modality in binding.encoders if modality not in seen]
        seen |= set(modalities)
        base, embeddings = describe_base(anybind.load(binding), name, modalities, len(binding.adapters))
        described.append(base)
        arrays |= {f"{number}.{modality}": vectors for modality, vectors in embeddings.items()}
    tensors.write_tensors(folder / SAMPLES, arrays, {"embeddings": "of fixed samples, by number of the base, modality"})
    return tuple(described)


def _check_loading(folder: Path, origin: PackSource, card: PackCard) -> None:
    """Load the pack on its own bases before it is published: one that cannot be loaded is an error."""
    assert read_pack(folder) == card
    binder = Binder(load_pack(folder, bases=origin.bases))
    identity = binder.encoder(origin.modality).identity if origin.modality else binder.adapters[-1].identity
    if identity != card.part.identity:
        raise BadInput(f"{origin.name}: expected the identity {card.part.identity}, got {identity} from the pack")
