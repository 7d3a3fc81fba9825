"""Building and updating an index: unchanged files are not embedded again."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from anybind import Binder, EmbeddingStore, Space, load
from anybind.plugin import BadInput, BadOption, errors, files, loops, windows
from anybind.plugin import modalities as known_modalities
from anybind_retrieval import lance_index
from anybind_retrieval.file_index import SUFFIX, FileIndex, FileIndexWriter
from anybind_retrieval.fragments import Fragment
from anybind_retrieval.index import EntryKey, Index, IndexCard, IndexedEncoder, IndexEntry, IndexWriter, is_uri
from anybind_retrieval.lance_index import LanceIndex, LanceIndexWriter
from anybind_retrieval.sources import IndexSources
from anybind_retrieval.stored_format import DEFAULT_FORMAT, IndexFormat

SEED = 0
"""Seed of derived samples, such as the simulated event recording of a video."""


@dataclass(frozen=True)
class UpdateCounts:
    """Numbers of entries that an update added, changed, kept and removed.

    Attributes:
        added, changed, removed: entries embedded for the first time, embedded again, and removed.
        unchanged: entries kept without opening the file.
    """

    added: int
    changed: int
    unchanged: int
    removed: int


@dataclass(frozen=True)
class IndexReport:
    """The state of an index after `build_index`.

    Attributes:
        output: path or URI of the index.
        binding: name of its binding.
        space: embedding space.
        entries: number of entries by modality of the files.
        counts: changes by this run.
    """

    output: str
    binding: str
    space: Space
    entries: Mapping[str, int]
    counts: UpdateCounts


def build_index(
    output: str | os.PathLike[str],
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]] = (),
    *,
    texts: Iterable[str | os.PathLike[str]] = (),
    binding: str | os.PathLike[str] | Binder = "mini",
    modalities: Sequence[str] = (),
    batch_size: int | None = None,
    rebuild: bool = False,
    vectors: str = "",
    truncate_dim: int | None = None,
    device: str = "cpu",
    store: EmbeddingStore | None = None,
    on_bad: errors.OnBad | None = None,
    options: windows.WindowOptions | None = None,
    reader_options: Mapping[str, object] | None = None,
) -> IndexReport:
    """Embed files and write an index for `search`, or update an existing index.

    Several processes can update an index at a time, each with its files. Unchanged files are not opened again. Entries
    of files that no longer exist in `paths` or `texts` are removed; entries of other folders stay.

    Args:
        output: a `.safetensors` file, or a folder or URI that ends in `.lance`.
        paths: files, or folders searched for files of the binding's modalities; one or several.
        texts: UTF-8 text files; each line is an entry.
        binding: as for `anybind.load`, or a binder.
        modalities: index only files of these modalities. [default: all that the binding embeds]
        batch_size: files held in memory and embedded at a time. [default: the binder's, 32]
        rebuild: embed all files again, also unchanged ones.
        vectors: how a `.safetensors` index stores vectors: `float32`, `int8` (a quarter of the size) or `binary` (int8,
            and bits that a search reads first). [default: those of the existing index, else float32]
        truncate_dim: store this number of first dimensions, of norm 1, for encoders that were trained so (Matryoshka).
            [default: those of the existing index, else all]
        device: torch device, unless `binding` is a binder.
        store: embedding store to read from and write to, unless `binding` is a binder. [default: none]
        on_bad: called with the id and the error of each invalid file, which is then skipped; by default the first one
            raises and the existing index stays.
        options: part of each recording, and its windows: each is an entry. [default: windows for event recordings of
            more than 0.6 s and sounds of more than 10 s]
        reader_options: JSON-like options for the readers that take them, such as the `time_unit` of text files; a file
            that was indexed with other ones is embedded again.

    Raises:
        BadOption: an output of another suffix, a modality that the binding does not embed, a reader option that no
            file takes, or `vectors` or `truncate_dim` that are invalid or not those of the existing index.
        BadInput: a file is invalid, or the index would be empty, is damaged, or is not writable.
        SpaceMismatch, WeightsMismatch: the index was built with other encoders; use `rebuild`.
        MissingExtra: a `.lance` index needs LanceDB.
    """
    location = os.fspath(output)
    check_location(location)
    binder = binding if isinstance(binding, Binder) else load(binding, device=device, store=store)
    previous = open_index(location) if exists(location) and not rebuild else None
    sources = IndexSources(
        [os.fspath(path) for path in files.list_paths(paths)],
        [os.fspath(path) for path in files.list_paths(texts)],
        map_modalities(binder, modalities),
        options or windows.WindowOptions(),
        reader_options or {},
    )
    stored_as = IndexFormat(vectors, truncate_dim)
    stored_as.check(location)
    counts = update_index(location, previous, binder, sources, on_bad, batch_size, rebuild, stored_as)
    index = open_index(location)
    entries = {modality: index.count_entries(modality) for modality in index.card.encoders}
    return IndexReport(location, index.card.binding, index.card.space, entries, counts)


def map_modalities(binder: Binder, modalities: Sequence[str] = ()) -> dict[str, str]:
    """Return the modalities of files that a binding can index, each with the modality that it is embedded as.

    A modality without an encoder is embedded as a modality derived from it: a video as a simulated event recording.

    Raises:
        BadOption: one of `modalities` cannot be embedded by the binding.
    """
    embeddable = {modality: modality for modality in binder.modalities}
    for encoder_modality in binder.modalities:
        for source in known_modalities.list_sources(encoder_modality)[1:]:
            embeddable.setdefault(source, encoder_modality)
    modalities = [modalities] if isinstance(modalities, str) else modalities
    for modality in modalities:
        if modality not in embeddable:
            suggestion = errors.suggest_names(modality, embeddable)
            raise BadOption(f"the binding {binder.name!r} embeds no {modality}{suggestion}")
    return {name: target for name, target in embeddable.items() if not modalities or name in modalities}


def load_indexed_encoder(binder: Binder, modality: str, encoder_modality: str) -> tuple[IndexedEncoder, Space]:
    """Load the encoder for files of a modality; return its identity and its space."""
    empty = binder.embed(encoder_modality, [], derive_seed=get_derive_seed(modality, encoder_modality))
    return IndexedEncoder(encoder_modality, empty.encoder), empty.space


def get_derive_seed(modality: str, encoder_modality: str) -> int | None:
    """Return the seed for deriving samples of another modality; None where nothing is derived."""
    return None if modality == encoder_modality else SEED


def open_index(location: str, *, approximate: bool = False) -> Index:
    """Open the index at a path or URI: LanceDB for `.lance`, else a file.

    Raises:
        BadInput, MissingExtra: see `FileIndex` and `LanceIndex`.
    """
    return LanceIndex(location, approximate=approximate) if is_lance(location) else FileIndex(Path(location))


def exists(location: str) -> bool:
    """Return whether there is an index at a path or URI."""
    return lance_index.exists(location) if is_lance(location) else Path(location).exists()


def is_lance(location: str) -> bool:
    """Return whether a path or URI is that of a LanceDB database."""
    return location.rstrip("/").endswith(lance_index.SUFFIX)


def check_location(location: str) -> None:
    """Check that an index can be written to a location, before files are embedded.

    Raises:
        BadOption: the suffix is neither `.safetensors` nor `.lance`.
        BadInput: the folder is missing or not writable.
    """
    if is_lance(location):
        lance_index.check_location(location)
    elif is_uri(location) or not location.endswith(SUFFIX):
        raise BadOption(
            f"an index is a file that ends in {SUFFIX}, or a folder or URI that ends in .lance; got {location!r}"
        )
    else:
        files.check_output(location)


def update_index(
    location: str,
    previous: Index | None,
    binder: Binder,
    sources: IndexSources,
    on_bad: errors.OnBad | None,
    batch_size: int | None = None,
    rebuild: bool = False,
    stored_as: IndexFormat = DEFAULT_FORMAT,
) -> UpdateCounts:
    """Update an index, or build it.

    Args:
        location: path or URI.
        previous: the existing index; None to build a new one.
        binder: binder with the encoders of the existing index.
        sources: files to index; entries of other folders and modalities stay.
        on_bad: called with the id and the error of each invalid file; without it the first one raises.
        batch_size: files held in memory and embedded at a time. [default: the binder's, 32]
        rebuild: drop all entries of an existing index; `previous` is None.
        stored_as: how a new index stores vectors.

    Raises:
        BadInput: a file is invalid, the index would be empty, or the location is not writable.
        SpaceMismatch, WeightsMismatch: the index was built with other encoders.
    """
    stored = {} if previous is None else sources.select_entries(previous)
    pending, unchanged = sources.find_changes(stored, on_bad)
    stale = stored.keys() - unchanged
    used = {*pending, *(modality for modality, _ in unchanged)}
    targets = {modality: sources.encoder_modalities[modality] for modality in sorted(used)}
    encoders = {modality: load_indexed_encoder(binder, modality, target) for modality, target in targets.items()}
    card = stored_as.make_card(location, binder, encoders, previous.card if previous else None)
    if previous is not None and not (pending or stale):
        return UpdateCounts(0, 0, len(unchanged), 0)
    writer = _open_writer(location, card, previous, rebuild)
    for modality in {modality for modality, _ in stale}:
        writer.drop(modality, {key for other, key in stale if other == modality})
    embedded = _embed_entries(writer, card, binder, sources, pending, on_bad, batch_size)
    n_other = sum(map(previous.count_entries, previous.card.encoders)) - len(stored) if previous else 0
    if not (embedded or unchanged or n_other):
        raise BadInput(f"nothing to write to {location}: no file could be embedded")
    writer.finish(card)
    stale_keys = {key for _, key in stale}
    return UpdateCounts(
        added=len(embedded - stale_keys),
        changed=len(embedded & stale_keys),
        unchanged=len(unchanged),
        removed=len(stale_keys - embedded),
    )


def _open_writer(location: str, card: IndexCard, previous: Index | None, rebuild: bool) -> IndexWriter:
    if not is_lance(location):
        return FileIndexWriter(Path(location), previous if isinstance(previous, FileIndex) else None, rebuild)
    # Only one of several processes creates an index; the others add to it.
    with lance_index.lock_location(location):
        if previous is None and not rebuild and exists(location):
            previous = open_index(location)
            previous.card.require_encoders(card, location)
        return LanceIndexWriter(location, card, previous if isinstance(previous, LanceIndex) else None)


def _embed_entries(
    writer: IndexWriter,
    card: IndexCard,
    binder: Binder,
    sources: IndexSources,
    pending: Mapping[str, list[IndexEntry]],
    on_bad: errors.OnBad | None,
    batch_size: int | None,
) -> set[EntryKey]:
    """Embed pending entries and add them to the index, one entry for each window; return their keys."""
    embedded: set[EntryKey] = set()
    with loops.progress_bar(sum(map(len, pending.values())), "indexing") as advance:
        for modality, entries in pending.items():
            target = sources.encoder_modalities[modality]
            embed = _embed_windows if modality == target and known_modalities.has_windows(modality) else _embed_whole
            for group, vectors in embed(binder, modality, entries, sources, on_bad, batch_size):
                writer.add(modality, group, card.truncate(vectors))
                embedded |= {entry.key for entry in group}
                n_done = 1 if embed is _embed_windows else len(group)
                advance(n_done, f"{modality}: {group[-1].name[-60:]}")
    return embedded


def _embed_whole(
    binder: Binder,
    modality: str,
    entries: Sequence[IndexEntry],
    sources: IndexSources,
    on_bad: errors.OnBad | None,
    batch_size: int | None,
) -> Iterator[tuple[list[IndexEntry], np.ndarray]]:
    """Yield batches of entries of files and texts with their vectors."""
    by_id: dict[str, list[IndexEntry]] = {}  # several files may have the same line of text
    for entry in entries:
        by_id.setdefault(entry.name, []).append(entry)
    items = (group[0].make_item(id) for id, group in by_id.items())
    target = sources.encoder_modalities[modality]
    seed = get_derive_seed(modality, target)
    for batch in binder.embed_batches(target, items, batch_size=batch_size, derive_seed=seed, on_bad=on_bad):
        rows = [(entry, row) for row, id in enumerate(batch.ids) for entry in by_id[id]]
        yield [entry for entry, _ in rows], batch.vectors[[row for _, row in rows]]


def _embed_windows(
    binder: Binder,
    modality: str,
    entries: Sequence[IndexEntry],
    sources: IndexSources,
    on_bad: errors.OnBad | None,
    batch_size: int | None,
) -> Iterator[tuple[list[IndexEntry], np.ndarray]]:
    """Yield the entries of the windows of each recording with their vectors."""
    options = sources.get_windows(modality)
    by_name = {entry.name: entry for entry in entries}
    items = (entry.make_item(name) for name, entry in by_name.items())
    recordings = windows.embed_windows(binder, modality, items, options, batch_size=batch_size, on_bad=on_bad)
    for recording in recordings:
        group = []
        for number in recording.embedded:
            window = recording.windows[number]
            times = (None, None) if recording.is_whole else (window.start_us, window.end_us)
            fragment = Fragment(options, *times, recording.item.options)
            group.append(replace(by_name[recording.item.id], text=str(fragment)))
        if group:
            yield group, recording.embeddings.vectors
