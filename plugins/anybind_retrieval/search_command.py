"""`anybind search`: see `anybind_retrieval.search`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from anybind.commandline import (
    AsJson,
    Device,
    SkipInvalid,
    SkippedFiles,
    StoreFlag,
    open_store,
    parse_options,
    print_json,
    print_table,
)
from anybind.plugin import files
from anybind_retrieval.index_command import Kinds
from anybind_retrieval.ranking import SearchHit
from anybind_retrieval.reranking import DEPTH
from anybind_retrieval.searching import SearchResults
from anybind_retrieval.searching import search as search_files


def search(
    query: Annotated[str, typer.Argument(help="A text, or the path of a recording, image, audio clip, ...")],
    where: Annotated[str, typer.Option("--in", help="A folder of files, or what `anybind index` wrote.")],
    modality: Kinds = None,
    embed_as: Annotated[str, typer.Option("--as", help="Take the query as text, or embed its file as this.")] = "",
    top: Annotated[int, typer.Option(min=1, help="Number of files of each modality.")] = 10,
    rerank: Annotated[str, typer.Option(help="Ranking head by name or file, e.g. query-expansion.")] = "",
    rerank_option: Annotated[list[str] | None, typer.Option(help="NAME=VALUE for that head; repeatable.")] = None,
    rerank_top: Annotated[int, typer.Option(min=1, help="Hits of each modality that it re-ranks.")] = DEPTH,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="An HTML page to write.")] = None,
    binding: Annotated[str, typer.Option(help="Binding by name, or a TOML file. [default: the index's]")] = "",
    approximate: Annotated[bool, typer.Option("--approximate", help="Use the index of a large .lance.")] = False,
    device: Device = "cpu",
    store: StoreFlag = True,
    skip_bad: SkipInvalid = False,
    as_json: AsJson = False,
) -> None:
    """Rank files by their similarity with a text or with another file, those of each modality by themselves."""
    if output is not None:
        files.check_output(output)
    skipped = SkippedFiles()
    try:
        found = search_files(
            query, where, modalities=modality or (), embed_as=embed_as, top_k=top, rerank=rerank,
            rerank_options=parse_options(rerank_option), rerank_top=rerank_top, binding=binding, approximate=approximate,
            device=device, store=open_store(store), on_bad=skipped.record if skip_bad else None,
        )  # fmt: skip
        if output is not None:
            found.save_page(output)
        if as_json:
            print_json({**_fields(found), "page": output and str(output), "skipped": skipped})
        else:
            again = ("score",) if any(hit.reranked is not None for hit in found.hits) else ()
            rows = [
                (hit.modality, str(hit.rank), *(f"{score:.3f}" for score in scores if score is not None), _named(hit))
                for hit in found.hits
                for scores in [(hit.reranked, hit.cosine)]
            ]
            title = f"nearest to {found.query.shown!r} by {found.index.card.binding}"
            print_table(("modality", "rank", *again, "cosine", "file"), rows, title)
            typer.echo(f"page: {output}") if output is not None else None
    finally:
        skipped.report()


def _fields(found: SearchResults) -> dict[str, object]:
    query, card = found.query, found.index.card
    return {
        "query": query.shown,
        "modality": query.kind,
        "embedded_as": query.embedded_as,
        "in": found.where,
        "binding": card.binding,
        "space": card.space.name,
        "searched": found.searched,
        "hits": [
            {
                "modality": hit.modality,
                "rank": hit.rank,
                "cosine": hit.cosine,
                **({} if hit.reranked is None else {"score": hit.reranked}),
                "file": files.portable_name(hit.path),
                **({"text": hit.text} if hit.text else {}),
                "state": hit.entry.state() or "unchanged",
            }
            for hit in found.hits
        ],
    }


def _named(hit: SearchHit) -> str:
    """The file, relative to the current folder if it lies below it, with what changed about it."""
    here = os.getcwd() + os.sep  # noqa: PTH109 (as `absolute` has it)
    path = files.portable_name(hit.path.removeprefix(here))
    state = hit.entry.state()
    return (f"{hit.text} ({path})" if hit.text else path) + (f" ({state})" if state else "")
