"""From files and samples to batches of what an encoder takes: read in threads, handed on in order."""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from anybind.contents import FileMark, content_key, file_key, file_mark, remembered_key
from anybind.dataset import Item
from anybind.encoder import Encoder
from anybind.errors import AnybindError, BadInput, PluginError
from anybind.files import name_of_path
from anybind.modality import Modality, derive
from anybind.reader import find_reader, read
from anybind.shelf import Shelf

T = TypeVar("T")

Refuse = Callable[[int, str, AnybindError], None]
"""As `OnBad`, with the item's number before its id; raises what it does not let pass."""


@dataclass(frozen=True)
class Loaded:
    """An item on its way to its vector.

    Attributes:
        number: its place among all items.
        id: what it is called.
        prepared: what the encoder's weights take; None once the vector is there.
        key: of its content; None where it has none, or nothing is kept.
        vector: (d,) float32, in the encoder's own space; None until it is computed, unless the cache had it.
        cached: the cache had it.
    """

    number: int
    id: str
    prepared: Any = None
    key: bytes | None = None
    vector: np.ndarray | None = None
    cached: bool = False


@dataclass(frozen=True)
class Loader:
    """From an item to what the encoder's weights take, or to its vector from the cache; runs in worker threads."""

    kind: Modality
    encoder: Encoder
    derive_seed: int | None
    shelf: Shelf | None = None

    def __call__(self, number: int, item: Any) -> Loaded:
        id = self.id_of(number, item)
        mark = None if self.shelf is None else self.mark(item)
        key = None if self.shelf is None else self.key(item, mark)
        vector = None if self.shelf is None or key is None else self.shelf.find(key)
        if vector is not None:
            return Loaded(number, id, key=key, vector=vector, cached=True)
        try:
            sample = self.sample(item)
            self.kind.check(sample)
            prepared = self.encoder.preprocess(sample)
        except AnybindError as error:
            if id in str(error):
                raise
            raise type(error)(f"{id}: {error}") from error
        except Exception as error:  # a stranger's bug: told with the item, so that --skip-bad can go on past it
            told = " ".join(f"{type(error).__name__}: {error}".split())
            raise PluginError(f"{id}: its reader or encoder failed: {told}") from error
        if key is not None and mark != self.mark(item):
            key = None  # written in between: what was read may not be what was hashed
        return Loaded(number, id, prepared, key)

    def at_once(self, number: int, item: Any) -> Loaded | None:
        """What the cache has of an item, where to look takes less time than to hand the item to a thread."""
        source = item.source if isinstance(item, Item) else item
        if self.shelf is None or not isinstance(source, str | os.PathLike):
            return None
        mark = self.mark(item)
        if not self.kind.accepts(source) and (mark is None or remembered_key(source, mark) is None):
            return None
        key = self.key(item, mark)
        vector = None if key is None else self.shelf.find(key)
        return None if vector is None else Loaded(number, self.id_of(number, item), key=key, vector=vector, cached=True)

    def mark(self, item: Any) -> FileMark | None:
        """What changes when the item's file is written; None where there is no such file, or the item is a sample."""
        source = item.source if isinstance(item, Item) else item
        if self.kind.accepts(source) or not isinstance(source, str | os.PathLike):
            return None
        with contextlib.suppress(OSError, ValueError):  # told when the file is read
            return file_mark(source)
        return None

    def key(self, item: Any, mark: FileMark | None) -> bytes | None:
        """A key of all that is read of an item, for the cache; None where there is none."""
        source, options = (item.source, item.options) if isinstance(item, Item) else (item, {})
        if self.kind.accepts(source) or not isinstance(source, str | os.PathLike):
            return content_key("sample", source)
        if mark is None:  # a folder, a pipe, or nothing at all
            return None
        with contextlib.suppress(OSError):
            # The ending is part of it, since which reader reads a file depends on it.
            ending = os.path.splitext(source)[1].lower()  # noqa: PTH122 (many times a second)
            return content_key("file", ending, file_key(source, mark), dict(options))
        return None

    def id_of(self, number: int, item: Any) -> str:
        if isinstance(item, Item):
            return item.id
        if isinstance(item, str | os.PathLike):
            return item if isinstance(item, str) and self.kind.accepts(item) else name_of_path(item)
        return f"{self.kind.name}[{number}]"

    def sample(self, item: Any) -> Any:
        options: Mapping[str, Any] = {}
        if isinstance(item, Item):
            item, options = item.source, item.options
        if self.kind.accepts(item):
            return item
        if not isinstance(item, str | os.PathLike):
            if self.derive_seed is not None:
                return derive(self.kind.name, item, seed=self.derive_seed)
            raise BadInput(f"a {type(item).__name__} is neither a path nor a sample of {self.kind.name}")
        path = Path(item)
        reader = find_reader(path, self.kind.name)
        found = reader.spec.modality
        if found == self.kind.name:
            return read(path, reader=reader.name, **options)
        if self.derive_seed is None:
            raise BadInput(
                f"{path} holds {found}, not {self.kind.name}; derive_seed=0 makes {self.kind.name} from it where it can"
            )
        return derive(self.kind.name, read(path, reader=reader.name, **options), source=found, seed=self.derive_seed)


def in_order(load: Loader, items: Iterable[tuple[int, Any]], ahead: int, refuse: Refuse) -> Iterator[Loaded]:
    """Load numbered items in threads, a few ahead of their use, and hand them out in order."""
    with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
        waiting: deque[tuple[int, str, Loaded | Future[Loaded]]] = deque()
        coming = iter(items)

        def send_one() -> None:
            for number, item in coming:
                found = load.at_once(number, item) or pool.submit(load, number, item)
                waiting.append((number, load.id_of(number, item), found))
                return

        try:
            for _ in range(ahead):
                send_one()
            while waiting:
                number, id, found = waiting.popleft()
                send_one()
                try:
                    yield found if isinstance(found, Loaded) else found.result()
                except AnybindError as error:
                    refuse(number, id, error)
        finally:
            for *_, found in waiting:
                if not isinstance(found, Loaded):
                    found.cancel()


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
