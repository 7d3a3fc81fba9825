"""Fitting an adapter between two embedding spaces, and its validation on held-out pairs."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from anybind import Embeddings, EmbeddingStore
from anybind.plugin import Adapter, AdapterSpec, BadOption, errors, find_part, list_parts, prompts
from anybind_adapters.pairs import Pairs, pair_by_id
from anybind_adapters.sides import (
    SUFFIX,
    TEXT,
    PairSource,
    embed_pairs,
    is_embeddings_file,
    load_pairs,
    load_sides,
)
from anybind_adapters.validation import RetrievalScores, compute_chance, evaluate_retrieval

FIT_ARGUMENTS = ("source", "target", "groups", "seed")
"""Arguments of every `fit`; all others are options of the adapter."""


Metrics = dict[str, dict[str, dict[str, float]] | None]
"""Fields of `RetrievalScores` by `forward` or `back`, by `chance`, `before` or `after`."""


@dataclass(frozen=True)
class AdapterFit:
    """A fitted adapter and its retrieval scores on held-out pairs.

    Attributes:
        adapter: maps embeddings of its source space to its target space.
        n_fit: number of pairs that it was fitted on.
        data: a description of the pairs, JSON-like: `hash`, `n`, `n_fit`, `seed`, and name, modality and encoder of
            both sides.
        validation: retrieval among the held-out pairs, JSON-like: for `chance`, `before` (None where the dimensions
            differ) and `after`, for `forward` and `back`, the fields of `RetrievalScores`.
    """

    adapter: Adapter
    n_fit: int
    data: Mapping[str, object]
    validation: Metrics

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the adapter as a `.safetensors` file; its card has `data` and, as `held_out`, `validation`.

        Raises:
            BadOption: another suffix.
            BadInput: the file cannot be written.
        """
        check_suffix(path)
        self.adapter.save(path, {"data": self.data, "held_out": self.validation})


