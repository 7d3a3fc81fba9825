"""Search: the files of an index, or of a folder, that are nearest to a text or to another file."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from anybind import Binder, EmbeddingStore, list_bindings, load
from anybind.plugin import BadInput, BadOption, Head, errors, files, tables
from anybind_retrieval.index import Index, absolute, is_uri
from anybind_retrieval.indexing import exists, is_lance, kinds_of, open_index, shelf_of, update
from anybind_retrieval.query import Query, find_query
from anybind_retrieval.ranking import SearchHit, ranked
from anybind_retrieval.reranking import DEPTH
from anybind_retrieval.reranking import rerank as rerank_hits
from anybind_retrieval.wanted import Wanted

DEFAULT_BINDING = "mini"


@dataclass(frozen=True)
class SearchResults:
    """The results of a search.

    Attributes:
        query: the text, or the path of the file, and the modality that it was embedded as.
        where: what was searched, as it was given.
        index: the index that was searched; that of a folder lies in the user's cache.
        hits: the hits of each modality, one modality after the other, the best first. Cosines of two modalities do not
            compare.
    """

    query: Query
    where: str
    index: Index = field(repr=False)
    hits: tuple[SearchHit, ...]

    @property
    def searched(self) -> Mapping[str, int]:
        """Number of files searched, by modality."""
        return {modality: self.index.count(modality) for modality in dict.fromkeys(hit.modality for hit in self.hits)}

    def save_page(self, path: str | os.PathLike[str]) -> None:
        """Write the results as one HTML file, with images and audio inside; raises `BadInput` where it cannot."""
        from anybind_retrieval.page import write_page

        write_page(Path(path), self.query, self.hits, self.index, self.where)


def search(
    query: str,
    where: str | os.PathLike[str],
    *,
    modalities: Sequence[str] = (),
    embed_as: str = "",
    top_k: int = 10,
    rerank: str | os.PathLike[str] | Head | None = None,
    rerank_options: Mapping[str, object] | None = None,
    rerank_top: int = DEPTH,
    binding: str | os.PathLike[str] | Binder = "",
    approximate: bool = False,
    device: str = "cpu",
    store: EmbeddingStore | None = None,
    on_bad: errors.OnBad | None = None,
) -> SearchResults:
    """Rank files by cosine similarity with a text or with another file, those of each modality by themselves.

    Args:
        query: a text, or the path of a file: where a file of that name exists, the file is meant.
        where: an index that `build_index` wrote, or a folder, whose index is kept in the user's cache and brought up to
            date first.
        modalities: search only files that hold one of these. [default: all in the index]
        embed_as: `text` where no file is meant, or the modality that the query file is embedded as.
        top_k: number of hits for each modality.
        rerank: a ranking head, by name or file, that re-ranks the hits, such as `query-expansion`.
        rerank_options: options of a head given by name or file.
        rerank_top: number of hits of each modality, by cosine similarity, that the head re-ranks; at least `top_k`.
        binding: as `anybind.load` takes it, or a binder. [default: the index's own, if it is installed; for a folder
            `mini`]
        approximate: use the approximate index of a large `.lance`; all other searches are exact.
        device: torch device, unless `binding` is a binder.
        store: where embeddings are looked up and stored, unless `binding` is a binder. [default: nowhere]
        on_bad: called with the id and the error of each file of a folder that cannot be used, which is then left out;
            by default the first one raises.

    Raises:
        BadOption: a modality that is not there, `approximate` for another index, or an index of a binding that is not
            installed.
        BadInput: an empty query, a query file that is missing, or an index that is missing or damaged.
        SpaceMismatch, WeightsMismatch: the index was made with other encoders than the binding's.
    """
    place = os.fspath(where)
    of_folder = not is_uri(place) and not is_lance(place) and Path(place).is_dir()
    index = None if of_folder else open_index(place, approximate=approximate)
    if approximate and not is_lance(place):
        raise BadOption("--approximate is for an index that ends in .lance; any other is searched exactly and fast")
    if not isinstance(binding, Binder):
        binding = load(
            binding or (DEFAULT_BINDING if index is None else _binding_of(index)), device=device, store=store
        )
    kinds = kinds_of(binding, modalities)
    asked = find_query(query, kinds_of(binding), embed_as)
    head = _ranking_head(rerank, rerank_options, binding)
    if index is None:
        index = _index_of_folder(place, binding, kinds, on_bad)
    hits = find(index, binding, asked, modalities, top_k, head, rerank_top)
    return SearchResults(asked, place, index, tuple(hits))


def _ranking_head(
    source: str | os.PathLike[str] | Head | None, options: Mapping[str, object] | None, binder: Binder
) -> Head | None:
    if source and not isinstance(source, Head):
        source = Head.find(source, predicts="ranking", **(options or {}))
    elif options:
        raise BadOption("--rerank-option is for the ranking head that --rerank names, by name or file")
    if not isinstance(source, Head):
        return None
    source.prepare(binder)
    return source


def find(
    index: Index,
    binder: Binder,
    query: Query,
    modalities: Sequence[str],
    top: int,
    head: Head | None = None,
    depth: int = DEPTH,
) -> list[SearchHit]:
    """The hits of each kind of file, kind after kind in the order of the index, best first.

    A ranking head re-ranks the first `depth` hits of each kind.

    Raises:
        BadOption: the index holds no files of a kind that was asked for.
        SpaceMismatch, WeightsMismatch: the index was made with other encoders than the binder's.
    """
    shelves = index.card.shelves
    for kind in modalities:
        if kind not in shelves:
            raise BadOption(f"{index.where} holds no files of {kind}{errors.suggest_names(kind, shelves)}")
    embedded = query.embed(binder)
    embedded_as = kinds_of(binder)
    hits: list[SearchHit] = []
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
            hits += rerank_hits(index, kind, embedded, head, top, depth=depth, without=query.path)
    return hits


def _binding_of(index: Index) -> str:
    """The binding that an index names, if it is one of those installed.

    An index may come from anywhere: it shall not choose files or models to load.
    """
    name = index.card.binding
    if name not in {part.name for part in list_bindings()}:
        raise BadOption(f"{index.where} was made with the binding {name!r}; name it, or its file, with --binding")
    return name


def _index_of_folder(where: str, binder: Binder, kinds: dict[str, str], on_bad: errors.OnBad | None) -> Index:
    """The index of a folder, which is kept in the user's cache and brought up to date."""
    path = str(_cached(where, binder.name))
    former = None
    if exists(path):
        with contextlib.suppress(BadInput):  # damaged: made anew
            former = open_index(path)
    wanted = Wanted([where], [], kinds)
    try:
        update(path, former, binder, wanted, on_bad)
    except (errors.SpaceMismatch, errors.WeightsMismatch):  # of the same name, and another now
        update(path, None, binder, wanted, on_bad)
    return open_index(path)


def _cached(folder: str, binding: str) -> Path:
    home = files.get_cache_folder("search")
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(
            f"cannot make the folder {home} for the index of {folder}: {error.strerror}; set XDG_CACHE_HOME,"
            " or make an index elsewhere with anybind index"
        ) from error
    return home / f"{tables.hash_settings([absolute(folder), binding])}.safetensors"
