"""`anybind search`: the files nearest to a text or to another file."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from anybind import Binder, list_bindings, load
from anybind.commandline import (
    AsJson,
    Device,
    SkipBad,
    Skipped,
    StoreFlag,
    named_values,
    open_store,
    print_json,
    print_table,
)
from anybind.plugin import BadInput, BadOption, Head, errors, files, find_head, tables
from anybind_retrieval.index import Index, absolute, is_uri
from anybind_retrieval.index_command import Kinds
from anybind_retrieval.indexing import Wanted, exists, is_lance, kinds_of, open_index, shelf_of, update
from anybind_retrieval.query import Query, find_query
from anybind_retrieval.ranking import Hit, ranked
from anybind_retrieval.reranking import DEPTH, rerank

DEFAULT_BINDING = "mini"


def search(
    query: Annotated[str, typer.Argument(help="A text, or the path of a recording, picture, sound, ...")],
    where: Annotated[str, typer.Option("--in", help="A folder of files, or what `anybind index` wrote.")],
    modality: Kinds = None,
    embed_as: Annotated[str, typer.Option("--as", help="Take the query as text, or embed its file as this.")] = "",
    top: Annotated[int, typer.Option(min=1, help="How many files of each modality.")] = 10,
    rerank: Annotated[str, typer.Option(help="Ranking head by name or file, e.g. query-expansion.")] = "",
    rerank_option: Annotated[list[str] | None, typer.Option(help="NAME=VALUE for that head; repeatable.")] = None,
    rerank_top: Annotated[int, typer.Option(min=1, help="Results of each modality that it re-ranks.")] = DEPTH,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="An HTML page to write.")] = None,
    binding: Annotated[str, typer.Option(help="Binding by name, or a TOML file; by default the index's.")] = "",
    approximate: Annotated[bool, typer.Option("--approximate", help="Use the index of a large .lance.")] = False,
    device: Device = "cpu",
    store: StoreFlag = True,
    skip_bad: SkipBad = False,
    as_json: AsJson = False,
) -> None:
    """Rank files by how near they are to a text or to another file, those of each modality by themselves."""
    if output is not None:
        files.check_output(output)
    of_folder = not is_uri(where) and not is_lance(where) and Path(where).is_dir()
    index = None if of_folder else open_index(where, approximate=approximate)
    if approximate and not is_lance(where):
        raise BadOption("--approximate is for an index that ends in .lance; any other is searched exactly and fast")
    name = binding or (DEFAULT_BINDING if index is None else _binding_of(index))
    binder = load(name, device=device, store=open_store(store))
    kinds = kinds_of(binder, modality or ())
    asked = find_query(query, kinds_of(binder), embed_as)
    head = _ranking_head(rerank, rerank_option, binder)
    skipped = Skipped()
    if index is None:
        index = _index_of_folder(where, binder, kinds, skipped if skip_bad else None)
    hits = find(index, binder, asked, modality or (), top, head, rerank_top)
    if output is not None:
        from anybind_retrieval.page import write_page

        write_page(output, asked, hits, index, where)
    _report(asked, hits, index, where, output, skipped, as_json)


def _ranking_head(source: str, options: list[str] | None, binder: Binder) -> Head | None:
    if not source:
        if options:
            raise BadOption("--rerank-option is for the head that --rerank names")
        return None
    head = find_head(source, predicts="ranking", **named_values(options))
    head.prepare(binder)
    return head


def find(
    index: Index,
    binder: Binder,
    query: Query,
    modalities: Sequence[str],
    top: int,
    head: Head | None = None,
    depth: int = DEPTH,
) -> list[Hit]:
    """The hits of each kind of file, kind after kind in the order of the index, best first.

    A ranking head re-ranks the first `depth` hits of each kind.

    Raises:
        BadOption: the index holds no files of a kind that was asked for.
        SpaceMismatch, WeightsMismatch: the index was made with other encoders than the binder's.
    """
    shelves = index.card.shelves
    for kind in modalities:
        if kind not in shelves:
            raise BadOption(f"{index.where} holds no files of {kind}{errors.nearest(kind, shelves)}")
    embedded = query.embed(binder)
    embedded_as = kinds_of(binder)
    hits: list[Hit] = []
    for kind in modalities or shelves:
        if kind not in embedded_as:
            raise BadOption(
                f"{index.where} holds {kind}, which the binding {binder.name!r} does not embed; it was made with"
                f" {index.card.binding!r}: give that as --binding, or what to search as --modality"
            )
        index.card.require(kind, shelf_of(binder, kind, embedded_as[kind])[0], embedded.space, index.where)
        if head is None:
            hits += ranked(index, kind, embedded.vectors[0], top, without=query.path)
        else:
            hits += rerank(index, kind, embedded, head, top, depth=depth, without=query.path)
    return hits


def _binding_of(index: Index) -> str:
    """The binding that an index names, if it is one of those installed.

    An index may come from anywhere: it shall not choose files or models to load.
    """
    name = index.card.binding
    if name not in {part.name for part in list_bindings()}:
        raise BadOption(f"{index.where} was made with the binding {name!r}; name it, or its file, with --binding")
    return name


def _index_of_folder(where: str, binder: Binder, kinds: dict[str, str], skipped: Skipped | None) -> Index:
    """The index of a folder, which is kept in the user's cache and brought up to date."""
    path = str(_cached(where, binder.name))
    former = None
    if exists(path):
        with contextlib.suppress(BadInput):  # damaged: made anew
            former = open_index(path)
    wanted = Wanted([where], [], kinds)
    try:
        update(path, former, binder, wanted, skipped)
    except (errors.SpaceMismatch, errors.WeightsMismatch):  # of the same name, and another now
        update(path, None, binder, wanted, skipped)
    return open_index(path)


