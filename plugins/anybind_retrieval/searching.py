"""Search: the files of an index, or of a folder, that are most similar to a text or to another file."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from anybind import Binder, Embeddings, EmbeddingStore, list_bindings, load
from anybind.plugin import BadInput, BadOption, Head, Item, errors, files, readers, tables, windows
from anybind_retrieval.calibration import BACKGROUND_TEXTS, MAX_FILES, MAX_QUERIES, estimate_background
from anybind_retrieval.index import Index, is_uri, make_absolute
from anybind_retrieval.indexing import exists, is_lance, load_indexed_encoder, map_modalities, open_index, update_index
from anybind_retrieval.query import JointQuery, Query, parse_joint_query, parse_query
from anybind_retrieval.ranking import SearchHit, rank_entries
from anybind_retrieval.reranking import RERANK_TOP_K
from anybind_retrieval.reranking import rerank as rerank_hits
from anybind_retrieval.sources import TEXT, IndexSources

DEFAULT_BINDING = "mini"


@dataclass(frozen=True)
class SearchResults:
    """The results of a search.

    Attributes:
        query: the text, or the path of the file, and the modality that it was embedded as; or several of them.
        gallery: index or folder that was searched, as the user gave it.
        index: the index; that of a folder lies in the user's cache.
        hits: best first; grouped by modality unless `mixed`.
        mixed: whether the modalities are ranked together.
        calibrated: whether they are ranked by calibrated scores.
        gallery_sizes: number of files searched, by modality.
    """

    query: Query | JointQuery
    gallery: str
    index: Index = field(repr=False)
    hits: tuple[SearchHit, ...]
    mixed: bool
    calibrated: bool
    gallery_sizes: Mapping[str, int]

    def save_page(self, path: str | os.PathLike[str]) -> None:
        """Write the results as one HTML file with embedded images and audio; raise `BadInput` if it is not writable."""
        from anybind_retrieval.page import write_page

        write_page(Path(path), self)


def search(
    query: str | os.PathLike[str] | Mapping[str, str | os.PathLike[str] | Sequence[str | os.PathLike[str]]],
    gallery: str | os.PathLike[str],
    *,
    weights: Mapping[str, float] | None = None,
    modalities: Sequence[str] = (),
    embed_as: str = "",
    top_k: int = 10,
    mixed: bool = False,
    calibrate: bool = True,
    rerank: str | os.PathLike[str] | Head | None = None,
    rerank_options: Mapping[str, object] | None = None,
    rerank_top_k: int = RERANK_TOP_K,
    binding: str | os.PathLike[str] | Binder = "",
    approximate: bool = False,
    device: str = "cpu",
    backend: str = "auto",
    store: EmbeddingStore | None = None,
    on_bad: errors.OnBad | None = None,
    options: windows.WindowOptions | None = None,
    reader_options: Mapping[str, object] | None = None,
) -> SearchResults:
    """Rank files by cosine similarity with a text, a file, or both, each modality separately or all together.

    Cosine similarities of different modalities are not comparable: a mixed ranking is by calibrated scores. A match
    that is not better than chance for its modality is marked as weak. See `anybind_retrieval.calibration`.

    Args:
        query: a text or a path (a `Path` or an existing path is a file), or a joint query: see `Binder.embed`.
        weights: of a joint query: weight of a modality. [default: 1]
        gallery: an index of `build_index`, or a folder; the index of a folder is stored in the user's cache and
            updated first.
        modalities: search only files of these modalities. [default: all in the index]
        embed_as: `text` to force a text query, or the modality to embed the query file as.
        top_k: number of hits: of each modality, or in total if `mixed`.
        mixed: rank the files of all modalities together.
        calibrate: rank mixed results by calibrated scores, not by raw cosine similarities.
        rerank: a ranking head, by name or file, that re-ranks the hits, such as `query-expansion`.
        rerank_options: options of a head given by name or file.
        rerank_top_k: number of hits of each modality, by cosine similarity, that the head re-ranks; at least `top_k`.
        binding: as for `anybind.load`, or a binder. [default: that of the index, if installed; `mini` for a folder]
        approximate: use the approximate index of a large `.lance`; all other searches are exact.
        device, backend: as for `anybind.load`, unless `binding` is a binder.
        store: embedding store to read from and write to, unless `binding` is a binder. [default: none]
        on_bad: called with id and error of each invalid file of a folder, which is skipped. [default: raise the error]
        options: windows of the recordings of a folder, and of the query, whose embedding is their mean.
        reader_options: options for those readers of the query and of a folder's files that take them.

    Raises:
        BadOption: a missing modality or binding, `top_k` below 1, or options without effect or that exclude each other.
        BadInput: a query that is empty or a sample, or a query file or an index that is missing or damaged.
        SpaceMismatch, WeightsMismatch: the index was built with other encoders than the binding's.
    """
    _check_options(mixed, rerank, approximate, gallery, top_k)
    options, location = options or windows.WindowOptions(), os.fspath(gallery)
    modalities = [modalities] if isinstance(modalities, str) else modalities
    index = None if _is_folder(location) else open_index(location, approximate=approximate)
    binding = binding if isinstance(binding, Binder) else _load_binder(binding, index, device, backend, store)
    sources, parsed = map_modalities(binding, modalities), _parse(query, weights, embed_as, map_modalities(binding))
    _check_reading(options, reader_options or {}, index, parsed)
    head = _load_ranking_head(rerank, rerank_options, binding)
    if index is None:
        folder = IndexSources([location], [], sources, options, reader_options or {}, parsed.paths)
        index = _update_folder_index(location, binding, folder, on_bad)
    sizes = {name: index.count_entries(name) for name in _select_modalities(index, binding, modalities)}
    embedded = _check_query(index, binding, parsed.embed(binding, options, reader_options), sizes)
    ranked = _rank_modalities(index, embedded, sizes, top_k, head, rerank_top_k, parsed.paths)
    hits = _calibrate_hits(index, binding, embedded, ranked, sizes)
    hits = _merge_hits(hits, calibrate)[:top_k] if mixed else hits
    return SearchResults(parsed, location, index, tuple(hits), mixed, mixed and calibrate, sizes)


def _check_options(
    mixed: bool, rerank: object, approximate: bool, gallery: str | os.PathLike[str], top_k: object
) -> None:
    """Raise `BadOption` for options that are invalid or exclude each other."""
    tables.check_count("top_k", top_k)
    if mixed and rerank:
        raise BadOption("--mixed excludes --rerank: a head's scores of different modalities are not comparable")
    if approximate and not is_lance(os.fspath(gallery)):
        raise BadOption("--approximate needs an index that ends in .lance; any other is searched exactly and fast")


def _is_folder(location: str) -> bool:
    return not is_uri(location) and not is_lance(location) and Path(location).is_dir()


def _check_reading(
    options: windows.WindowOptions,
    reader_options: Mapping[str, object],
    index: Index | None,
    query: Query | JointQuery,
) -> None:
    """Raise `BadOption` for windows and reader options that have no effect in a search of an index."""
    if index is None:
        return
    if (reader_options or not options.is_default) and not query.paths:
        name = "reader options" if options.is_default else "windows"
        raise BadOption(f"{name} have no effect: an index has those it was built with, and a text has none")
    readers.add_options([Item(path, Path(path)) for path in query.paths], reader_options)


def _parse(
    query: object,
    weights: Mapping[str, float] | None,
    embed_as: str,
    encoder_modalities: Mapping[str, str],
) -> Query | JointQuery:
    if not isinstance(query, Mapping):
        if weights:
            raise BadOption("weights need a joint query: texts and files by modality")
        return parse_query(query, encoder_modalities, embed_as)
    if embed_as:
        raise BadOption(f"--as {embed_as} excludes a joint query, whose parts have their modalities")
    return parse_joint_query(query, weights, encoder_modalities)


def _load_binder(
    binding: str | os.PathLike[str], index: Index | None, device: str, backend: str, store: EmbeddingStore | None
) -> Binder:
    """Load a binding, or that of an index, in the precision of the index."""
    precision = "fp32" if index is None else index.card.precision
    name = binding or _get_binding_name(index)
    return load(name, device=device, backend=backend, store=store, precision=precision)


def _load_ranking_head(
    rerank: str | os.PathLike[str] | Head | None, options: Mapping[str, object] | None, binder: Binder
) -> Head | None:
    if rerank and not isinstance(rerank, Head):
        rerank = Head.find(rerank, predicts="ranking", **(options or {}))
    elif options:
        raise BadOption("--rerank-option needs a ranking head: name it, or its file, with --rerank")
    if not isinstance(rerank, Head):
        return None
    rerank.prepare(binder)
    return rerank


def _select_modalities(index: Index, binder: Binder, modalities: Sequence[str]) -> Sequence[str]:
    """Return the modalities to search; raise `BadOption` if the index or the binding lacks one."""
    indexed, embeddable = index.card.encoders, map_modalities(binder)
    for modality in modalities:
        if modality not in indexed:
            raise BadOption(f"{index.location} has no {modality} files{errors.suggest_names(modality, indexed)}")
    selected = list(dict.fromkeys(modalities)) or list(indexed)
    for modality in selected:
        if modality not in embeddable:
            raise BadOption(
                f"{index.location} has {modality} files, which the binding {binder.name!r} does not embed; it was"
                f" built with {index.card.binding!r}: give that as --binding, or other modalities as --modality"
            )
    return selected


def _check_query(index: Index, binder: Binder, query: Embeddings, modalities: Iterable[str]) -> Embeddings:
    """Return the query in the dimensions of the index.

    Raises:
        SpaceMismatch, WeightsMismatch: the index was built with other encoders than the binder's.
    """
    embeddable = map_modalities(binder)
    for modality in modalities:
        encoder, _ = load_indexed_encoder(binder, modality, embeddable[modality])
        index.card.require_encoder(modality, encoder, query.space, index.location)
    return replace(query, vectors=index.card.truncate(query.vectors), space=index.card.space)


def _rank_modalities(
    index: Index,
    query: Embeddings,
    modalities: Iterable[str],
    top_k: int,
    head: Head | None,
    rerank_top_k: int,
    exclude: frozenset[str],
) -> list[SearchHit]:
    """Return the hits of each modality, one modality after the other, best first."""
    hits: list[SearchHit] = []
    for modality in modalities:
        if head is None:
            hits += rank_entries(index, modality, query.vectors[0], top_k, exclude=exclude)
        else:
            hits += rerank_hits(index, modality, query, head, top_k, rerank_top_k=rerank_top_k, exclude=exclude)
    return hits


def _calibrate_hits(
    index: Index, binder: Binder, query: Embeddings, hits: Sequence[SearchHit], sizes: Mapping[str, int]
) -> list[SearchHit]:
    """Return the hits with calibrated scores, z-scores and marks of weak matches."""
    if query.modality == TEXT:
        queries = index.card.truncate(binder.embed(TEXT, BACKGROUND_TEXTS).vectors)
        own_modality = ""
    else:
        encoders = index.card.encoders
        own_modality = next((name for name, encoder in encoders.items() if encoder.modality == query.modality), "")
        queries = index.sample_vectors(own_modality, MAX_QUERIES) if own_modality else query.vectors
    backgrounds = {}
    for modality, count in sizes.items():
        files = index.sample_vectors(modality, MAX_FILES)
        backgrounds[modality] = estimate_background(
            files, queries, query.vectors[0], count, same_modality=modality == own_modality
        )
    calibrated = []
    for hit in hits:
        background = backgrounds[hit.modality]
        if background is not None:
            score, z = background.calibrate(hit.cosine), background.compute_z(hit.cosine)
            hit = replace(hit, calibrated=score, z=z, weak=background.is_weak(hit.cosine))
        calibrated.append(hit)
    return calibrated


def _merge_hits(hits: Sequence[SearchHit], calibrate: bool) -> list[SearchHit]:
    """Rank the hits of all modalities together, by calibrated score or by cosine similarity, ties by path."""

    def get_score(hit: SearchHit) -> float:
        return hit.calibrated if calibrate and hit.calibrated is not None else hit.cosine

    ordered = sorted(hits, key=lambda hit: (-get_score(hit), hit.path, hit.text))
    return [replace(hit, rank=rank) for rank, hit in enumerate(ordered, start=1)]


def _get_binding_name(index: Index | None) -> str:
    """Return the default binding, or that of an index if it is installed; raise `BadOption` for any other.

    An index may be from an untrusted source: its card must not name files or models to load.
    """
    if index is None:
        return DEFAULT_BINDING
    name = index.card.binding
    if name not in {spec.name for spec in list_bindings()}:
        raise BadOption(f"{index.location} was built with the binding {name!r}; name it, or its file, with --binding")
    return name


def _update_folder_index(folder: str, binder: Binder, sources: IndexSources, on_bad: errors.OnBad | None) -> Index:
    """Update the index of a folder in the user's cache, and open it."""
    path = str(_make_cache_path(folder, binder.name))
    previous, rebuild = None, False
    if exists(path):
        try:
            previous = open_index(path)
        except BadInput:  # damaged
            rebuild = True
    try:
        update_index(path, previous, binder, sources, on_bad, rebuild=rebuild)
    except (errors.SpaceMismatch, errors.WeightsMismatch):  # the binding of this name has other encoders now
        update_index(path, None, binder, sources, on_bad, rebuild=True)
    return open_index(path)


def _make_cache_path(folder: str, binding: str) -> Path:
    cache = files.get_cache_folder("search")
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(
            f"cannot make the folder {cache} for the index of {folder}: {error.strerror}; set XDG_CACHE_HOME,"
            " or make an index elsewhere with anybind index"
        ) from error
    files.remove_leftovers(cache)  # also if the index is up to date and not written
    return cache / f"{tables.hash_settings([make_absolute(folder), binding])}.safetensors"
