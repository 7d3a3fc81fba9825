"""The two sides of an adapter as the command line names them, and the pairs that they make of a folder of data."""

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
from anybind_adapters.pairs import Pairs, pair_by_id, pair_with_words

WORDS = "text"
FILE = ".safetensors"


@dataclass(frozen=True)
class Side:
    """One side of the pairs: a binder's way of embedding one modality."""

    name: str
    modality: str
    binder: Binder

    @property
    def space(self) -> Space:
        """Where its vectors live."""
        return self.binder.space(self.modality)


@dataclass(frozen=True)
class Data:
    """What is embedded on both sides.

    Attributes:
        folder: of the samples; None where only words are embedded.
        dataset: the data set's kind, by name, and its options.
        texts: a file of words: a text a line or, where they go with samples, JSON of texts by the samples' ids.
        template: sentence around a class name, for samples that go with the words of their class.
        seed: of recordings that are made from files of another modality.
    """

    folder: Path | None
    dataset: str
    options: Mapping[str, object]
    texts: Path | None
    template: str
    seed: int


def find_sides(
    names: tuple[str, str], modality: str | None, device: str, store: EmbeddingStore | None = None
) -> tuple[Side, Side]:
    """Both sides by what the command line calls them.

    `BINDING` stands for its common space, `BINDING:MODALITY` for that of the modality's own tower.

    Raises:
        UnknownName: no such binding, or it lacks the modality.
        BadOption: no modality is named, and the two have none in common; or both are one space.
    """
    split = [_split(name) for name in names]
    if any(map(holds_vectors, names)):
        raise BadOption(f"give files of vectors on both sides, or on none; got {names[0]} and {names[1]}")
    binders = [load(binding, device=device, store=store) for binding, _ in split]
    owned = {own for _, own in split}
    if modality is None and "" in owned:
        owned.discard("")
        modality = owned.pop() if owned else _in_common(names, binders)
    sides = []
    for name, binder, (_, own) in zip(names, binders, split, strict=True):
        sides.append(Side(name, own or modality or "", binder.without_adapters(own) if own else binder))
    first, second = sides
    if first.space == second.space:
        raise BadOption(f"{names[0]} and {names[1]} are one space, {first.space}: no adapter is needed")
    return first, second


def holds_vectors(name: str) -> bool:
    """Whether a side is called by a file of vectors and not by a binding, such as `imagebind:FILE.safetensors`."""
    is_binding = any(part.name == name.partition(":")[0] for part in list_parts(BindingSpec))
    return _split(name)[0].endswith(FILE) and not is_binding


def _split(name: str) -> tuple[str, str]:
    """The binding's name, and the modality behind its last colon where there is one."""
    binding, colon, last = name.rpartition(":")
    return (binding, last) if colon and any(part.name == last for part in list_parts(ModalitySpec)) else (name, "")


def _in_common(names: tuple[str, str], binders: Sequence[Binder]) -> str:
    both = [each for each in binders[0].modalities if each in binders[1].modalities]
    if both:
        return "image" if "image" in both else both[0]
    raise BadOption(
        f"{names[0]} and {names[1]} embed nothing in common: name what goes in as BINDING:MODALITY, on both sides"
    )


def pairs_of_files(names: tuple[str, str], modality: str | None) -> Pairs:
    """Pairs of two files of vectors, `FILE.safetensors` or `FILE.safetensors:MODALITY`, by id.

    Raises:
        BadInput: a file cannot be read, or they have no ids in common.
        BadOption: a file holds vectors of several modalities and none is named; or both are of one space.
    """
    sides = []
    for name in names:
        path, own = _split(name)
        groups = load_embeddings(path)
        wanted = own or modality or (next(iter(groups)) if len(groups) == 1 else "")
        if wanted not in groups:
            raise BadOption(f"{path} holds vectors of {', '.join(groups)}: name one of them as {path}:MODALITY")
        sides.append(groups[wanted])
    if sides[0].space == sides[1].space:
        raise BadOption(f"{names[0]} and {names[1]} are of one space, {sides[0].space}: no adapter is needed")
    return pair_by_id(*sides)


