"""`anybind search`: see `anybind_retrieval.search`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from anybind.commandline import (
    AsJson,
    Backend,
    Device,
    End,
    Filters,
    ReaderOptions,
    Region,
    SkipInvalid,
    SkippedFiles,
    Start,
    StoreFlag,
    Stride,
    Window,
    open_store,
    parse_options,
    parse_reader_options,
    parse_windows,
    print_json,
    print_table,
    print_text,
    split_common_folder,
)
from anybind.plugin import BadOption, files
from anybind_retrieval.index_command import Modalities
from anybind_retrieval.query import JointQuery
from anybind_retrieval.ranking import SearchHit
from anybind_retrieval.reranking import RERANK_TOP_K
from anybind_retrieval.searching import SearchResults
from anybind_retrieval.searching import search as search_files

PARTS = ("text", "image", "event", "sound", "depth", "video")
"""Modalities of the parts of a joint query."""
Part = Annotated[list[str] | None, typer.Option(help="Search for this as well, embedded as this modality; repeatable.")]


def search(
    gallery: Annotated[str, typer.Option("--in", help="Folder of files, or index of `anybind index`, to search.")],
    query: Annotated[str, typer.Argument(help="A text, or the path of a recording, image, audio clip, ...")] = "",
    query_text: Part = None,
    query_image: Part = None,
    query_event: Part = None,
    query_sound: Part = None,
    query_depth: Part = None,
    query_video: Part = None,
    query_weight: Annotated[
        list[str] | None, typer.Option(help="MODALITY=NUMBER: weight of a --query-MODALITY; repeatable. [default: 1]")
    ] = None,
    modality: Modalities = None,
    embed_as: Annotated[str, typer.Option("--as", help="Embed the query as text, or its file as event, ...")] = "",
    top_k: Annotated[int, typer.Option(min=1, help="Number of hits per modality, or in total with --mixed.")] = 10,
    mixed: Annotated[bool, typer.Option("--mixed", help="Rank files of all modalities together.")] = False,
    calibrate: Annotated[
        bool, typer.Option(help="Rank --mixed by scores calibrated per modality, or by raw cosine similarity.")
    ] = True,
    rerank: Annotated[str, typer.Option(help="Re-rank hits by this head, by name or file: query-expansion.")] = "",
    rerank_option: Annotated[list[str] | None, typer.Option(help="NAME=VALUE for that head; repeatable.")] = None,
    rerank_top_k: Annotated[int, typer.Option(min=1, help="Number of hits per modality to re-rank.")] = RERANK_TOP_K,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write an HTML page.")] = None,
    binding: Annotated[str, typer.Option(help="Binding by name, or a TOML file. [default: the index's]")] = "",
    approximate: Annotated[
        bool, typer.Option("--approximate", help="Use the approximate index of a large .lance.")
    ] = False,
    device: Device = "cpu",
    backend: Backend = "auto",
    store: StoreFlag = True,
    skip_invalid: SkipInvalid = False,
    as_json: AsJson = False,
    start: Start = "",
    end: End = "",
    window: Window = "",
    stride: Stride = "",
    roi: Region = "",
    filters: Filters = "",
    reader_option: ReaderOptions = None,
) -> None:
    """Rank files by their similarity with a text, another file, or both, each modality separately.

    Queries given as --query-MODALITY are joined to one: an image and a text, for instance, by the mean of their
    embeddings. A weak match is not better than chance for its modality.
    """
    if output is not None:
        files.check_output(output, files.PAGE_SUFFIXES)
    options, skipped = parse_windows(start, end, window, stride, roi, filters), SkippedFiles()
    parts = zip(PARTS, (query_text, query_image, query_event, query_sound, query_depth, query_video), strict=True)
    joint = {modality: sources for modality, sources in parts if sources}
    if query and joint:
        raise BadOption("give one query, or several as --query-text, --query-image, ...")
    try:
        results = search_files(
            joint or query, gallery, weights=parse_options(query_weight), modalities=modality or (),
            embed_as=embed_as, top_k=top_k, mixed=mixed, calibrate=calibrate, rerank=rerank,
            rerank_options=parse_options(rerank_option), rerank_top_k=rerank_top_k, binding=binding,
            approximate=approximate, device=device, backend=backend, store=open_store(store), options=options,
            on_bad=skipped.record if skip_invalid else None, reader_options=parse_reader_options(reader_option),
        )  # fmt: skip
        if output is not None:
            results.save_page(output)
        if as_json:
            print_json({**_make_fields(results), "page": output and str(output), "skipped": skipped})
        else:
            _print_results(results, output)
    finally:
        skipped.report()


def _make_fields(results: SearchResults) -> dict[str, object]:
    query, card = results.query, results.index.card
    return {
        "query": query.source,
        "modality": query.modality,
        **({"weights": query.weights} if isinstance(query, JointQuery) else {}),
        "embedded_as": query.embedded_as,
        "gallery": results.gallery,
        "binding": card.binding,
        "space": card.space.name,
        "gallery_sizes": results.gallery_sizes,
        "mixed": results.mixed,
        "hits": [
            {
                "modality": hit.modality,
                "rank": hit.rank,
                "cosine": hit.cosine,
                "calibrated": hit.calibrated,
                "z": hit.z,
                "weak": hit.weak,
                **({} if hit.rerank_score is None else {"score": hit.rerank_score}),
                "file": files.portable_name(hit.path),
                **_describe_part(hit),
                "state": hit.entry.get_state() or "unchanged",
            }
            for hit in results.hits
        ],
    }


def _print_results(results: SearchResults, page: Path | None) -> None:
    """Print the hits as a table; columns without a value in any row are left out."""
    here = os.getcwd() + os.sep  # noqa: PTH109 (as `make_absolute` has it)
    folder, names = split_common_folder([files.portable_name(hit.path.removeprefix(here)) for hit in results.hits])
    columns = ("modality", "rank", "score", "cosine", "z", "match", "file")
    rows = [
        (
            hit.modality,
            str(hit.rank),
            "" if hit.rerank_score is None else f"{hit.rerank_score:.3f}",
            f"{hit.cosine:.3f}",
            "" if hit.z is None else f"{hit.z:.1f}",
            "weak" if hit.weak else "",
            _format_file(hit, name),
        )
        for hit, name in zip(results.hits, names, strict=True)
    ]
    used = [column for column in range(len(columns)) if any(row[column] for row in rows)]
    title = f"most similar to {results.query.source!r} by {results.index.card.binding}" + f", in {folder}" * bool(
        folder
    )
    print_table([columns[column] for column in used], [[row[column] for column in used] for row in rows], title)
    if any(hit.weak for hit in results.hits):
        print_text("weak: not better than chance for its modality")
    if page is not None:
        print_text(f"page: {page}")


def _format_file(hit: SearchHit, path: str) -> str:
    """Return the path with the text and the state of the file."""
    state = hit.entry.get_state()
    fragment = hit.entry.fragment
    name = f"{hit.text} ({path})" if fragment is None else f"{path} {fragment.name}".rstrip()
    return name + (f" ({state})" if state else "")


def _describe_part(hit: SearchHit) -> dict[str, object]:
    """Return the line of a text file, or the time range of a window, as fields."""
    fragment = hit.entry.fragment
    if fragment is None:
        return {"text": hit.text}
    return {} if fragment.start_us is None else {"start_us": fragment.start_us, "end_us": fragment.end_us}