def _cached(folder: str, binding: str) -> Path:
    home = files.cache_folder("search")
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(
            f"cannot make the folder {home} for the index of {folder}: {error.strerror}; set XDG_CACHE_HOME,"
            " or make an index elsewhere with anybind index"
        ) from error
    return home / f"{tables.settings_hash([absolute(folder), binding])}.safetensors"


def _report(
    query: Query, hits: list[Hit], index: Index, where: str, page: Path | None, skipped: Skipped, as_json: bool
) -> None:
    if as_json:
        about = {"query": query.shown, "modality": query.kind, "embedded_as": query.embedded_as, "in": where}
        made = {"binding": index.card.binding, "space": index.card.space.name, "page": page and str(page)}
        searched = {kind: index.count(kind) for kind in dict.fromkeys(hit.kind for hit in hits)}
        print_json({**about, **made, "searched": searched, "hits": [_fields(hit) for hit in hits], "skipped": skipped})
    else:
        again = any(hit.reranked is not None for hit in hits)
        rows = [(hit.kind, str(hit.rank), *_scores(hit), _named(hit)) for hit in hits]
        columns = ("modality", "rank", *(["score"] if again else []), "cosine", "file")
        print_table(columns, rows, f"nearest to {query.shown!r} by {index.card.binding}")
        if page is not None:
            typer.echo(f"page: {page}")
    skipped.report()


def _scores(hit: Hit) -> list[str]:
    return [f"{score:.3f}" for score in (hit.reranked, hit.score) if score is not None]


def _fields(hit: Hit) -> dict[str, Any]:
    entry = hit.entry
    about: dict[str, Any] = {"modality": hit.kind, "rank": hit.rank, "cosine": hit.score}
    about |= {} if hit.reranked is None else {"score": hit.reranked}
    about["file"] = files.name_of_path(entry.path)
    return about | ({"text": entry.text} if entry.text else {}) | {"state": entry.state() or "unchanged"}


def _named(hit: Hit) -> str:
    """The file, from here if it lies below, and what is to be known of it."""
    entry = hit.entry
    here = os.getcwd() + os.sep  # noqa: PTH109 (as `absolute` has it)
    path = files.name_of_path(entry.path.removeprefix(here))
    state = entry.state()
    return (f"{entry.text} ({path})" if entry.text else path) + (f" ({state})" if state else "")