def embed_pairs(sides: tuple[Side, Side], data: Data, on_bad: errors.OnBad | None = None) -> Pairs:
    """Embed the same things on both sides.

    Where the sides' modalities differ, a sample goes with the words of its class (or with those that `texts` holds),
    a file with the file of the same name but for its ending, or with what is made of it (a recording of a picture).

    Raises:
        BadOption: neither a folder nor a file of words was given, or one that cannot be used.
        BadInput: no pairs are there, or a sample cannot be embedded.
    """
    first, second = sides
    words = [side.modality == WORDS for side in sides]
    if all(words):
        if data.texts is None:
            raise BadOption("say which words are embedded: --texts FILE, with a text a line")
        texts: list[object] = list(dict.fromkeys(tables.parse_names(str(data.texts))))
        return pair_by_id(*(_embed(side, texts, None, on_bad) for side in sides))
    if data.folder is None:
        raise BadOption("say where the data is: --data DIR")
    if words[0]:
        return _with_words(second, first, data, True, on_bad)
    if words[1]:
        return _with_words(first, second, data, False, on_bad)
    if data.texts is not None:
        raise BadOption(f"--texts goes with sides that embed {WORDS}")
    listed = [_samples(side.modality, data) for side in sides]
    if first.modality != second.modality:
        listed = [_by_plain_name(items) for items in listed]
    both = [key for key in listed[0] if key in listed[1]]
    if not both:
        raise BadInput(f"{data.folder} holds no {first.modality} and {second.modality} of one name")
    renamed = [[replace(items[key], id=key) for key in both] for items in listed]
    return pair_by_id(*(_embed(side, items, data.seed, on_bad) for side, items in zip(sides, renamed, strict=True)))


def _with_words(side: Side, words: Side, data: Data, flipped: bool, on_bad: errors.OnBad | None) -> Pairs:
    items = _samples(side.modality, data)
    if data.texts is not None:
        texts = _texts_by_id(data.texts)
    else:
        texts = {id: data.template.replace("{}", item.label) for id, item in items.items() if item.label}
    kept = [item for id, item in items.items() if id in texts]
    if not kept:
        raise BadInput(f"no sample of {data.folder} has words: it needs one folder a class, or --texts FILE.json")
    samples = _embed(side, kept, data.seed, on_bad)
    of = [texts[id] for id in samples.ids]
    return pair_with_words(samples, _embed(words, list(dict.fromkeys(of)), None, None), of, flipped)


def _samples(modality: str, data: Data) -> dict[str, Item]:
    """Samples by id: files of the modality or, where there are none, of what it can be made from."""
    kinds = (modality,)
    try:
        found: Dataset = create_part("dataset", data.dataset, data.folder, modalities=kinds, **data.options)
    except BadInput:
        sources = modalities.list_sources(modality)[1:]
        if not sources:
            raise
        found = create_part("dataset", data.dataset, data.folder, modalities=(*kinds, *sources), **data.options)
    return {item.id: item for item in found.items}


def _by_plain_name(items: Mapping[str, Item]) -> dict[str, Item]:
    """Samples by their ids without the ending, which files of two modalities that belong together have in common."""
    named: dict[str, Item] = {}
    for id, item in items.items():
        name = str(PurePath(id).with_suffix(""))
        if name in named:
            raise BadInput(f"{named[name].id} and {id} are of one name, so that it is not clear which one is meant")
        named[name] = item
    return named


def _texts_by_id(path: Path) -> dict[str, str]:
    held = tables.read_json(path)
    if not isinstance(held, dict) or not all(isinstance(text, str) and text for text in held.values()):
        raise BadInput(f'{path} must hold a text for each sample: {{"folder/file.jpg": "what it shows", ...}}')
    return held


def _embed(side: Side, items: Sequence[object], seed: int | None, on_bad: errors.OnBad | None) -> Embeddings:
    return side.binder.embed(side.modality, items, derive_seed=seed, on_bad=on_bad)