def fit_adapter(
    source: str | Embeddings,
    target: str | Embeddings,
    *,
    data: str | os.PathLike[str] | None = None,
    adapter: str = "ridge",
    modality: str | None = None,
    texts: str | os.PathLike[str] | None = None,
    template: str = "a photo of a {}",
    dataset: str | None = None,
    dataset_options: Mapping[str, object] | None = None,
    val_fraction: float = 0.2,
    seed: int = 0,
    device: str = "cpu",
    backend: str = "auto",
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
        adapter: name of a registered adapter that can be fitted: `ridge`, `procrustes`, `linear`, `mlp`, ...
        modality: modality to embed on both sides. [default: one that both have]
        texts: texts to embed: a text file, one text a line, or JSON of texts by sample id.
        template: prompt template with `{}` for the class name, for samples that are paired with their class.
        dataset: name of the registered dataset that reads `data`. [default: `folder`, with a text side and no `texts`,
            or where `dataset_options` names classes; else `files`]
        dataset_options: options of the dataset.
        val_fraction: fraction of the pair groups held out for validation, above 0 and below 1. Pairs of one text are
            one group.
        seed: of the split, the fit and derived samples.
        device, backend: as for `anybind.load`.
        store: where embeddings are looked up and stored. [default: nowhere]
        on_bad: called with the id and the error of each sample that cannot be used, which is then left out; by default
            the first one raises.
        options: of the adapter, see its `fit`.

    Raises:
        BadOption: both sides are one space, an option that the adapter does not have, or conflicting arguments.
        BadInput: no pairs, fewer than ten groups, or a sample that cannot be used.
        UnknownName: no such binding, modality or adapter.
    """
    adapter_class = find_adapter_class(adapter, options)
    check_val_fraction(val_fraction)
    prompts.check_templates([template])
    if isinstance(source, Embeddings) and isinstance(target, Embeddings):
        names, pairs = (str(source.space), str(target.space)), pair_by_id(source, target)
    elif isinstance(source, str) and isinstance(target, str):
        names = (source, target)
        if is_embeddings_file(source) and is_embeddings_file(target):
            if data or texts:
                raise BadOption("files of embeddings are paired by id: remove data and texts")
            pairs = load_pairs(names, modality)
        else:
            sides, data_options = load_sides(names, modality, device, backend, store), dict(dataset_options or {})
            folder, text_file = (None if path is None else Path(path) for path in (data, texts))
            by_class = "classes" in data_options or (texts is None and TEXT in {side.modality for side in sides})
            name = dataset or ("folder" if by_class else "files")
            pairs = embed_pairs(sides, PairSource(folder, name, data_options, text_file, template, seed), on_bad)
    else:
        raise BadOption("source and target: expected embeddings on both sides or on none")
    train, val = pairs.split(val_fraction, seed)
    fitted = adapter_class.fit(train.source, train.target, groups=train.groups, seed=seed, **options)
    return AdapterFit(fitted, len(train), _describe_pairs(names, pairs, train, seed), _evaluate_adapter(fitted, val))


def check_suffix(output: str | os.PathLike[str]) -> None:
    """Raise `BadOption` unless an adapter can be saved under this name."""
    if Path(output).suffix != SUFFIX:
        raise BadOption(f"expected an adapter file with suffix {SUFFIX}, got {os.fspath(output)}")


def check_val_fraction(val_fraction: float) -> None:
    """Raise `BadOption` unless the fraction is above 0 and below 1."""
    if not 0 < val_fraction < 1:
        raise BadOption(f"val_fraction: expected a number above 0 and below 1, got {val_fraction}")


def find_adapter_class(adapter: str, options: Mapping[str, object]) -> type[Adapter]:
    """Find the class of a registered adapter that can be fitted with these options.

    Raises:
        UnknownName: there is no such adapter.
        BadOption: it cannot be fitted from pairs, or does not have an option.
    """
    adapter_class = find_part(AdapterSpec, adapter).load()
    if not _is_fittable(adapter_class):
        fittable = [part.name for part in list_parts(AdapterSpec) if _is_fittable(part.load())]
        raise BadOption(f"the adapter {adapter!r} cannot be fitted from pairs; choose one of: {', '.join(fittable)}")
    names = [name for name in inspect.signature(adapter_class.fit).parameters if name not in FIT_ARGUMENTS]
    for name in options:
        if name not in names:
            raise BadOption(f"adapter {adapter!r}: no fit option {name!r} (options: {', '.join(names) or 'none'})")
    return adapter_class


def _is_fittable(target: object) -> bool:
    return isinstance(target, type) and issubclass(target, Adapter) and target.fit.__func__ is not Adapter.fit.__func__


def _describe_pairs(names: tuple[str, str], pairs: Pairs, train: Pairs, seed: int) -> dict[str, object]:
    """Describe the pairs of a fit, for the adapter's card."""
    sides = zip(("from", "to"), names, (pairs.source, pairs.target), strict=True)
    return {
        "hash": pairs.hash,
        "n": len(pairs),
        "n_fit": len(train),
        "seed": seed,
        **{key: {"name": name, "modality": side.modality, "encoder": side.encoder} for key, name, side in sides},
    }


def _evaluate_adapter(adapter: Adapter, val: Pairs) -> Metrics:
    """Evaluate retrieval among held-out pairs: at chance, without the adapter (equal dimensions), and with it."""
    metrics: Metrics = {"chance": _evaluate_directions(compute_chance, val.source, val), "before": None}
    if adapter.source.dim == adapter.target.dim:
        metrics["before"] = _evaluate_directions(evaluate_retrieval, replace(val.source, space=adapter.target), val)
    return {**metrics, "after": _evaluate_directions(evaluate_retrieval, adapter(val.source), val)}


def _evaluate_directions(
    measure: Callable[..., RetrievalScores], source: Embeddings, val: Pairs
) -> dict[str, dict[str, float]]:
    directions = {"forward": (source, val.target), "back": (val.target, source)}
    return {name: asdict(measure(*sides, val.groups, val.groups)) for name, sides in directions.items()}
