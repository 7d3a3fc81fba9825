"""The HTML page of a search: the query, and the hits as cards with images and audio. One file without scripts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from anybind.plugin import pages
from anybind_retrieval.index import IndexEntry
from anybind_retrieval.media import MediaPreview, make_preview
from anybind_retrieval.ranking import SearchHit

if TYPE_CHECKING:
    from anybind_retrieval.searching import SearchResults


def write_page(path: Path, results: SearchResults) -> None:
    """Write the page atomically; raise `BadInput` if it is not writable."""
    query, sizes, card = results.query, results.gallery_sizes, results.index.card
    if results.mixed and results.hits:
        groups = [_make_group("all modalities", results.hits, sum(sizes.values()), results.calibrated)]
    else:
        by_modality = {name: [hit for hit in results.hits if hit.modality == name] for name in sizes}
        groups = [_make_group(name, hits, sizes[name], False) for name, hits in by_modality.items() if hits]
    preview = MediaPreview(query.source, "")
    if query.path:
        preview = make_preview(query.modality, IndexEntry.from_file(query.path))
    pages.save_page(
        path,
        "anybind_retrieval",
        "page.html",
        query=query,
        preview=preview,
        groups=groups,
        mixed=results.mixed,
        calibrated=results.calibrated,
        gallery=results.gallery,
        card=card,
        encoders={name: card.encoders[name].encoder for name in sizes},
    )


def _make_group(title: str, hits: Sequence[SearchHit], total: int, calibrated: bool) -> dict[str, object]:
    """Return the cards of one ranking; bars are relative to its best hit."""
    scores = [hit.calibrated if calibrated and hit.calibrated is not None else hit.cosine for hit in hits]
    best = max(1e-9, *scores)
    cards = [
        {"hit": hit, "preview": make_preview(hit.modality, hit.entry), "percent": 100 * max(score, 0.0) / best}
        for hit, score in zip(hits, scores, strict=True)
    ]
    return {"title": title, "total": total, "cards": cards, "all_weak": all(hit.weak for hit in hits)}
