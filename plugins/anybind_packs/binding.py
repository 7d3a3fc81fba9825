"""The bindings `pack:DIR` and `hf:ORG/NAME`: a pack on its base."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from anybind import Binding, find_binding
from anybind.plugin import BadOption, errors, hub
from anybind_packs.base import BaseCheck
from anybind_packs.card import CARD, MAX_TEXT_BYTES, PackCard, check_files, read_pack


def load_pack(folder: str | os.PathLike[str], *, bases: tuple[str | Binding, ...] = ()) -> Binding:
    """Return the binding of a pack: the encoders and adapters of its base, and the pack's own. No encoder is loaded.

    Each encoder of the base is checked when it is loaded: its weights must have the hash in the pack, and its
    embeddings of fixed samples a cosine similarity of at least 0.9999 with those in the pack.

    Args:
        folder: a folder of `pack`.
        bases: other names of the bases, such as a local copy, `open_clip:local-dir:DIR`. [default: those of the card]

    Raises:
        BadInput: the pack is missing, damaged, or has files or options that a pack may not have.
        BadOption: another number of bases.
        WeightsMismatch: a file of the pack is truncated or changed, or a base lacks an encoder.
        UnknownName, MissingExtra: a base is not installed.
    """
    if not os.fspath(folder):
        raise BadOption("expected a folder of `anybind pack` after pack:, as pack:DIR")
    path = Path(folder).expanduser()
    card = read_pack(path)
    check_files(path, card)
    return _make_binding(f"pack:{os.fspath(folder)}", path, card, bases)


def load_hub_pack(repository: str) -> Binding:
    """Return the binding of a pack on the Hugging Face hub, as `load_pack`; it is downloaded at its first use.

    The binding's name has the commit. A pack that is complete in the hub's cache is used without network access. Only
    files that `pack.json` declares are downloaded, none that is larger there than declared.

    Args:
        repository: `ORG/NAME`, or `ORG/NAME@REVISION` with a commit, tag or branch. [default: the main branch]

    Raises:
        BadOption: an invalid name.
        BadInput: the hub cannot be reached, or does not have a valid pack of this name; as `load_pack`.
        WeightsMismatch, UnknownName, MissingExtra: as `load_pack`.
    """
    name, at, revision = repository.partition("@")
    if name.count("/") != 1 or (at and not revision):
        raise BadOption(f"expected hf:ORG/NAME or hf:ORG/NAME@REVISION, got {'hf:' + repository!r}")
    folder = hub.download_snapshot(
        name, [[CARD]], lambda path: (path / CARD).is_file(), revision or None, max_bytes=MAX_TEXT_BYTES
    )
    card, root = read_pack(folder), folder.parents[1]
    check_files(folder, replace(card, files={}), root)
    for each, file in card.files.items():
        hub.download_snapshot(
            name, [[each]], lambda path, each=each: (path / each).is_file(), folder.name, max_bytes=file.size
        )
    check_files(folder, card, root)
    return _make_binding(f"hf:{name}@{folder.name}", folder, card, ())


def _make_binding(name: str, folder: Path, card: PackCard, bases: tuple[str | Binding, ...]) -> Binding:
    if bases and len(bases) != len(card.bases):
        raise BadOption(f"expected {len(card.bases)} bases, got {len(bases)}")
    encoders, adapters, checks = {}, [], []
    for number, base in enumerate(card.bases):
        source = bases[number] if bases else base.binding
        binding = source if isinstance(source, Binding) else find_binding(source)
        missing = base.encoders.keys() - binding.encoders.keys()
        if missing or len(binding.adapters) < len(base.adapters):
            lost = ", ".join(sorted(missing)) or "an adapter"
            raise errors.WeightsMismatch(f"the pack {card.name!r} fits another {base.binding}: it lacks {lost}")
        new = [modality for modality in base.encoders if modality not in encoders]
        encoders |= {modality: binding.encoders[modality] for modality in new}
        adapters += binding.adapters[: len(base.adapters)]
        checks += [*binding.checks, BaseCheck(folder, number, tuple(new))]
    part, weights = card.part, str(folder / card.weights)
    configured = Binding.configure(part.name, **{**part.options, "weights": weights})
    if part.kind == "encoder":
        encoders[part.modality] = configured
    else:
        adapters.append(configured)
    return Binding(
        name=name,
        summary=card.summary,
        encoders=encoders,
        space=card.space,
        adapters=tuple(adapters),
        checks=tuple(checks),
        facts=card.describe(),
    )
