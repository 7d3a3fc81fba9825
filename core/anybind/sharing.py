"""Embedding on several ranks: each rank embeds a subset of the items and receives all rows."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass, replace

import numpy as np

from anybind import ranks
from anybind.embeddings import Embeddings
from anybind.errors import AnybindError, BadOption, OnBad
from anybind.loading import OnInvalid
from anybind.progress import progress_bar


@dataclass
class EmbeddingCounts:
    """Numbers of items that a binder has embedded, over all modalities and ranks.

    Attributes:
        computed: number of items that were encoded.
        cached: number of items whose embeddings were in the store.
    """

    computed: int = 0
    cached: int = 0


def embed_across_ranks(
    count: int,
    embed: Callable[[range, OnInvalid], Generator[tuple[list[int], Embeddings]]],
    make_empty: Callable[[], Embeddings],
    counts: EmbeddingCounts,
    on_bad: OnBad | None,
) -> Embeddings:
    """Embed items on all ranks and return all rows, in order.

    Args:
        count: number of items, the same on all ranks.
        embed: embeds the items of these numbers, counts them, and yields numbers and embeddings.
        make_empty: returns embeddings without rows.
        counts: updated with the counts of all ranks.
        on_bad: called on every rank for every invalid item, in order; by default the error of the first rank that has
            one is raised on all ranks.

    Raises:
        BadOption: the ranks were given different numbers of items.
    """
    invalid: list[tuple[int, str, str, str]] = []
    before = replace(counts)

    def on_invalid(number: int, id: str, error: AnybindError) -> None:
        if on_bad is None:
            raise error
        invalid.append((number, id, *ranks.serialize_error(error)))

    def share() -> list[tuple[list[int], Embeddings]]:
        results, own_numbers = [], range(ranks.get_rank(), count, ranks.get_world_size())
        embedded = embed(own_numbers, on_invalid)
        length = 0 if ranks.get_rank() else len(own_numbers)
        with closing(embedded), progress_bar(length, "embedding on rank 0") as advance:
            for numbers, batch in embedded:
                results.append((numbers, batch))
                advance(len(batch))
        return results

    own = ranks.run_collectively(share)
    empty = make_empty()
    reports = ranks.gather(
        {
            "items": count,
            "numbers": [number for numbers, _ in own for number in numbers],
            "ids": [id for _, batch in own for id in batch.ids],
            "skipped": invalid,
            "computed": counts.computed - before.computed,
            "cached": counts.cached - before.cached,
        }
    )
    rows = ranks.gather_rows(np.concatenate([empty.vectors, *(batch.vectors for _, batch in own)]))
    n_items = [each["items"] for each in reports]
    if len(set(n_items)) > 1:
        raise BadOption(f"the ranks were given {n_items} items to embed: each must be given all of them")
    counts.computed = before.computed + sum(each["computed"] for each in reports)
    counts.cached = before.cached + sum(each["cached"] for each in reports)
    for _, id, kind, message in sorted(each for one in reports for each in one["skipped"]):
        error = ranks.rebuild_error(kind, message)
        if on_bad is not None and isinstance(error, AnybindError):
            on_bad(id, error)
    order = np.argsort(np.array([number for each in reports for number in each["numbers"]], np.int64))
    ids = [id for each in reports for id in each["ids"]]
    return replace(empty, vectors=np.concatenate(rows)[order], ids=tuple(ids[position] for position in order))
