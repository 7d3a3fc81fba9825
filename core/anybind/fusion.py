"""Joint embeddings: one embedding of samples of several modalities, such as an image and a text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from anybind.embeddings import Embeddings, check_weights, concatenate
from anybind.errors import AnybindError, BadInput, OnBad
from anybind.loading import to_item
from anybind.modality import find_modality

if TYPE_CHECKING:
    from anybind.binder import Binder

JoinedQuery = Mapping[str, object]
"""A path, a sample or an `Item` by modality."""


def embed_joint(
    binder: Binder,
    queries: Sequence[object],
    weights: Mapping[str, float] | None,
    *,
    batch_size: int | None,
    workers: int | None,
    derive_seed: int | None,
    on_bad: OnBad | None,
) -> Embeddings:
    """Embed joint queries; see `Binder.embed`."""
    if not queries:
        raise BadInput("expected joint queries, got none")
    checked = [_check_query(number, query) for number, query in enumerate(queries)]
    names = list(dict.fromkeys(name for query in checked for name in query))
    weights = check_weights(weights, names)
    for name in names:
        binder.encoder(name)  # raises for a missing one before anything is embedded
    rows: list[dict[str, int]] = [{} for _ in checked]
    embedded: dict[str, Embeddings] = {}
    for name in names:
        kind, failed = find_modality(name), set[str]()

        def skip(id: str, error: AnybindError, failed: set[str] = failed) -> None:
            failed.add(id)
            if on_bad is not None:
                on_bad(id, error)

        items = {number: to_item(kind, number, query[name]) for number, query in enumerate(checked) if name in query}
        embedded[name] = binder.embed(
            name, items.values(), batch_size=batch_size, workers=workers, derive_seed=derive_seed,
            on_bad=on_bad and skip,
        )  # fmt: skip
        valid = (number for number, item in items.items() if item.id not in failed)
        for row, number in enumerate(valid):
            rows[number][name] = row
    return _fuse_queries(checked, rows, embedded, weights)


def _check_query(number: int, query: object) -> JoinedQuery:
    if not isinstance(query, Mapping) or not all(isinstance(name, str) for name in query):
        raise BadInput(f"query {number}: expected a mapping from modalities to items, got {query!r:.80}")
    if not query:
        raise BadInput(f"query {number} is empty; expected an item by modality, such as {{'text': 'a cat'}}")
    return query


def _fuse_queries(
    queries: Sequence[JoinedQuery],
    rows: Sequence[Mapping[str, int]],
    embedded: Mapping[str, Embeddings],
    weights: Mapping[str, float],
) -> Embeddings:
    """Fuse the embeddings of queries; `rows` are those of each query by modality, without invalid items."""
    numbers: dict[tuple[str, ...], list[int]] = {}
    for number, query in enumerate(queries):
        if len(rows[number]) == len(query):
            numbers.setdefault(tuple(query), []).append(number)
    groups = []
    for names, members in numbers.items():
        parts = [embedded[name][[rows[number][name] for number in members]] for name in names]
        groups.append(Embeddings.fuse(parts, {name: weights[name] for name in names if name in weights}))
    empty = Embeddings.fuse([each[:0] for each in embedded.values()], weights)
    ordered = concatenate([empty, *(replace(each, modality=empty.modality, encoder=empty.encoder) for each in groups)])
    return ordered[np.argsort(np.array([number for members in numbers.values() for number in members], int))]
