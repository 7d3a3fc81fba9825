"""From files and samples to batches of what an encoder takes: read in threads, handed on in order."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from anybind.contents import content_key
from anybind.encoder import Encoder
from anybind.errors import AnybindError, BadInput, OnBad, PluginError
from anybind.files import FileMark, get_file_mark, portable_name
from anybind.item import Item
from anybind.modality import Modality, derive
from anybind.prefetch import prefetch
from anybind.reader import SampleFile, find_reader, read

if TYPE_CHECKING:
    from anybind.store import StoreTable

OnInvalid = Callable[[int, str, AnybindError], None]
"""As `OnBad`, with the item's number before its id; raises what it does not let pass."""


def report_invalid(on_bad: OnBad | None, number: int, id: str, error: AnybindError) -> None:
    """Call `on_bad` with an item that cannot be used; raise the error where there is none."""
    if on_bad is None:
        raise error
    on_bad(id, error)


@dataclass(frozen=True)
class LoadedItem:
    """An item on its way to its embedding.

    Attributes:
        number: its place among all items.
        id: the item's id.
        prepared: the encoder's input; None once the embedding is there.
        key: of its content; None if it has none, or nothing is stored.
        mark: of its file when that was hashed; None if it is not read from a file.
        vector: (d,) float32, in the encoder's own space; None until it is computed, unless it was stored.
        cached: the store had it.
        error: why the item cannot be used; None if it can.
    """

    number: int
    id: str
    prepared: object = None
    key: bytes | None = None
    mark: FileMark | None = None
    vector: np.ndarray | None = None
    cached: bool = False
    error: AnybindError | None = None


def to_item(modality: Modality[object], number: int, item: object) -> Item:
    """A path, a sample or an item as an item, whose id is the path, the text itself, or `event[3]`."""
    if isinstance(item, Item):
        return item
    if isinstance(item, str) and modality.accepts(item):
        return Item(item, item)
    return Item(portable_name(item) if isinstance(item, str | os.PathLike) else f"{modality.name}[{number}]", item)


@dataclass(frozen=True)
class Loader:
    """From numbered items to an encoder's inputs, or to embeddings from the store; called in worker threads."""

    modality: Modality[object]
    encoder: Encoder
    derive_seed: int | None
    table: StoreTable | None = None

    def find_stored(self, numbered: tuple[int, Item]) -> LoadedItem | None:
        """The stored embedding of a text, or of a file whose hash is known: to look takes less time than a thread."""
        if self.table is None or not isinstance(numbered[1].source, str | os.PathLike):
            return None
        loaded = self.look_up(numbered, read=False)
        return loaded if loaded.cached else None

    def look_up(self, numbered: tuple[int, Item], read: bool = True) -> LoadedItem:
        """The item's key, and its embedding if that is stored.

        Args:
            numbered: the item and its number.
            read: hash its file if the hash is not known; otherwise there is no key.
        """
        number, item = numbered
        key = mark = None
        if self.table is None:
            return LoadedItem(number, item.id)
        source, options = item.source, item.options
        if not isinstance(source, str | os.PathLike) or self.modality.accepts(source):
            key = content_key("sample", source)
        elif mark := _find_mark(source):
            with contextlib.suppress(OSError):  # told when the file is read
                if (hashed := self.table.store.hash_file(source, mark, read)) is not None:
                    # The ending is part of it, since which reader reads a file depends on it.
                    ending = os.path.splitext(source)[1].lower()  # noqa: PTH122 (many times a second)
                    key = content_key("file", ending, hashed, *([dict(options)] if options else []))
        value = None if key is None else self.table.get(key)
        vector = None if value is None else np.frombuffer(value, "<f4")
        return LoadedItem(number, item.id, None, key, mark, vector, vector is not None)

    def __call__(self, numbered: tuple[int, Item]) -> LoadedItem:
        """The stored embedding, the encoder's input, or the error of its reader or encoder."""
        item, loaded = numbered[1], self.look_up(numbered)
        if loaded.cached:
            return loaded
        try:
            sample = self.load_sample(item)
            self.modality.check(sample)
            prepared = self.encoder.preprocess(sample)
        except AnybindError as error:
            described = error if item.id in str(error) else _set_cause(type(error)(f"{item.id}: {error}"), error)
            return replace(loaded, error=described)
        except Exception as error:  # a stranger's bug: told with the item, so that --skip-bad can go on past it
            message = " ".join(f"{type(error).__name__}: {error}".split())
            return replace(
                loaded, error=_set_cause(PluginError(f"{item.id}: its reader or encoder failed: {message}"), error)
            )
        # A file that was written in between has no key: what was read may not be what was hashed.
        changed = loaded.mark is not None and loaded.mark != _find_mark(item.source)
        return replace(loaded, prepared=prepared, key=None if changed else loaded.key)

    def load_sample(self, item: Item) -> object:
        """Read the item's file, or derive the sample from one of another modality."""
        source = item.source
        if self.modality.accepts(source):
            return self.modality.as_sample(source)
        if not isinstance(source, str | os.PathLike):
            if self.derive_seed is not None:
                return derive(self.modality.name, source, seed=self.derive_seed)
            raise BadInput(f"a {type(source).__name__} is neither a path nor a sample of {self.modality.name}")
        path = Path(source)
        reader = source.reader if isinstance(source, SampleFile) else None
        if reader is None or reader.spec.modality != self.modality.name:
            reader = find_reader(path, self.modality.name)
        source_modality = reader.spec.modality
        if source_modality != self.modality.name and self.derive_seed is None:
            raise BadInput(
                f"{path} holds {source_modality}, not {self.modality.name}; derive_seed=0 makes {self.modality.name} from it where it can"
            )
        sample = read(path, reader=reader, **item.options)
        if source_modality == self.modality.name or self.derive_seed is None:
            return sample
        return derive(self.modality.name, sample, source=source_modality, seed=self.derive_seed)


