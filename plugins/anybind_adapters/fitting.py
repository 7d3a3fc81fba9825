"""Fitting an adapter between two embedding spaces, and evaluating it on held-out pairs."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from anybind import Embeddings, EmbeddingStore
from anybind.plugin import Adapter, AdapterSpec, BadOption, errors, find_part, list_parts, prompts
from anybind_adapters.held_out import Found, chance, retrieve
from anybind_adapters.pairs import Pairs, pair_by_id
from anybind_adapters.sides import FILE, WORDS, Data, embed_pairs, find_sides, holds_vectors, pairs_of_files

GIVEN = ("source", "target", "groups", "seed")
"""Arguments of every fit; all others are its options."""


Figures = dict[str, dict[str, dict[str, float]] | None]
"""Fields of `Found` by `forward` or `back`, by `chance`, `before` or `after`."""


@dataclass(frozen=True)
class AdapterFit:
    """A fitted adapter and how well held-out pairs retrieve each other.

    Attributes:
        adapter: maps embeddings of its source space to its target space.
        n_fit: number of pairs that it was fitted on.
        data: a description of the pairs, JSON-like: `hash`, `n`, `n_fit`, `seed`, and name, modality and encoder of
            both sides.
        held_out: retrieval among the held-out pairs, JSON-like: for `chance`, `before` (None where the dimensions
            differ) and `after`, for `forward` and `back`, the fields of `Found`.
    """

    adapter: Adapter
    n_fit: int
    data: Mapping[str, object]
    held_out: Figures

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the adapter as a `.safetensors` file with `data` and `held_out` in its card.

        Raises:
            BadOption: another ending.
            BadInput: the file cannot be written.
        """
        check_ending(path)
        self.adapter.save(path, {"data": self.data, "held_out": self.held_out})


def fit_adapter(
    source: str | Embeddings,
    target: str | Embeddings,
    *,
    data: str | os.PathLike[str] | None = None,
    kind: str = "ridge",
    modality: str | None = None,
    texts: str | os.PathLike[str] | None = None,
    prompt: str = "a photo of a {}",
    dataset: str | None = None,
    dataset_options: Mapping[str, object] | None = None,
    held_out: float = 0.2,
    seed: int = 0,
    device: str = "cpu",
    store: EmbeddingStore | None = None,
    on_bad: errors.OnBad | None = None,
    **options: object,
) -> AdapterFit:
    """Fit an adapter between two embedding spaces, on pairs of samples that both sides embed.

    Args:
        source: a binding (`BINDING`, its common space, or `BINDING:MODALITY`, the encoder's own space), a file of
            embeddings (`FILE.safetensors`, `FILE.safetensors:MODALITY`), or embeddings. Files and embeddings are paired
            by id.
        target: likewise.
        data: the folder of the samples that bindings embed.
        kind: a registered adapter that can be fitted: `ridge`, `procrustes`, `linear`, `mlp`, ...
        modality: what is embedded on both sides. [default: one that both have]
        texts: texts to embed: a text file, a text a line, or JSON of texts by the ids of the samples.
        prompt: template with `{}` in the place of the class name, for samples that are paired with their class.
        dataset: the registered dataset that reads `data`. [default: `folder`, with a text side and no `texts`, or
            where `dataset_options` names classes; else `files`]
        dataset_options: options of the dataset.
        held_out: share of the different things that are held out, above 0 and below 1.
        seed: of the split, the fit and derived samples.
        device: torch device of the bindings.
        store: where embeddings are looked up and stored. [default: nowhere]
        on_bad: called with the id and the error of each sample that cannot be used, which is then left out; by default
            the first one raises.
        options: of the kind of adapter, see its `fit`.

    Raises:
        BadOption: both sides are one space, an option that the kind does not take, or arguments that do not fit.
        BadInput: no pairs or fewer than ten different things, or a sample that cannot be used.
        UnknownName: no such binding, modality or kind.
    """
    adapter_class = find_fittable(kind, options)
    check_share(held_out)
    prompts.check_templates([prompt])
    if isinstance(source, Embeddings) and isinstance(target, Embeddings):
        names, pairs = (str(source.space), str(target.space)), pair_by_id(source, target)
    elif isinstance(source, str) and isinstance(target, str):
        names = (source, target)
        folder, words = (None if path is None else Path(path) for path in (data, texts))
        if holds_vectors(source) and holds_vectors(target):
            if data or texts:
                raise BadOption("files of embeddings are paired by id, nothing is embedded: leave out data and texts")
            pairs = pairs_of_files(names, modality)
        else:
            sides = find_sides(names, modality, device, store)
            taken = dict(dataset_options or {})
            by_class = "classes" in taken or (texts is None and WORDS in {side.modality for side in sides})
            name = dataset or ("folder" if by_class else "files")
            pairs = embed_pairs(sides, Data(folder, name, taken, words, prompt, seed), on_bad)
    else:
        raise BadOption("give embeddings on both sides, or on none")
    fit_on, asked = pairs.split(held_out, seed)
    adapter = adapter_class.fit(fit_on.source, fit_on.target, groups=fit_on.groups, seed=seed, **options)
    return AdapterFit(adapter, len(fit_on), _describe(names, pairs, fit_on, seed), _evaluate(adapter, asked))


