"""From files and samples to batches of what an encoder takes: read in threads, handed on in order."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from anybind.contents import content_key
from anybind.dataset import Item
from anybind.encoder import Encoder
from anybind.errors import AnybindError, BadInput, PluginError
from anybind.files import FileMark, file_mark, name_of_path
from anybind.modality import Modality, derive
from anybind.prefetch import prefetch
from anybind.reader import SampleFile, find_reader, read
from anybind.store import StoreTable

T = TypeVar("T")

Refuse = Callable[[int, str, AnybindError], None]
"""As `OnBad`, with the item's number before its id; raises what it does not let pass."""


@dataclass(frozen=True)
class Loaded:
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
    prepared: Any = None
    key: bytes | None = None
    mark: FileMark | None = None
    vector: np.ndarray | None = None
    cached: bool = False
    error: AnybindError | None = None


@dataclass(frozen=True)
class Loader:
    """From numbered items to an encoder's inputs, or to embeddings from the store; called in worker threads."""

    kind: Modality
    encoder: Encoder
    derive_seed: int | None
    table: StoreTable | None = None

    def __call__(self, numbered: tuple[int, Any]) -> Loaded:
        found = self.look_up(numbered)
        return found if found.cached else self.load(found, numbered[1])

    def at_once(self, numbered: tuple[int, Any]) -> Loaded | None:
        """The stored embedding of a text, or of a file whose hash is known: to look takes less time than a thread."""
        item = numbered[1]
        if self.table is None or not isinstance(item.source if isinstance(item, Item) else item, str | os.PathLike):
            return None
        found = self.look_up(numbered, read=False)
        return found if found.cached else None

    def look_up(self, numbered: tuple[int, Any], read: bool = True) -> Loaded:
        """The item's key, and its embedding if that is stored.

        Args:
            numbered: the item and its number.
            read: hash its file if the hash is not known; otherwise there is no key.
        """
        number, item = numbered
        id = self.id_of(number, item)
        if self.table is None:
            return Loaded(number, id)
        key = mark = None
        source, options = (item.source, item.options) if isinstance(item, Item) else (item, None)
        if not isinstance(source, str | os.PathLike) or self.kind.accepts(source):
            key = content_key("sample", source)
        elif mark := _mark(source):
            with contextlib.suppress(OSError):  # told when the file is read
                if (hashed := self.table.store.file_key(source, mark, read)) is not None:
                    # The ending is part of it, since which reader reads a file depends on it.
                    ending = os.path.splitext(source)[1].lower()  # noqa: PTH122 (many times a second)
                    key = content_key("file", ending, hashed, *([dict(options)] if options else []))
        value = None if key is None else self.table.get(key)
        vector = None if value is None else np.frombuffer(value, "<f4")
        return Loaded(number, id, None, key, mark, vector, vector is not None)

    def load(self, found: Loaded, item: Any) -> Loaded:
        """The item with the encoder's input, or with the error of its reader or encoder."""
        id = found.id
        try:
            sample = self.sample(item)
            self.kind.check(sample)
            prepared = self.encoder.preprocess(sample)
        except AnybindError as error:
            named = error if id in str(error) else _caused(type(error)(f"{id}: {error}"), error)
            return replace(found, error=named)
        except Exception as error:  # a stranger's bug: told with the item, so that --skip-bad can go on past it
            told = " ".join(f"{type(error).__name__}: {error}".split())
            return replace(found, error=_caused(PluginError(f"{id}: its reader or encoder failed: {told}"), error))
        # A file that was written in between has no key: what was read may not be what was hashed.
        changed = found.mark is not None and found.mark != _mark(item.source if isinstance(item, Item) else item)
        return replace(found, prepared=prepared, key=None if changed else found.key)

    def id_of(self, number: int, item: Any) -> str:
        if isinstance(item, Item):
            return item.id
        if isinstance(item, str | os.PathLike):
            return item if isinstance(item, str) and self.kind.accepts(item) else name_of_path(item)
        return f"{self.kind.name}[{number}]"

    def sample(self, item: Any) -> Any:
        source, options = (item.source, item.options) if isinstance(item, Item) else (item, {})
        if self.kind.accepts(source):
            return self.kind.as_sample(source)
        if not isinstance(source, str | os.PathLike):
            if self.derive_seed is not None:
                return derive(self.kind.name, source, seed=self.derive_seed)
            raise BadInput(f"a {type(source).__name__} is neither a path nor a sample of {self.kind.name}")
        path = Path(source)
        reader = source.reader if isinstance(source, SampleFile) else None
        if reader is None or reader.spec.modality != self.kind.name:
            reader = find_reader(path, self.kind.name)
        found = reader.spec.modality
        if found != self.kind.name and self.derive_seed is None:
            raise BadInput(
                f"{path} holds {found}, not {self.kind.name}; derive_seed=0 makes {self.kind.name} from it where it can"
            )
        sample = read(path, reader=reader, **options)
        if found == self.kind.name or self.derive_seed is None:
            return sample
        return derive(self.kind.name, sample, source=found, seed=self.derive_seed)


def _mark(source: str | os.PathLike[str]) -> FileMark | None:
    with contextlib.suppress(OSError, ValueError):  # told when the file is read
        return file_mark(source)
    return None


def _caused(error: AnybindError, cause: Exception) -> AnybindError:
    error.__cause__ = cause
    return error


def load_items(load: Loader, items: Iterable[tuple[int, Any]], ahead: int, refuse: Refuse) -> Iterator[Loaded]:
    """Load numbered items in threads, a few ahead of their use; those that cannot be used are refused."""
    workers = min(4, os.cpu_count() or 1)
    with contextlib.closing(prefetch(load, items, workers=workers, ahead=ahead, at_once=load.at_once)) as coming:
        for loaded in coming:
            if loaded.error is None:
                yield loaded
            else:
                refuse(loaded.number, loaded.id, loaded.error)


def encoded(encoder: Encoder, batch: list[Loaded], refuse: Refuse) -> list[Loaded]:
    """The batch with its vectors; without the samples that have none, which are told of one by one."""
    todo = [each for each in batch if not each.cached]
    vectors = dict(_vectors(encoder, todo, refuse)) if todo else {}
    found = [each if each.cached else replace(each, prepared=None, vector=vectors.get(each.number)) for each in batch]
    return [each for each in found if each.vector is not None]


def _vectors(encoder: Encoder, todo: list[Loaded], refuse: Refuse) -> Iterator[tuple[int, np.ndarray]]:
    try:
        vectors = encoder.encode([each.prepared for each in todo])
    except BadInput:  # one of them has no vector: which?
        for each in todo:
            try:
                yield each.number, encoder.encode([each.prepared])[0]
            except BadInput as error:
                named = BadInput(f"{each.id}: {error}")
                named.__cause__ = error
                refuse(each.number, each.id, named)
        return
    if len(vectors) != len(todo):
        raise PluginError(f"the encoder of {encoder.modality} gave {len(vectors)} vectors for {len(todo)} samples")
    for each, vector in zip(todo, vectors, strict=True):
        yield each.number, vector


def batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """The items, `size` at a time; the last batch may be shorter."""
    batch: list[T] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