def _find_mark(source: str | os.PathLike[str]) -> FileMark | None:
    with contextlib.suppress(OSError, ValueError):  # told when the file is read
        return get_file_mark(source)
    return None


def _set_cause(error: AnybindError, cause: Exception) -> AnybindError:
    error.__cause__ = cause
    return error


def load_batches(
    load: Loader, items: Iterable[tuple[int, Item]], size: int, on_invalid: OnInvalid
) -> Iterator[list[LoadedItem]]:
    """Load numbered items in threads, two batches ahead of their use; those that cannot be used are refused."""
    batch: list[LoadedItem] = []
    workers = min(4, os.cpu_count() or 1)
    with contextlib.closing(
        prefetch(load, items, workers=workers, queue_size=2 * size, compute_inline=load.find_stored)
    ) as results:
        for loaded in results:
            if loaded.error is not None:
                on_invalid(loaded.number, loaded.id, loaded.error)
                continue
            batch.append(loaded)
            if len(batch) == size:
                yield batch
                batch = []
    if batch:
        yield batch


def encode_batch(encoder: Encoder, batch: list[LoadedItem], on_invalid: OnInvalid) -> list[LoadedItem]:
    """The batch with its vectors; without the samples that have none, which are refused one by one."""
    missing = [each for each in batch if not each.cached]
    vectors: dict[int, np.ndarray] = {}
    try:
        rows = encoder.encode([each.prepared for each in missing]) if missing else ()
        if len(rows) != len(missing):
            raise PluginError(f"the encoder of {encoder.modality} gave {len(rows)} vectors for {len(missing)} samples")
        vectors = {each.number: row for each, row in zip(missing, rows, strict=True)}
    except BadInput:  # one of them has no vector: which?
        for each in missing:
            try:
                vectors[each.number] = encoder.encode([each.prepared])[0]
            except BadInput as error:
                on_invalid(each.number, each.id, _set_cause(BadInput(f"{each.id}: {error}"), error))
    encoded = [each if each.cached else replace(each, prepared=None, vector=vectors.get(each.number)) for each in batch]
    return [each for each in encoded if each.vector is not None]
