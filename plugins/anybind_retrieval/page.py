"""The page of a search: the query, and the files found as cards with pictures and sounds. One file, no script."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from anybind.plugin import pages
from anybind_retrieval.index import Entry, Index
from anybind_retrieval.media import Shown, shown
from anybind_retrieval.query import Query
from anybind_retrieval.ranking import SearchHit


def write_page(path: Path, query: Query, hits: Sequence[SearchHit], index: Index, where: str) -> None:
    """Write the page, whole or not at all.

    Args:
        path: the file.
        query: what was searched for.
        hits: kind after kind, best first.
        index: where they were found.
        where: that, as the user named it.

    Raises:
        BadInput: the page cannot be written.
    """
    kinds = dict.fromkeys(hit.modality for hit in hits)
    pages.save_page(
        path,
        "anybind_retrieval",
        "page.html",
        query=query,
        asked=shown(query.kind, Entry.of_file(query.path)) if query.path else Shown(query.shown, ""),
        groups=[_group(kind, [hit for hit in hits if hit.modality == kind], index) for kind in kinds],
        where=where,
        card=index.card,
    )


def _group(kind: str, hits: Sequence[SearchHit], index: Index) -> dict[str, object]:
    """The hits of one kind. Bars are relative to the best of them: cosines of two kinds do not compare."""
    full = max(1e-9, *(hit.cosine for hit in hits))
    cards = [
        {"hit": hit, "shown": shown(kind, hit.entry), "percent": 100 * max(hit.cosine, 0.0) / full} for hit in hits
    ]
    return {"kind": kind, "of": index.count(kind), "cards": cards, "encoder": index.card.shelves[kind].encoder}
