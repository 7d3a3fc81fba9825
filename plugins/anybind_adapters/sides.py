"""The two sides of an adapter, named by binding or file, and the pairs of embeddings from a folder of data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

from anybind import Binder, Embeddings, EmbeddingStore, Space, load, load_embeddings
from anybind.plugin import (
    BadInput,
    BadOption,
    BindingSpec,
    Dataset,
    Item,
    ModalitySpec,
    create_part,
    errors,
    list_parts,
    modalities,
    tables,
)
from anybind_adapters.pairs import Pairs, pair_by_id, pair_with_texts

TEXT = "text"
SUFFIX = ".safetensors"


@dataclass(frozen=True)
class AdapterSide:
    """One side of the pairs: a binder that embeds one modality."""

    name: str
    modality: str
    binder: Binder

    @property
    def space(self) -> Space:
        """The space of its embeddings."""
        return self.binder.space(self.modality)


@dataclass(frozen=True)
class PairSource:
    """The samples that both sides embed.

    Attributes:
        folder: of the samples; None if only texts are embedded.
        dataset, options: name of a registered dataset, and its options.
        texts: a text file: one text a line or, for pairs with samples, JSON of texts by sample id.
        template: prompt template with `{}` for the class name, for samples that are paired with their class.
        seed: of derived samples.
    """

    folder: Path | None
    dataset: str
    options: Mapping[str, object]
    texts: Path | None
    template: str
    seed: int


def load_sides(
    names: tuple[str, str], modality: str | None, device: str, backend: str, store: EmbeddingStore | None = None
) -> tuple[AdapterSide, AdapterSide]:
    """Load both sides by name: `BINDING` for its common space, `BINDING:MODALITY` for the encoder's own space.

    Raises:
        UnknownName: no such binding, or it lacks the modality.
        BadOption: no modality is named, and the two have none in common; or both are one space.
    """
    parsed = [_split_name(name) for name in names]
    if any(map(is_embeddings_file, names)):
        raise BadOption(f"expected files of embeddings on both sides or on none, got {names[0]} and {names[1]}")
    binders = [load(binding, device=device, backend=backend, store=store) for binding, _ in parsed]
    own_modalities = {own for _, own in parsed}
    if modality is None and "" in own_modalities:
        own_modalities.discard("")
        modality = own_modalities.pop() if own_modalities else _find_common_modality(names, binders)
    sides = []
    for name, binder, (_, own) in zip(names, binders, parsed, strict=True):
        sides.append(AdapterSide(name, own or modality or "", binder.without_adapters(own) if own else binder))
    source, target = sides
    if source.space == target.space:
        raise BadOption(f"{names[0]} and {names[1]} are one space, {source.space}: no adapter is needed")
    return source, target


def is_embeddings_file(name: str) -> bool:
    """Return whether a side is a file of embeddings and not a binding such as `imagebind:FILE.safetensors`."""
    is_binding = any(part.name == name.partition(":")[0] for part in list_parts(BindingSpec))
    return _split_name(name)[0].endswith(SUFFIX) and not is_binding


def _split_name(name: str) -> tuple[str, str]:
    """Split a name at its last colon into binding or file, and modality, if a modality follows."""
    path, colon, last = name.rpartition(":")
    return (path, last) if colon and any(part.name == last for part in list_parts(ModalitySpec)) else (name, "")


def _find_common_modality(names: tuple[str, str], binders: Sequence[Binder]) -> str:
    common = [each for each in binders[0].modalities if each in binders[1].modalities]
    if common:
        return "image" if "image" in common else common[0]
    raise BadOption(f"{names[0]} and {names[1]} have no modality in common: name one as BINDING:MODALITY on both sides")


def load_pairs(names: tuple[str, str], modality: str | None) -> Pairs:
    """Load pairs by id from two files of embeddings, `FILE.safetensors` or `FILE.safetensors:MODALITY`.

    Raises:
        BadInput: a file cannot be read, or they have no ids in common.
        BadOption: a file has several modalities and none is named; or both are of one space.
    """
    sides = []
    for name in names:
        path, own = _split_name(name)
        groups = load_embeddings(path)
        selected = own or modality or (next(iter(groups)) if len(groups) == 1 else "")
        if selected not in groups:
            raise BadOption(f"{path} has embeddings of {', '.join(groups)}: select one of them as {path}:MODALITY")
        sides.append(groups[selected])
    if sides[0].space == sides[1].space:
        raise BadOption(f"{names[0]} and {names[1]} are of one space, {sides[0].space}: no adapter is needed")
    return pair_by_id(*sides)


def embed_pairs(sides: tuple[AdapterSide, AdapterSide], data: PairSource, on_bad: errors.OnBad | None = None) -> Pairs:
    """Embed the same samples on both sides.

    Where the sides' modalities differ, a sample is paired with the text of its class (or its text in `texts`), and a
    file with the file of the same name without suffix, or with a sample derived from it (events from an image).

    Raises:
        BadOption: neither a folder nor a text file, or one that cannot be used.
        BadInput: no pairs, or a sample that cannot be embedded.
    """
    source, target = sides
    if source.modality == target.modality == TEXT:
        if data.texts is None:
            raise BadOption("texts are missing: --texts FILE, one text a line")
        texts: list[object] = list(dict.fromkeys(tables.parse_names(str(data.texts))))
        return pair_by_id(*(_embed_items(side, texts, None, on_bad) for side in sides))
    if data.folder is None:
        raise BadOption("the data folder is missing: --data DIR")
    if source.modality == TEXT:
        return _embed_with_texts(target, source, data, True, on_bad)
    if target.modality == TEXT:
        return _embed_with_texts(source, target, data, False, on_bad)
    if data.texts is not None:
        raise BadOption(f"--texts: expected a side with {TEXT}, got {source.modality} and {target.modality}")
    samples = [_list_samples(side.modality, data) for side in sides]
    if source.modality != target.modality:
        samples = [_index_by_stem(items) for items in samples]
    common = [key for key in samples[0] if key in samples[1]]
    if not common:
        raise BadInput(f"{data.folder}: no {source.modality} and {target.modality} of the same name")
    paired = [[replace(items[key], id=key) for key in common] for items in samples]
    return pair_by_id(
        *(_embed_items(side, items, data.seed, on_bad) for side, items in zip(sides, paired, strict=True))
    )


def _embed_with_texts(
    side: AdapterSide, text_side: AdapterSide, data: PairSource, text_is_source: bool, on_bad: errors.OnBad | None
) -> Pairs:
    items = _list_samples(side.modality, data)
    if data.texts is not None:
        texts = _read_texts(data.texts)
    else:
        texts = {id: data.template.replace("{}", item.label) for id, item in items.items() if item.label}
    selected = [item for id, item in items.items() if id in texts]
    if not selected:
        raise BadInput(f"{data.folder}: no sample has a text: expected one folder a class, or --texts FILE.json")
    samples = _embed_items(side, selected, data.seed, on_bad)
    sample_texts = [texts[id] for id in samples.ids]
    embeddings = _embed_items(text_side, list(dict.fromkeys(sample_texts)), None, None)
    return pair_with_texts(samples, embeddings, sample_texts, text_is_source)


def _list_samples(modality: str, data: PairSource) -> dict[str, Item]:
    """List samples by id: files of the modality or, if there are none, of those it can be derived from."""
    sources = modalities.list_sources(modality)[1:]
    try:
        dataset: Dataset = create_part("dataset", data.dataset, data.folder, modalities=(modality,), **data.options)
    except BadInput:
        if not sources:
            raise
        dataset = create_part("dataset", data.dataset, data.folder, modalities=(modality, *sources), **data.options)
    return {item.id: item for item in dataset.items}


def _index_by_stem(items: Mapping[str, Item]) -> dict[str, Item]:
    """Index samples by id without suffix, which paired files of two modalities have in common."""
    by_stem: dict[str, Item] = {}
    for id, item in items.items():
        stem = str(PurePath(id).with_suffix(""))
        if stem in by_stem:
            raise BadInput(f"{by_stem[stem].id} and {id} have the same name: it is ambiguous which one to pair")
        by_stem[stem] = item
    return by_stem


def _read_texts(path: Path) -> dict[str, str]:
    texts = tables.read_json(path)
    if not isinstance(texts, dict) or not all(isinstance(text, str) and text for text in texts.values()):
        raise BadInput(f'{path}: expected JSON of texts by sample: {{"folder/file.jpg": "a caption", ...}}')
    return texts


def _embed_items(
    side: AdapterSide, items: Sequence[object], seed: int | None, on_bad: errors.OnBad | None
) -> Embeddings:
    return side.binder.embed(side.modality, items, derive_seed=seed, on_bad=on_bad)
