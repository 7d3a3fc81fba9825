"""Making an index, and keeping it up with the files: what did not change is not embedded again."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from anybind import Binder, EmbeddingStore, Space, load
from anybind.plugin import BadInput, BadOption, Item, errors, files, progress_bar
from anybind.plugin import modalities as known_modalities
from anybind_retrieval import lance_index
from anybind_retrieval.file_index import SUFFIX, FileDraft, FileIndex
from anybind_retrieval.index import Card, Draft, Entry, Index, Key, Shelf, is_uri
from anybind_retrieval.lance_index import LanceDraft, LanceIndex
from anybind_retrieval.wanted import Wanted

SEED = 0
"""Of what is derived, such as the event recording that stands for a film."""


@dataclass(frozen=True)
class Counts:
    """What a run did to the entries of an index that lie in the places named.

    Attributes:
        added, changed, removed: embedded for the first time, embedded again, and dropped.
        unchanged: kept without opening the file.
    """

    added: int
    changed: int
    unchanged: int
    removed: int


@dataclass(frozen=True)
class IndexReport:
    """The state of an index after `build_index`.

    Attributes:
        output: where it is.
        binding: name of the binding that it was made with.
        space: the space of its embeddings.
        entries: number of entries by the modality that the files hold.
        counts: what this run did.
    """

    output: str
    binding: str
    space: Space
    entries: Mapping[str, int]
    counts: Counts


def build_index(
    output: str | os.PathLike[str],
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]] = (),
    *,
    texts: Iterable[str | os.PathLike[str]] = (),
    binding: str | os.PathLike[str] | Binder = "mini",
    modalities: Sequence[str] = (),
    batch_size: int = 32,
    rebuild: bool = False,
    device: str = "cpu",
    store: EmbeddingStore | None = None,
    on_bad: errors.OnBad | None = None,
) -> IndexReport:
    """Embed files once and write their embeddings as an index for `search`, or bring an index up to date.

    Files that did not change since they were embedded are not opened again; entries of files that are gone from the
    places named are removed; entries elsewhere stay.

    Args:
        output: a `.safetensors` file, or a folder or URI that ends in `.lance`.
        paths: files, or folders that are searched for files of the binding's modalities; one or several.
        texts: text files in UTF-8, each line an entry.
        binding: as `anybind.load` takes it, or a binder.
        modalities: only files that hold one of these. [default: all that the binding embeds]
        batch_size: files that are held in memory and embedded at once.
        rebuild: embed everything anew, whatever is there.
        device: torch device, unless `binding` is a binder.
        store: where embeddings are looked up and stored, unless `binding` is a binder. [default: nowhere]
        on_bad: called with the id and the error of each file that cannot be used, which is then left out; by default
            the first one raises, and what was there stays.

    Raises:
        BadOption: an output of another ending, or a modality that the binding does not embed.
        BadInput: a file cannot be used, the index would be empty, is damaged, or cannot be written.
        SpaceMismatch, WeightsMismatch: the index was made with other encoders; give `rebuild`.
        MissingExtra: a `.lance` index needs LanceDB.
    """
    where = os.fspath(output)
    check_place(where)
    binder = binding if isinstance(binding, Binder) else load(binding, device=device, store=store)
    former = open_index(where) if exists(where) and not rebuild else None
    listed = [paths] if isinstance(paths, str | os.PathLike) else paths
    wanted = Wanted(
        [os.fspath(each) for each in listed], [os.fspath(each) for each in texts], kinds_of(binder, modalities)
    )
    counts = update(where, former, binder, wanted, on_bad, batch_size)
    card = (made := open_index(where)).card
    return IndexReport(where, card.binding, card.space, {kind: made.count(kind) for kind in card.shelves}, counts)


def kinds_of(binder: Binder, wanted: Sequence[str] = ()) -> dict[str, str]:
    """The kinds of file that a binding can index, and what each is embedded as.

    A kind that has no encoder is embedded as what can be derived from it: a film as the recording that an event
    camera would make of it.

    Raises:
        BadOption: a kind is wanted that the binding cannot embed.
    """
    kinds = {of: of for of in binder.modalities}
    for of in binder.modalities:
        for source in known_modalities.list_sources(of)[1:]:
            kinds.setdefault(source, of)
    for kind in wanted:
        if kind not in kinds:
            raise BadOption(f"the binding {binder.name!r} embeds no {kind}{errors.suggest_names(kind, kinds)}")
    return {kind: of for kind, of in kinds.items() if not wanted or kind in wanted}


def shelf_of(binder: Binder, kind: str, modality: str) -> tuple[Shelf, Space]:
    """What files of a kind are embedded with, and the space; loads the tower."""
    nothing = binder.embed(modality, [], derive_seed=seed_of(kind, modality))
    return Shelf(modality, nothing.encoder), nothing.space


def seed_of(kind: str, modality: str) -> int | None:
    """Seed of the derivation of files of a kind that are embedded as another; none where nothing is derived."""
    return None if kind == modality else SEED


def open_index(where: str, *, approximate: bool = False) -> Index:
    """The index at a path or URI; `.lance` is LanceDB's, anything else a file.

    Raises:
        BadInput, MissingExtra: see `FileIndex` and `LanceIndex`.
    """
    return LanceIndex(where, approximate=approximate) if is_lance(where) else FileIndex(Path(where))


def exists(where: str) -> bool:
    """Whether there is an index at a path or URI."""
    return lance_index.exists(where) if is_lance(where) else Path(where).exists()


def is_lance(where: str) -> bool:
    """Whether a path or URI is that of a LanceDB database."""
    return where.rstrip("/").endswith(lance_index.SUFFIX)


def check_place(where: str) -> None:
    """Refuse, before anything is embedded, a place that an index cannot be written to.

    Raises:
        BadOption: its ending is neither `.safetensors` nor `.lance`.
        BadInput: the folder is missing or may not be written to.
    """
    if is_lance(where):
        lance_index.check_place(where)
    elif is_uri(where) or not where.endswith(SUFFIX):
        raise BadOption(
            f"an index is a file that ends in {SUFFIX}, or a folder or URI that ends in .lance; got {where}"
        )
    else:
        files.check_output(where)


def update(
    where: str,
    former: Index | None,
    binder: Binder,
    wanted: Wanted,
    on_bad: errors.OnBad | None,
    batch_size: int = 32,
) -> Counts:
    """Bring an index up to date, or make it.

    Args:
        where: path or URI.
        former: the index there, unless it is made anew.
        binder: embeds; its encoders must be those of the former index.
        wanted: the places to look at; entries elsewhere, and of other kinds, stay as they are.
        on_bad: called with the id and the error of each file that cannot be used; without it the first one raises.
        batch_size: how many files are held in memory and embedded at once.

    Raises:
        BadInput: a file cannot be used, the index would be empty, or the place cannot be written to.
        SpaceMismatch, WeightsMismatch: the index was made with other encoders.
    """
    known = {} if former is None else wanted.known_entries(former)
    todo, same = wanted.find_changes(known, on_bad)
    stale = known.keys() - same
    card = _card(where, former, binder, {kind: wanted.kinds[kind] for kind in {*todo, *(kind for kind, _ in same)}})
    if former is not None and not (todo or stale):
        return Counts(0, 0, len(same), 0)
    draft = _draft(where, card, former)
    for kind in {kind for kind, _ in stale}:
        draft.drop(kind, {key for of, key in stale if of == kind})
    done = _embed(draft, binder, wanted.kinds, todo, on_bad, batch_size)
    elsewhere = sum(map(former.count, former.card.shelves)) - len(known) if former else 0
    if not (done or same or elsewhere):
        raise BadInput(f"nothing to write to {where}: no file could be embedded")
    draft.finish(card)
    before = {key for _, key in stale}
    return Counts(added=len(done - before), changed=len(done & before), unchanged=len(same), removed=len(before - done))


def _card(where: str, former: Index | None, binder: Binder, kinds: Mapping[str, str]) -> Card:
    """The card with the shelves of these kinds, once it is sure that the index was made with the same encoders."""
    shelves = dict(former.card.shelves) if former else {}
    space = former.card.space if former else None
    for kind, of in kinds.items():
        shelf, of_binder = shelf_of(binder, kind, of)
        space = space or of_binder
        if former is not None:
            former.card.require(kind, shelf, of_binder, where)
        shelves[kind] = shelf
    if space is None:
        raise BadInput(f"nothing to write to {where}: no file could be embedded")
    return Card(binder.name, space, dict(sorted(shelves.items())))


def _draft(where: str, card: Card, former: Index | None) -> Draft:
    if is_lance(where):
        return LanceDraft(where, card, former if isinstance(former, LanceIndex) else None)
    return FileDraft(Path(where), former if isinstance(former, FileIndex) else None)


def _embed(
    draft: Draft,
    binder: Binder,
    kinds: Mapping[str, str],
    todo: Mapping[str, list[Entry]],
    on_bad: errors.OnBad | None,
    batch_size: int,
) -> set[Key]:
    """Embed what is to do into the draft; keys of what went in."""
    done: set[Key] = set()
    with progress_bar(sum(map(len, todo.values())), "indexing") as advance:
        for kind, entries in todo.items():
            by_id: dict[str, list[Entry]] = {}  # one text may stand in several files
            for entry in entries:
                by_id.setdefault(entry.name, []).append(entry)
            items = (Item(id=id, source=some[0].text or Path(some[0].path)) for id, some in by_id.items())
            seed = seed_of(kind, kinds[kind])
            for batch in binder.embed_batches(
                kinds[kind], items, batch_size=batch_size, derive_seed=seed, on_bad=on_bad
            ):
                rows = [(entry, row) for row, id in enumerate(batch.ids) for entry in by_id[id]]
                some = [entry for entry, _ in rows]
                draft.add(kind, some, batch.vectors[[row for _, row in rows]])
                done |= {entry.key for entry in some}
                advance(len(some), f"{kind}: {batch.ids[-1][-60:]}")
    return done