def check_ending(output: str | os.PathLike[str]) -> None:
    """Raise `BadOption` unless an adapter can be saved under this name."""
    if Path(output).suffix != FILE:
        raise BadOption(f"the adapter's file must end in {FILE}, got {os.fspath(output)}")


def check_share(held_out: float) -> None:
    """Raise `BadOption` unless a share lies between 0 and 1."""
    if not 0 < held_out < 1:
        raise BadOption(f"the share that is held out must lie between 0 and 1, got {held_out}")


def find_fittable(kind: str, options: Mapping[str, object]) -> type[Adapter]:
    """The class of a registered adapter that can be fitted with these options.

    Raises:
        UnknownName: there is no such adapter.
        BadOption: it cannot be fitted from pairs, or does not take an option.
    """
    adapter_class = find_part(AdapterSpec, kind).load()
    if not _fittable(adapter_class):
        able = [part.name for part in list_parts(AdapterSpec) if _fittable(part.load())]
        raise BadOption(f"the adapter {kind!r} cannot be fitted from pairs; there are: {', '.join(able)}")
    taken = [name for name in inspect.signature(adapter_class.fit).parameters if name not in GIVEN]
    for name in options:
        if name not in taken:
            raise BadOption(f"fitting {kind!r} takes no option {name!r} (options: {', '.join(taken) or 'none'})")
    return adapter_class


def _fittable(made: object) -> bool:
    return isinstance(made, type) and issubclass(made, Adapter) and made.fit.__func__ is not Adapter.fit.__func__


def _describe(names: tuple[str, str], pairs: Pairs, fit_on: Pairs, seed: int) -> dict[str, object]:
    """What an adapter was fitted on, for its card."""
    sides = zip(("from", "to"), names, (pairs.source, pairs.target), strict=True)
    return {
        "hash": pairs.hash,
        "n": len(pairs),
        "n_fit": len(fit_on),
        "seed": seed,
        **{way: {"name": name, "modality": side.modality, "encoder": side.encoder} for way, name, side in sides},
    }


def _evaluate(adapter: Adapter, asked: Pairs) -> Figures:
    """Retrieval on held-out pairs, both ways: by chance, by the raw vectors where dimensions agree, and adapted."""
    figures: Figures = {"chance": _both_ways(chance, asked.source, asked), "before": None}
    if adapter.source.dim == adapter.target.dim:
        figures["before"] = _both_ways(retrieve, replace(asked.source, space=adapter.target), asked)
    return {**figures, "after": _both_ways(retrieve, adapter(asked.source), asked)}


def _both_ways(measure: Callable[..., Found], given: Embeddings, asked: Pairs) -> dict[str, dict[str, float]]:
    ways = {"forward": (given, asked.target), "back": (asked.target, given)}
    return {way: asdict(measure(*sides, asked.groups, asked.groups)) for way, sides in ways.items()}
