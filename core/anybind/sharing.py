"""Embedding by several ranks: each embeds its share of the items, and all of them get all rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from anybind import ranks
from anybind.embeddings import Embeddings
from anybind.errors import AnybindError, BadOption, OnBad
from anybind.loading import OnInvalid
from anybind.progress import progress_bar


@dataclass
class EmbeddingCounts:
    """How many items a binder has embedded, of all modalities together and on all ranks.

    Attributes:
        computed: went through an encoder.
        cached: were there already.
    """

    computed: int = 0
    cached: int = 0


def embed_across_ranks(
    count: int,
    embed: Callable[[range, OnInvalid], Iterator[tuple[list[int], Embeddings]]],
    make_empty: Callable[[], Embeddings],
    counts: EmbeddingCounts,
    on_bad: OnBad | None,
) -> Embeddings:
    """The rows of all items, in order.

    Args:
        count: how many items there are, the same on all ranks.
        embed: embeds the items of these numbers, counts them, and yields numbers and rows.
        nothing: what gives no rows, with everything else as it will be.
        counts: raised by what the other ranks did.
        on_bad: called on every rank for every item that was left out, in order; without it the error of the first
            rank that has one is raised on all.

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
        numbers, results = range(ranks.get_rank(), count, ranks.get_world_size()), []
        with progress_bar(0 if ranks.get_rank() else len(numbers), "embedding a share") as advance:
            for numbers, batch in embed(numbers, on_invalid):
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
    return replace(empty, vectors=np.concatenate(rows)[order], ids=tuple(ids[place] for place in order))
